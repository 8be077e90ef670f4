"""Replaces what a PostgreSQL database holds by a snapshot, in one transaction or not at all."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg.conninfo import make_conninfo

from backup import restore_sql
from backup.database import Database
from backup.errors import BackupError, ProgramFailed, SourceUnavailable, Unverified
from backup.model import Snapshot
from backup.postgres import PostgresSource
from backup.postgres_programs import newest
from backup.programs import Command
from backup.restore_model import SAFETY_TAGS, After, Task, There, putting_aside
from backup.restore_stream import Session, first_lines, output_of, session
from backup.steps import Say, Step

_CONNECT_SECONDS = "15"
_LOOK_SECONDS = 60
_LOOK_LOCK_SECONDS = 5
# pg_restore --list begins with a header of comments.
_LISTED_LINES = 20
_DUMPED_FROM = re.compile(r"Dumped from database version: (\d+)")
_TRIGRAMS = "pg_trgm"
_NOT_KNOWN = "not known"
_TIMEOUT_SINCE = 17
_TIMEOUT = b"SET transaction_timeout = 0;\n"


def look(task: Task) -> There:
    """Return what is in the database now, after making sure that it can be replaced.

    Nothing is changed.

    Raises:
        SourceUnavailable: It does not answer, or its role may not; with the mend.
        ProgramFailed: The dump cannot be read.
    """
    with connection(task.into) as open_connection:
        open_connection.execute(f"SET lock_timeout = '{_LOOK_LOCK_SECONDS}s'")
        _check_versions(task, open_connection)
        _check_rights(open_connection)
        _check_extension(open_connection, task.snapshot.tags.get(_TRIGRAMS))
        return _there(open_connection, task.snapshot)


def replace(task: Task, there: There, say: Say) -> Snapshot | None:
    """Put the snapshot in the place of what *there* is; return what that was kept as, if it was.

    Raises:
        BackupError: It failed, and the database is as it was.
    """
    with tempfile.TemporaryDirectory(prefix="prefect-restore-") as folder:
        client = Command(argv=[str(newest("psql").path)], env=task.into.environment(Path(folder)))
        with session(client, timeout=task.timeout) as psql:
            say(Step("waiting until nobody writes"))
            psql.run(restore_sql.begin() + restore_sql.lock("EXCLUSIVE"))
            safety = None if there.empty else _put_aside(task, say)
            say(Step("waiting until nobody reads"))
            clear = restore_sql.clear(kept=safety is not None)
            psql.run(restore_sql.lock("ACCESS EXCLUSIVE") + clear)
            _fill(task, psql, say, old=there.version < _TIMEOUT_SINCE)
            say(Step("verifying"))
            psql.run(restore_sql.verify(task.manifest))
            _commit(psql, say)
    return safety


def finish(task: Task, say: Say) -> After:
    """Let PostgreSQL look at its new rows, and return what a person must know of them.

    Raises:
        SourceUnavailable: The database does not answer.
    """
    say(Step("gathering statistics"))
    with connection(task.into) as open_connection:
        open_connection.execute("SET statement_timeout = 0")
        open_connection.execute("ANALYZE")
        [(due, running)] = open_connection.execute(
            "SELECT count(*) FILTER (WHERE state_type = 'SCHEDULED'"
            " AND next_scheduled_start_time < now()),"
            " count(*) FILTER (WHERE state_type = 'RUNNING') FROM public.flow_run"
        ).fetchall()
        found = open_connection.execute(
            "SELECT rolname::text FROM pg_roles WHERE rolcanlogin AND NOT rolsuper"
            " AND has_table_privilege(oid, 'public.flow_run', 'SELECT')"
            " AND has_schema_privilege(oid, 'public', 'USAGE') ORDER BY 1"
        ).fetchall()
    return After(due=due, running=running, roles=[role for (role,) in found])


@contextmanager
def connection(database: Database) -> Iterator[psycopg.Connection]:
    """Connect to *database* for a few statements, each committed by itself.

    Raises:
        SourceUnavailable: It does not answer, or one of the statements fails.
    """
    try:
        address = make_conninfo(**{"connect_timeout": _CONNECT_SECONDS} | database.conninfo())
        with psycopg.connect(address, autocommit=True, prepare_threshold=None) as opened:
            opened.execute(f"SET statement_timeout = '{_LOOK_SECONDS}s'")
            yield opened
    except psycopg.Error as error:
        said = str(error).partition("\n")[0]
        raise SourceUnavailable(f"{database.shown}: {said}") from error


def _commit(psql: Session, say: Say) -> None:
    say(Step("committing"))
    try:
        psql.run("COMMIT;")
    except BackupError as error:
        error.add_note("Whether it was restored is not known: look, or restore once more.")
        raise


def _put_aside(task: Task, say: Say) -> Snapshot:
    say(Step("keeping what is there now"))
    with putting_aside("restore into a new, empty database"):
        return PostgresSource(task.into, task.scratch, tags=SAFETY_TAGS).save(task.repository)


def _fill(task: Task, psql: Session, say: Say, *, old: bool) -> None:
    if schema := task.snapshot.tags.get(_TRIGRAMS):
        psql.run(restore_sql.extension(schema))
    done, total = 0, task.snapshot.size_bytes
    programs = [task.repository.dump_command(task.snapshot), _pg_restore("--file=-")]
    with _explained(task), closing(output_of(programs)) as chunks:
        for chunk in chunks:
            # Near its beginning; no server below 17 knows it, and pg_restore of 17 writes it.
            psql.send(chunk.replace(_TIMEOUT, b"") if old and not done else chunk)
            done += len(chunk)
            # SQL is a little longer or shorter than the dump that it is made from.
            say(Step("restoring", min(done, total), total))
    say(Step("restoring", total, total))


@contextmanager
def _explained(task: Task) -> Iterator[None]:
    try:
        yield
    except ProgramFailed as error:
        if error.program != "pg_restore":
            raise
        raise Unverified(
            f"the dump in the snapshot {task.snapshot.id:.8} is not whole: {error}"
        ) from error


def _pg_restore(*arguments: str) -> Command:
    # The one schema: no extension, no large object, whose COMMIT would come early.
    return Command(
        argv=[
            str(newest("pg_restore").path),
            "--schema=public",
            "--no-owner",
            "--no-acl",
            *arguments,
        ]
    )


def _check_versions(task: Task, open_connection: psycopg.Connection) -> None:
    programs = [task.repository.dump_command(task.snapshot, lock=False), _pg_restore("--list")]
    with _explained(task):
        header = first_lines(programs, _LISTED_LINES)
    found = _DUMPED_FROM.search("".join(header))
    if found is None:
        raise Unverified(f"the snapshot {task.snapshot.id:.8} holds no dump of PostgreSQL's")
    server = open_connection.info.server_version // 10_000
    if server < int(found[1]):
        raise SourceUnavailable(
            f"{task.into.shown} is PostgreSQL {server} and the dump is of {found[1]}: restore into"
            f" {found[1]} or newer"
        )


def _check_rights(open_connection: psycopg.Connection) -> None:
    role = open_connection.info.user
    rows = open_connection.execute(
        "SELECT pg_is_in_recovery(), has_schema_privilege('public', 'CREATE')"
    ).fetchall()
    [(standby, may_create)] = rows
    if standby:
        raise SourceUnavailable("this server is a standby: name the primary")
    if not may_create:
        raise SourceUnavailable(
            f"the role {role} may make nothing in schema public: name the role that owns Prefect's"
            f" tables, or: GRANT CREATE ON SCHEMA public TO {role}"
        )
    others = open_connection.execute(restore_sql.not_ours().encode()).fetchall()
    if others:
        named = ", ".join(f"{kind} {name} ({owner})" for kind, name, owner in others)
        raise SourceUnavailable(
            f"the role {role} may not drop what others own: {named}; name their owner's role"
        )


def _check_extension(open_connection: psycopg.Connection, schema: str | None) -> None:
    if schema is None:
        return
    [(there, available, may_create)] = open_connection.execute(
        "SELECT"
        " (SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = %(name)s),"
        " EXISTS (SELECT FROM pg_available_extensions WHERE name = %(name)s),"
        " has_database_privilege(current_database(), 'CREATE')",
        {"name": _TRIGRAMS},
    ).fetchall()
    if there is not None and there != schema:
        raise SourceUnavailable(
            f"the extension pg_trgm is in schema {there} and was in {schema}; as its owner:"
            f" ALTER EXTENSION pg_trgm SET SCHEMA {schema}"
        )
    if there is None and not (available and may_create):
        raise SourceUnavailable(
            "the extension pg_trgm is missing, and this role cannot make it; as a superuser:"
            f" CREATE EXTENSION pg_trgm WITH SCHEMA {schema}"
        )


def _there(open_connection: psycopg.Connection, snapshot: Snapshot) -> There:
    version = open_connection.info.server_version // 10_000
    [(tables, revisions)] = open_connection.execute(
        "SELECT count(*), to_regclass('public.alembic_version') IS NOT NULL FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
    ).fetchall()
    if not tables:
        return There(version=version)
    if not revisions:
        raise SourceUnavailable(
            f"schema public of {open_connection.info.dbname} holds {tables} tables that are not"
            " Prefect's: name Prefect's database, or an empty one"
        )
    [(revision,)] = _asked(
        open_connection, "SELECT max(version_num) FROM public.alembic_version"
    ) or [(None,)]
    [(runs, since)] = _asked(
        open_connection,
        "SELECT count(*), count(*) FILTER (WHERE created > %s) FROM public.flow_run",
        snapshot.time,
    ) or [(None, 0)]
    return There(version=version, revision=revision or _NOT_KNOWN, runs=runs, since=since)


def _asked(
    open_connection: psycopg.Connection, query: LiteralString, *values: object
) -> list[tuple[Any, ...]]:
    """Return the rows, of which there are none where that takes too long.

    A migration that hangs, with locks on everything, is a reason to restore: whoever holds them is
    ended later on.
    """
    try:
        return open_connection.execute(query, values).fetchall()
    except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable):
        return []
