"""One job at a time, over all processes that share a folder."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path

from backup.errors import BadSetting, Busy
from backup.model import Job, Kind

_PAUSE_SECONDS = 1.0
_LENGTH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who is at work, and with which kinds; none stands for all."""

    job: Job
    since: datetime
    pid: int
    kinds: Collection[Kind] = ()


@contextmanager
def held(
    folder: Path,
    job: Job,
    kinds: Collection[Kind] = (),
    *,
    now: Callable[[], datetime],
    wait_seconds: float = 0,
) -> Iterator[Holder | None]:
    """Hold the lock, and yield the job that held it before and was killed; mostly there is none.

    The kernel lets go of it with the process, whatever ends that.

    Args:
        folder: Made where it is not there.
        job: What others are told.
        kinds: What it is done with; all where there are none.
        now: The time.
        wait_seconds: How long to wait for another job to end.

    Raises:
        Busy: Another job is at work.
        BadSetting: The folder cannot be written.
    """
    with _opened(folder / "job.lock") as file:
        _take(file, time.monotonic() + wait_seconds)
        killed = _holder(file)
        about = {
            "job": job,
            "since": now().isoformat(),
            "pid": os.getpid(),
            "kinds": sorted({*kinds}),
        }
        _write(file, about)
        try:
            yield killed
        finally:
            _write(file, None)


def _opened(path: Path) -> TextIOWrapper:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return path.open("r+")
    except OSError as error:
        problem = f"names {str(path.parent)!r}, which cannot be written ({error.strerror})"
        raise BadSetting("PREFECT_BACKUP_STATE_DIR", problem) from None


def _take(file: TextIOWrapper, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise Busy(_told(_holder(file))) from None
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def _told(holder: Holder | None) -> str:
    if holder is None:
        return "another job is at work; wait for its end"
    since = f"{holder.since:%Y-%m-%d %H:%M:%S %Z}".strip()
    return f"the job {holder.job} is at work since {since} (process {holder.pid}); wait for its end"


def _holder(file: TextIOWrapper) -> Holder | None:
    file.seek(0)
    try:
        found = json.loads(file.read(_LENGTH))
        return Holder(
            job=Job(found["job"]),
            since=datetime.fromisoformat(found["since"]),
            pid=int(found["pid"]),
            kinds=[Kind(kind) for kind in found.get("kinds", ())],
        )
    except (ValueError, KeyError, TypeError):
        return None


def _write(file: TextIOWrapper, holder: dict[str, object] | None) -> None:
    # Always as long: what is overwritten in its place needs no room on a full disk.
    file.seek(0)
    file.truncate(_LENGTH)
    with suppress(OSError):
        file.write((json.dumps(holder) if holder else "").ljust(_LENGTH))
        file.flush()
