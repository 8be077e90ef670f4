"""Brings a snapshot back, as a drill: where nobody looks, until a Prefect server works on it."""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg import sql
from pydantic import SecretStr

from backup import encryption_key, objects, restore_sql, scratch, tables, volumes
from backup.errors import ProgramFailed, SourceUnavailable, Unverified
from backup.model import Kind, Manifest, Snapshot
from backup.postgres_programs import newest
from backup.programs import Command, pipe, scrub
from backup.repository import Repository
from backup.restic_errors import explain
from backup.schema import check_known
from backup.settings import Settings
from backup.sqlite import FILENAME, read_manifest
from backup.steps import Say, Step
from backup.trial_server import trial_server

_COMPLAINTS = 100
_NEWEST_BLOCK = "SELECT id FROM block_document ORDER BY updated DESC LIMIT 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drilled:
    """A snapshot that was brought back, and how long that took.

    Args:
        restore_seconds: To fetch and restore it.
        total_seconds: With all that was looked at: the time to recovery (RTO), but for the time
            that a person takes.
        age_seconds: Of the snapshot when the drill began: what would be lost (RPO).
        found: What it holds, for people.
        server_seconds: Until a Prefect server answered; None where none was needed.
    """

    restore_seconds: float
    total_seconds: float
    age_seconds: float
    found: str
    server_seconds: float | None = None

    def __str__(self) -> str:
        """Return it as one line."""
        server = (
            "" if self.server_seconds is None else f", server start {self.server_seconds:.1f} s"
        )
        return (
            f"{self.found}; RTO {self.total_seconds:.1f} s (restore {self.restore_seconds:.1f} s"
            f"{server}), RPO {self.age_seconds:.0f} s"
        )


def drill(settings: Settings, repository: Repository, snapshot: Snapshot, *, say: Say) -> Drilled:
    """Bring *snapshot* back into a folder of its own, look whether it is whole, and remove it.

    Raises:
        Unverified: What comes back is not what was backed up, or Prefect cannot work on it.
        SchemaTooNew: It is of a newer Prefect than the one here.
        BackupError: The repository, or the machine, is at fault.
    """
    with scratch.workspace(settings.scratch_dir) as folder:
        drilling = _Drilling(settings, repository, snapshot, say, folder)
        match snapshot.kind:
            case Kind.DATABASE:
                return drilling.database()
            case Kind.OBJECTS:
                return drilling.folder(objects.verify)
            case Kind.VOLUMES:
                return drilling.folder(volumes.verify)
            case Kind.ENCRYPTION_KEY:
                raise SourceUnavailable("the encryption key is tried with the database's drill")


class _Drilling:
    """A drill under way."""

    def __init__(
        self, settings: Settings, repository: Repository, snapshot: Snapshot, say: Say, folder: Path
    ) -> None:
        self._settings = settings
        self._repository = repository
        self._snapshot = snapshot
        self._say = say
        self._folder = folder
        self._age = (datetime.now(UTC) - snapshot.time).total_seconds()
        self._began = time.monotonic()

    def folder(self, verify: Callable[[Path], str]) -> Drilled:
        self._say(Step("fetching the snapshot"))
        fetched = self._folder / "fetched"
        self._repository.fetch_folder(self._snapshot, fetched)
        restored = self._seconds
        return self._drilled(restored, verify(fetched))

    def database(self) -> Drilled:
        expected = self._expected()
        check_known(expected)
        key = _key(self._settings)
        on = {"postgresql": self._on_postgres, "sqlite": self._on_sqlite}[expected.engine]
        with on(expected) as (url, block):
            restored = self._seconds
            self._say(Step("starting a Prefect server"))
            with trial_server(url, key, self._folder) as server:
                started = self._seconds - restored
                self._say(Step("asking the Prefect server"))
                server.check_runs(expected)
                if block is not None:
                    server.check_block(block)
        return self._drilled(restored, _found(expected, block, key), started)

    def _expected(self) -> Manifest:
        try:
            return Manifest.from_tags(self._snapshot.tags)
        except (KeyError, ValueError) as error:
            raise Unverified(
                f"the snapshot {self._snapshot.id[:8]} does not say how many rows it holds"
            ) from error

    @contextmanager
    def _on_postgres(self, expected: Manifest) -> Iterator[tuple[str, str | None]]:
        self._say(Step("starting a PostgreSQL"))
        with scratch.postgres(self._folder) as postgres:
            self._say(Step("restoring the dump"))
            with postgres.connect() as connection:
                _make_trigrams(connection, self._snapshot.tags.get("pg_trgm"))
                self._pour(_pg_restore(postgres))
                self._say(Step("counting rows"))
                tables.compare(expected, _manifest_of(connection))
                row = connection.execute(_NEWEST_BLOCK).fetchone()
            yield postgres.prefect_url, str(row[0]) if row else None

    @contextmanager
    def _on_sqlite(self, expected: Manifest) -> Iterator[tuple[str, str | None]]:
        self._say(Step("fetching the database"))
        file = self._folder / FILENAME
        self._pour(Command(argv=["dd", f"of={file}", "bs=1M", "status=none"]))
        self._say(Step("counting rows"))
        tables.compare(expected, _manifest_of_file(file))
        with closing(sqlite3.connect(file)) as connection:
            row = connection.execute(_NEWEST_BLOCK).fetchone()
        yield f"sqlite+aiosqlite:///{file}", str(row[0]) if row else None

    def _pour(self, into: Command) -> None:
        dump = self._repository.dump_command(self._snapshot)
        said: deque[str] = deque(maxlen=_COMPLAINTS)
        try:
            pipe(dump, into, timeout=self._settings.timeout_seconds, on_complaint=said.append)
        except ProgramFailed as error:
            if error.program == "restic":
                raise explain(error, [scrub(line, dump.env) for line in said]) from None
            if error.program == "pg_restore" and type(error) is ProgramFailed:
                raise Unverified(f"the dump cannot be restored: {error}") from error
            raise

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _drilled(self, restored: float, found: str, started: float | None = None) -> Drilled:
        return Drilled(
            restore_seconds=restored,
            server_seconds=started,
            total_seconds=self._seconds,
            age_seconds=self._age,
            found=found,
        )


def _pg_restore(postgres: scratch.Postgres) -> Command:
    arguments = ["--schema=public", "--no-owner", "--no-acl", "--single-transaction"]
    program = str(newest("pg_restore").path)
    return Command(argv=[program, *arguments, "--dbname=postgres"], env=postgres.environment)


def _make_trigrams(connection: psycopg.Connection, schema: str | None) -> None:
    """Make the extension whose operators Prefect's indexes name, where the dump expects it."""
    if schema is None:
        return
    name = restore_sql.identifier(schema)
    connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name))
    connection.execute(sql.SQL("CREATE EXTENSION pg_trgm WITH SCHEMA {}").format(name))


def _manifest_of(connection: psycopg.Connection) -> Manifest:
    try:
        return tables.manifest(connection)
    except (SourceUnavailable, psycopg.Error) as error:
        raise Unverified(f"what was restored cannot be read: {error}") from error


def _manifest_of_file(file: Path) -> Manifest:
    try:
        return read_manifest(file)
    except (SourceUnavailable, sqlite3.Error) as error:
        raise Unverified(f"what was restored cannot be read: {error}") from error


def _key(settings: Settings) -> SecretStr | None:
    # Where Prefect keeps its key in the database, none was ever kept apart, and there may be no
    # password for it.
    if not settings.has_encryption_key and not settings.key_password_file.exists():
        return None
    if Repository.of_keys(settings).restic.is_there():
        return encryption_key.newest(settings)
    return encryption_key.read_key(settings.encryption_key_file)


def _found(manifest: Manifest, block: str | None, key: SecretStr | None) -> str:
    kept = "the key kept apart" if key else "the key in the database"
    decrypted = f"a block decrypted with {kept}" if block else "no block to decrypt"
    runs, rows = manifest.rows["flow_run"], sum(manifest.rows.values())
    return f"{runs:,} flow runs of {rows:,} rows, {decrypted}"
