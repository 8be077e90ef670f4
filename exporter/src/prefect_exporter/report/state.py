"""The file that a report's reading is kept in until it is written, so that it survives a stop."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

from prefect_exporter.environment import BadSettings
from prefect_exporter.errors import ExporterError
from prefect_exporter.moments import HOUR
from prefect_exporter.report.question import Period, Question
from prefect_exporter.report.store import APPLICATION_ID, Store

FORMAT = "1"
"""Of the file; one of another format is begun anew."""

MOST_AGE_US = 6 * HOUR
"""What was asked longer ago is asked anew: nobody wants yesterday's report today."""

_FORMAT, _ASKED, _QUESTION = "format", "asked", "question"

# https://www.sqlite.org/fileformat.html#the_database_header
_MAGIC = b"SQLite format 3\x00"
_APPLICATION = slice(68, 72)
_OF_THE_DISK = frozenset(
    {
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_READONLY,
    }
)


def default_path(asked: str) -> Path:
    """Return where the state of a question lies unless it was told: below the user's cache.

    Raises:
        BadSettings: There is no folder for it that is this user's alone.
    """
    own = Path(tempfile.gettempdir()) / f"prefect-exporter-{os.getuid()}"
    folder = next((each for each in (_cache(), own) if each is not None and _is_own(each)), None)
    if folder is None:
        problem = f"{str(own)!r} is not a folder that only this user can write; give --state"
        raise BadSettings((problem,))
    return folder / f"report-{hashlib.sha256(asked.encode()).hexdigest()[:16]}.db"


def _cache() -> Path | None:
    # Who has neither a home nor a name, as in some containers, has none.
    with suppress(RuntimeError):
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "prefect-exporter"
    return None


def _is_own(folder: Path) -> bool:
    """Make a folder, and return whether it is this user's: anybody may make one in /tmp first."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return False
    private = stat.S_ISDIR(status.st_mode) and not status.st_mode & 0o022
    return private and status.st_uid == os.getuid() and os.access(folder, os.W_OK | os.X_OK)


@contextmanager
def kept_in(path: Path) -> Iterator[None]:
    """Tell of a disk that is full or fails as of what it is.

    Raises:
        ExporterError: What is read cannot be kept.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        # Extended codes have the plain one in their lowest byte.
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _OF_THE_DISK:
            raise
        problem = f"what is read cannot be kept in {str(path)!r}: {error}"
        raise ExporterError(f"{problem}; free some space, or give another --state") from None


class State:
    """A report's reading in a file of its own; a context manager that closes it.

    Args:
        path: Where it is; made if it is not there.
        asked: What was asked, as text: a file of another question is begun anew.
        question: What to read; where the file goes on with a reading, ``question`` has its times.
        fresh: Begin anew in any case.

    Raises:
        BadSettings: The file cannot be used, or another report uses it.
    """

    def __init__(self, path: Path, asked: str, question: Question, *, fresh: bool = False) -> None:
        self.path = path
        self._lock = _locked(path)
        if fresh or not _goes_on(path, asked, question.now_us):
            _clear(path)
        self.store = Store(path)
        self.question = self._begun(asked, question)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.__exit__()
        os.close(self._lock)

    @property
    def goes_on(self) -> bool:
        """Whether something was read before."""
        return any(self.store.database.execute("SELECT 1 FROM steps LIMIT 1"))

    def remove(self) -> None:
        """Remove the file: its report is written."""
        self.path.unlink(missing_ok=True)

    def _begun(self, asked: str, question: Question) -> Question:
        known = self.store.meta(_QUESTION)
        if known is None:
            period = question.period
            times = [period.since_us, period.until_us, question.now_us]
            with self.store.transaction():
                self.store.set_meta(_FORMAT, FORMAT)
                self.store.set_meta(_ASKED, asked)
                self.store.set_meta(_QUESTION, json.dumps(times))
            return question
        since_us, until_us, now_us = json.loads(known)
        return replace(question, period=Period(since_us, until_us), now_us=now_us)


def _locked(path: Path) -> int:
    try:
        # What is in it is nobody else's business: names, messages, the variables of jobs.
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        problem = f"--state {str(path)!r} cannot be written: {error.strerror}; give another path"
        raise BadSettings((problem,)) from None
    try:
        _check(path, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        problem = f"another report is being made with {str(path)!r}; wait, or give another --state"
        raise BadSettings((problem,)) from None
    except BadSettings:
        os.close(descriptor)
        raise
    return descriptor


def _check(path: Path, descriptor: int) -> None:
    """Say that a file is somebody else's, before it is emptied.

    Raises:
        BadSettings: It is neither empty nor the state of a report.
    """
    regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
    head = os.pread(descriptor, _APPLICATION.stop, 0) if regular else b"?"
    ours = head.startswith(_MAGIC) and head[_APPLICATION] == APPLICATION_ID.to_bytes(4, "big")
    # A machine that stopped may have left zeros.
    if not ours and head.strip(b"\x00"):
        problem = f"--state {str(path)!r} is not the state of a report; give another path"
        raise BadSettings((problem,))


def _goes_on(path: Path, asked: str, now_us: int) -> bool:
    database = sqlite3.connect(path)
    try:
        if database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            return False
        meta = dict(database.execute("SELECT key, value FROM meta"))
        begun_us = json.loads(meta[_QUESTION])[2]
    except (sqlite3.DatabaseError, KeyError, ValueError, IndexError, TypeError):
        return False
    finally:
        database.close()
    same = meta.get(_FORMAT) == FORMAT and meta.get(_ASKED) == asked
    return same and 0 <= now_us - begun_us < MOST_AGE_US


def _clear(path: Path) -> None:
    """Empty the file; it stays the same one, whose lock is held."""
    path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
    os.truncate(path, 0)
