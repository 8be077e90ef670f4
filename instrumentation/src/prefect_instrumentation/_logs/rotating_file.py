"""A file that several processes write, and that they put aside by size and by age, compressed."""

from __future__ import annotations

import errno
import logging
import os
import sys
import time
from pathlib import Path

from concurrent_log_handler import ConcurrentTimedRotatingFileHandler

from prefect_instrumentation._log_settings import LogSettings

_OWNER_ONLY = 0o600


class RotatingFile(ConcurrentTimedRotatingFileHandler):
    """The file that the settings name; its folder is made.

    The time of the next rotation is in the lock file beside it, so that a file's age counts over
    all processes that have written it, one after the other.

    Raises:
        OSError: the file cannot be made, or is none.
    """

    def __init__(self, settings: LogSettings) -> None:
        path = Path(settings.file).expanduser()
        if path.exists() and not path.is_file():
            # A device of that name would be renamed, and its mode changed.
            raise OSError(errno.EINVAL, "not a regular file")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            super().__init__(
                path,
                when="S",
                interval=max(1, round(settings.file_max_age)),  # less than 1 loops for ever
                backupCount=settings.file_backups,
                encoding="utf-8",
                utc=True,
                maxBytes=settings.file_max_bytes,
                use_gzip=True,
                chmod=_OWNER_ONLY,
                unicode_error_policy="replace",
            )
        except BaseException:
            self.close()  # it may hold the lock file
            raise
        self._start = "\n" if _is_torn(path) else ""

    def write(self, line: str) -> None:
        """Add a line.

        Raises:
            OSError: it could not be written whole.
        """
        self.emit(logging.makeLogRecord({"msg": f"{self._start}{line}"}))
        self._start = ""

    def rotation_filename(self, default_name: str) -> str:
        """Return what a file put aside is called; names sort by time, also within a second."""
        return f"{default_name}.{time.time_ns() // 1000}"

    def doRollover(self) -> None:  # noqa: N802 - its name in `logging`
        """Put the file aside; where none are kept, remove it."""
        super().doRollover()
        if not self.backupCount:  # to the library that means all of them
            for aside in self.getFilesToDelete():
                Path(aside).unlink()

    def close(self) -> None:
        """Let go of the file and of its lock."""
        super().close()
        super().close()  # the first stops short of the lock where a full disk fails the file's

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - as above
        """Raise what has kept the record from being written, instead of printing it."""
        if error := sys.exception():
            raise error


def _is_torn(path: Path) -> bool:
    """Return whether a full disk or a killed process has left half a line at the end."""
    try:
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    except OSError:
        return False
