"""Dumps Prefect's PostgreSQL, and says of the dump how many rows of which schema it holds."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import IsolationLevel
from psycopg.conninfo import make_conninfo

from backup import sessions, tables
from backup.database import Database
from backup.errors import SourceUnavailable
from backup.model import Kind, Manifest, Snapshot
from backup.postgres_programs import Installed, newest
from backup.programs import Command
from backup.repository import Repository

FILENAME = "prefect.dump"
"""What the dump is called in its snapshot: of ``pg_dump --format=custom``."""

_CONNECT_SECONDS = "15"

# Limits that the role or the database may have, and that are not meant for a dump.
_UNLIMITED = """
SELECT set_config(name, '0', false) FROM pg_catalog.pg_settings
WHERE name IN (
  'statement_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout',
  'transaction_timeout'
)
"""
_TRIGRAMS = """
SELECT extnamespace::regnamespace::text FROM pg_catalog.pg_extension WHERE extname = 'pg_trgm'
"""


class PostgresSource:
    """Prefect's database on PostgreSQL.

    Args:
        scratch: Not needed here; other sources have it.
        tags: Of the snapshot, beside the manifest's.
        lock_seconds: How long to wait for a table that something else has locked. All of Prefect
            waits behind whoever waits for a migration.
    """

    kind = Kind.DATABASE

    def __init__(
        self,
        database: Database,
        scratch: Path,
        *,
        tags: Mapping[str, str] | None = None,
        lock_seconds: int = 30,
    ) -> None:
        self._database = database
        self._tags = tags or {}
        self._lock_seconds = lock_seconds

    def save(self, repository: Repository) -> Snapshot:
        """Dump it into *repository*, exactly as one transaction sees it.

        Raises:
            SourceUnavailable: It cannot be read whole; the message says what to do.
            BackupError: Restic failed.
        """
        with _transaction(self._database, self._lock_seconds) as connection, _folder() as folder:
            program = newest("pg_dump")
            check_version(connection.info.server_version // 10_000, program)
            exported, manifest, extension = _described(connection)
            command = Command(
                argv=[str(program.path), *self._arguments(exported)],
                env=self._database.environment(folder),
            )
            with self._explained():
                return repository.save_command(
                    command,
                    kind=self.kind,
                    filename=FILENAME,
                    tags={**manifest.tags(), **extension, **self._tags},
                )

    def _arguments(self, exported: str) -> list[str]:
        return [
            "--format=custom",
            # Restic compresses, and finds what it has already only in what is not compressed.
            "--compress=0",
            f"--snapshot={exported}",
            "--schema=public",
            "--no-owner",
            "--no-acl",
            f"--lock-wait-timeout={self._lock_seconds}s",
            "--no-password",
        ]

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except SourceUnavailable as error:
            said = str(error).removeprefix("pg_dump: error: ")
            # It waits for locks with this one, and has no other.
            if "statement timeout" not in said:
                raise SourceUnavailable(f"pg_dump failed: {said}") from error
            raise SourceUnavailable(
                f"a table was locked for {self._lock_seconds} s, by a migration of Prefect or by"
                " hand; the next run tries again"
            ) from error


def check_version(server: int, program: Installed) -> None:
    """Make sure that *program*, a pg_dump, can dump a PostgreSQL of the major version *server*.

    Raises:
        SourceUnavailable: It is too old for that.
    """
    if server > program.major:
        raise SourceUnavailable(
            f"PostgreSQL {server} is newer than this image's pg_dump {program.major}, which cannot"
            f" dump it: update the stack, or install postgresql-client-{server} in the image"
        )


def _described(connection: psycopg.Connection) -> tuple[str, Manifest, Mapping[str, str]]:
    """Return the transaction's name, the manifest, and where Prefect's indexes' extension is."""
    try:
        exported = _value(connection, "SELECT pg_export_snapshot()")
        manifest = tables.manifest(connection)
        schema = _value(connection, _TRIGRAMS)
    except psycopg.Error as error:
        raise SourceUnavailable(f"the database could not be read: {_line(error)}") from error
    return exported, manifest, {"pg_trgm": schema} if schema else {}


@contextmanager
def _transaction(database: Database, lock_seconds: int) -> Iterator[psycopg.Connection]:
    def connect() -> psycopg.Connection:
        parts = {"connect_timeout": _CONNECT_SECONDS} | database.conninfo()
        return psycopg.connect(make_conninfo(**parts), autocommit=True, prepare_threshold=None)

    try:
        kept = sessions.are_kept(connect)
        connection = connect()
    except psycopg.Error as error:
        raise SourceUnavailable(f"{database.shown} does not answer: {_line(error)}") from error
    # Not as a context: where the connection breaks after the dump, the dump is whole all the same.
    try:
        if not kept:
            raise SourceUnavailable(
                f"{database.shown} is a pooler in transaction mode, and pg_dump needs a session"
                " for itself: name the server's own port, or a pooler's for sessions (Supabase:"
                " 5432 in place of 6543)"
            )
        _prepare(connection, lock_seconds)
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        connection.autocommit = False
        yield connection
    finally:
        connection.close()


def _prepare(connection: psycopg.Connection, lock_seconds: int) -> None:
    try:
        connection.execute(_UNLIMITED)
        # As pg_dump does: rather no dump than one without the rows that a policy hides.
        connection.execute("SET row_security = off")
        connection.execute(f"SET lock_timeout = '{lock_seconds}s'")
    except psycopg.Error as error:
        raise SourceUnavailable(f"the session cannot be set up: {_line(error)}") from error


@contextmanager
def _folder() -> Iterator[Path]:
    # In memory where the image runs: a password is in it.
    with tempfile.TemporaryDirectory(prefix="prefect-backup-") as folder:
        yield Path(folder)


def _value(connection: psycopg.Connection, query: str) -> str:
    row = connection.execute(query.encode()).fetchone()
    return str(row[0]) if row else ""


def _line(error: psycopg.Error) -> str:
    return str(error).partition("\n")[0]
