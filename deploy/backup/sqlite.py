"""Copies Prefect's SQLite database while a server works on it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from backup import tables
from backup.database import Database
from backup.errors import NoSpace, SourceUnavailable
from backup.model import Kind, Manifest, Snapshot
from backup.programs import Command
from backup.repository import Repository
from backup.scratch import workspace

FILENAME = "prefect.sqlite"
"""What the database is called in its snapshot: a whole file, in no WAL mode."""

# 4 MiB of pages: between two steps Python looks at signals.
_PAGES = 1024
_BUSY_SECONDS = 60


class SqliteSource:
    """Prefect's database on SQLite.

    Args:
        scratch: Where there is room for a copy of it.
        tags: Of the snapshot, beside the manifest's.
    """

    kind = Kind.DATABASE

    def __init__(
        self, database: Database, scratch: Path, *, tags: Mapping[str, str] | None = None
    ) -> None:
        self._path = database.path
        self._scratch = scratch
        self._tags = tags or {}

    def save(self, repository: Repository) -> Snapshot:
        """Copy it as it is at one moment, look whether the copy is sound, and save that.

        The server goes on writing meanwhile: it has its database in WAL mode, in which a reader
        and a writer do not wait for each other.

        Raises:
            SourceUnavailable: It is not there, damaged, or not Prefect's.
            NoSpace: There is no room for the copy.
            ProgramFailed: Restic failed.
        """
        with workspace(self._scratch) as folder:
            copy = folder / FILENAME
            with _explained(self._path, folder):
                manifest = _copied(self._path, copy)
            return repository.save_command(
                Command(argv=["cat", str(copy)], env={}),
                kind=self.kind,
                filename=FILENAME,
                tags={**manifest.tags(), **self._tags},
            )


def read_manifest(file: Path) -> Manifest:
    """Return what a database file holds that nobody writes to.

    Raises:
        SourceUnavailable: It is damaged, or not Prefect's.
        sqlite3.Error: It cannot be read.
    """
    with closing(_opened(file, "ro")) as connection:
        [(found,)] = connection.execute("PRAGMA integrity_check(1)").fetchall()
        if found != "ok":
            raise SourceUnavailable(f"SQLite finds the database damaged: {found:.200}")
        return tables.sqlite_manifest(connection)


def _copied(path: Path, copy: Path) -> Manifest:
    with closing(_opened(path, "ro")) as source, closing(_opened(copy, "rwc")) as target:
        # One moment for all steps: without it, each write of the server would start the copy anew.
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        source.backup(target, pages=_PAGES)
        # Everything in the one file.
        target.execute("PRAGMA journal_mode = DELETE")
    return read_manifest(copy)


def _opened(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)


@contextmanager
def _explained(path: Path, folder: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            said = f"no room in {folder.parent} for a copy of {path}"
            raise NoSpace("SQLite", said, sqlite3.SQLITE_FULL) from error
        raise SourceUnavailable(f"{path} cannot be read: {error}") from error
