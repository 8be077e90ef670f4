"""The SQLite file below the ledger: one process holds it, and a commit is kept or undone whole."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path

from prefect_exporter.errors import (
    LedgerDamaged,
    LedgerError,
    LedgerFull,
    LedgerInUse,
    LedgerTooNew,
    LedgerUnreadable,
)

SCHEMA_VERSION = 2

_ERRORS: dict[str, tuple[type[LedgerError], str]] = {
    "SQLITE_BUSY": (
        LedgerInUse,
        "is held by another process: stop that one, or set another PREFECT_EXPORTER_STATE_PATH",
    ),
    "SQLITE_FULL": (LedgerFull, "cannot grow: the disk is full; free some space"),
    "SQLITE_CORRUPT": (LedgerDamaged, "is damaged"),
    "SQLITE_NOTADB": (LedgerDamaged, "is not a ledger"),
    "SQLITE_CANTOPEN": (
        LedgerUnreadable,
        "cannot be opened: its folder must exist and be writable; see PREFECT_EXPORTER_STATE_PATH",
    ),
    "SQLITE_READONLY": (
        LedgerUnreadable,
        "is read-only for this user; see PREFECT_EXPORTER_STATE_PATH",
    ),
}
# In version 1 this told of all deployments: nothing would raise, or drop, those any more.
_STREAKS_TELL = """
    DELETE FROM scalar WHERE family = 'prefect_flow_run_last_finished_timestamp_seconds'
    AND json_extract(labels, '$[2]') NOT IN ('', 'other', '(deleted)')
"""
_ERRORS["SQLITE_PERM"] = _ERRORS["SQLITE_CANTOPEN"]


def connect(path: Path) -> sqlite3.Connection:
    """Open the file at *path* for this process alone, and make its tables if it is new.

    Durability: rollback journal and ``synchronous=FULL``, so a commit survives kill -9 and power
    loss (https://sqlite.org/pragma.html#pragma_synchronous).

    Raises:
        LedgerError: One of its leaves, with the path and the mend.
    """
    with translated(path):
        con = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        with translated(path):
            _take(con, path)
    except LedgerError:
        con.close()
        raise
    return con


def _take(con: sqlite3.Connection, path: Path) -> None:
    con.execute("PRAGMA locking_mode = EXCLUSIVE")
    con.execute("PRAGMA synchronous = FULL")
    con.execute("PRAGMA cache_size = -8192")
    # In exclusive mode the lock taken here is kept until the connection closes.
    con.execute("BEGIN EXCLUSIVE")
    version = con.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        message = (
            f"{path} was written by a newer prefect-exporter (ledger version {version}, this one "
            f"reads {SCHEMA_VERSION}): run that version, or give this one another "
            "PREFECT_EXPORTER_STATE_PATH"
        )
        raise LedgerTooNew(message)
    if version < SCHEMA_VERSION:
        _create(con)
    if version == 1:
        con.execute(_STREAKS_TELL)
    # A write, so that a file that cannot be written is told now and not by every poll.
    con.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    con.execute("COMMIT")


def _create(con: sqlite3.Connection) -> None:
    # What each version has had more than the one before it is tables, so far.
    for statement in files(__package__).joinpath("schema.sql").read_text().split(";"):
        if statement.strip():
            con.execute(statement)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into the ledger's own errors."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "") or ""
        kind, what = _ERRORS.get(
            "_".join(name.split("_")[:2]), (LedgerError, f"failed: {name or error}")
        )
        message = f"the ledger {path} {what}"
        raise kind(message) from error


@contextmanager
def transaction(con: sqlite3.Connection, path: Path) -> Iterator[None]:
    """Keep all that is written inside, or nothing."""
    with translated(path):
        con.execute("BEGIN")
        try:
            yield
            con.execute("COMMIT")
        except BaseException:
            # SQLite has undone it already where the disk was full or the file damaged.
            with suppress(sqlite3.Error):
                con.execute("ROLLBACK")
            raise


def move_aside(path: Path, stamp: str) -> Path:
    """Rename a damaged ledger and its journal, so that a new one can begin; return the new name."""
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    try:
        # The journal first: left behind, SQLite would roll it back into the new ledger.
        with suppress(FileNotFoundError):
            path.with_name(f"{path.name}-journal").rename(aside.with_name(f"{aside.name}-journal"))
        path.rename(aside)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        message = f"the ledger {path} is damaged and cannot be moved aside: {reason}"
        raise LedgerUnreadable(message) from None
    return aside
