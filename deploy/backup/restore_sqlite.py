"""Replaces a SQLite database by a snapshot: beside it first, then by one renaming."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from backup import tables
from backup.errors import NoSpace, SourceUnavailable
from backup.model import Snapshot
from backup.restore_model import SAFETY_TAGS, After, Task, There, putting_aside
from backup.restore_stream import output_of
from backup.sqlite import SqliteSource, read_manifest
from backup.sqlite_alone import alone, check_logs, let_go_of_logs, opened
from backup.steps import Say, Step

_PREFIX = ".prefect-restore-"
_SERVER = "the Prefect server"


def look(task: Task) -> There:
    """Return what is in the database now, after making sure that nobody has it open.

    Raises:
        SourceUnavailable: A server has it open, or it cannot be read.
        NoSpace: There is no room for another beside it.
    """
    path = _file(task)
    _check_folder(path.parent, task.snapshot.size_bytes)
    if not path.exists():
        check_logs(path)
        return There()
    with alone(path, _SERVER) as connection:
        revision = tables.sqlite_manifest(connection).revision
        [(runs, since)] = connection.execute(
            "SELECT count(*), count(*) FILTER (WHERE created > ?) FROM flow_run",
            (_written(task.snapshot.time),),
        )
    return There(revision=revision, runs=runs, since=since)


def replace(task: Task, there: There, say: Say) -> Snapshot | None:
    """Put the snapshot in the place of what *there* is; return what that was kept as, if it was.

    Raises:
        BackupError: It failed, and the database is as it was.
    """
    path = _file(task)
    for left in path.parent.glob(f"{_PREFIX}*"):
        left.unlink()
    made, name = tempfile.mkstemp(prefix=_PREFIX, dir=path.parent)
    fresh = Path(name)
    try:
        with os.fdopen(made, "wb") as file:
            _fill(task, file.fileno(), say)
        say(Step("verifying"))
        tables.compare(task.manifest, read_manifest(fresh))
        if there.empty:
            if path.exists():
                raise SourceUnavailable(f"{path} was made meanwhile: stop {_SERVER} first")
            _like_its_folder(fresh)
            _exchange(fresh, path)
            return None
        return _put_aside_and_exchange(task, fresh, say)
    finally:
        fresh.unlink(missing_ok=True)


def finish(task: Task) -> After:
    """Return what a person must know of the new rows.

    Raises:
        SourceUnavailable: They cannot be read.
    """
    with opened(_file(task), _SERVER) as connection:
        [(due, running)] = connection.execute(
            "SELECT count(*) FILTER (WHERE state_type = 'SCHEDULED'"
            " AND next_scheduled_start_time < ?), count(*) FILTER (WHERE state_type = 'RUNNING')"
            " FROM flow_run",
            (_written(datetime.now(UTC)),),
        )
    return After(due=due, running=running)


def _put_aside_and_exchange(task: Task, fresh: Path, say: Say) -> Snapshot:
    path = _file(task)
    with alone(path, _SERVER):
        pass
    before = _mark(path)
    say(Step("keeping what is there now"))
    with putting_aside(f"move {path} away with its -wal and -shm"):
        safety = SqliteSource(task.into, task.scratch, tags=SAFETY_TAGS).save(task.repository)
    with alone(path, _SERVER) as connection:
        if _mark(path) != before:
            raise SourceUnavailable(
                f"{path} was written to meanwhile: stop the Prefect server first"
            )
        let_go_of_logs(connection, path)
        owner = path.stat()
        os.chown(fresh, owner.st_uid, owner.st_gid)
        fresh.chmod(owner.st_mode & 0o7777)
        _exchange(fresh, path)
    return safety


def _fill(task: Task, file: int, say: Say) -> None:
    done, total = 0, task.snapshot.size_bytes
    with closing(output_of([task.repository.dump_command(task.snapshot)])) as chunks:
        for chunk in chunks:
            _write(file, chunk)
            done += len(chunk)
            say(Step("restoring", done, total))
    os.fsync(file)


def _write(file: int, chunk: bytes) -> None:
    left = memoryview(chunk)
    try:
        while left:
            left = left[os.write(file, left) :]
    except OSError as error:
        raise NoSpace("restore", str(error), error.errno or 1) from error


def _exchange(fresh: Path, path: Path) -> None:
    fresh.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _check_folder(folder: Path, size_bytes: int) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SourceUnavailable(f"{folder} is no folder that this user may write to")
    free = shutil.disk_usage(folder).free
    if free < size_bytes:
        raise NoSpace(
            "restore", f"{folder} has {free:,} bytes free and {size_bytes:,} are needed", 1
        )


def _like_its_folder(fresh: Path) -> None:
    owner = fresh.parent.stat()
    os.chown(fresh, owner.st_uid, owner.st_gid)


def _mark(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _written(time: datetime) -> str:
    # As SQLAlchemy writes times, which are compared as text.
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def _file(task: Task) -> Path:
    return task.into.path.resolve()
