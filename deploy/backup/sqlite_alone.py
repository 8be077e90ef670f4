"""Has a database of SQLite's for itself, so that its file can be replaced."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from backup.errors import SourceUnavailable

_BUSY_SECONDS = 5.0


@contextmanager
def alone(path: Path, server: str) -> Iterator[sqlite3.Connection]:
    """Open *path* such that nobody else has it open, in whatever journal mode it is.

    Args:
        path: The database.
        server: Who may have it open, such as ``the Prefect server``.

    Raises:
        SourceUnavailable: Somebody has, or it is damaged; with the mend.
    """
    with opened(path, server) as connection:
        # In WAL mode, a lock of the usual kind keeps out who writes, not who has it open.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("COMMIT")
        yield connection


@contextmanager
def opened(path: Path, server: str) -> Iterator[sqlite3.Connection]:
    """Open *path*, which must be there.

    Raises:
        SourceUnavailable: As `alone`, also of an error in the block.
    """
    uri = f"{path.absolute().as_uri()}?mode=rw"
    try:
        with closing(
            sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
        ) as connection:
            yield connection
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise SourceUnavailable(f"a program has {path} open: stop {server} first") from error
        raise SourceUnavailable(f"{path} cannot be opened: {error}") from error
    except sqlite3.DatabaseError as error:
        raise SourceUnavailable(
            f"{path} is damaged ({error}): move it away, with its -wal and -shm, and try again"
        ) from error


def let_go_of_logs(connection: sqlite3.Connection, path: Path) -> None:
    """Bring all that was committed into the file itself, and remove the logs beside it.

    What is in a log would be applied to whatever has the database's name.

    Args:
        connection: Of `alone`.
        path: Its database.
    """
    connection.execute("PRAGMA journal_mode = DELETE")
    _beside(path, "-shm").unlink(missing_ok=True)


def check_logs(path: Path) -> None:
    """Make sure that where no database is, no log of one is either.

    Raises:
        SourceUnavailable: There is one.
    """
    for log in (_beside(path, "-wal"), _beside(path, "-journal")):
        if log.exists():
            raise SourceUnavailable(
                f"{log} is of a database that is not there, and would damage another: move it away"
            )


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
