"""Prefect's tables: which they are, how many rows each has, and of which schema they are."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

import psycopg
from psycopg import sql

from backup.errors import SourceUnavailable, Unverified
from backup.model import Manifest

_NEEDED = frozenset({"alembic_version", "block_document", "deployment", "flow", "flow_run"})
_NAMED = 5

# A name goes into a tag, which can hold no comma and no equals sign; Prefect's are all like this.
_TABLES = """
SELECT relname::text FROM pg_catalog.pg_class AS t
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
  AND relname ~ '^[a-z][a-z0-9_]*$'
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend
    WHERE classid = 'pg_class'::regclass AND objid = t.oid AND deptype = 'e'
  )
ORDER BY relname
"""
_SQLITE_TABLES = """
SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
  AND name NOT GLOB '*[^a-z0-9_]*' ORDER BY name
"""


def manifest(connection: psycopg.Connection) -> Manifest:
    """Return what Prefect's database on PostgreSQL holds, as this transaction sees it.

    Raises:
        SourceUnavailable: It is no database of Prefect's, or a table may not be read or is locked.
    """
    found = [str(name) for (name,) in connection.execute(_TABLES)]
    _check_prefect(found)
    revisions = connection.execute("SELECT version_num FROM public.alembic_version").fetchall()
    rows = {name: _count(connection, name) for name in found if name != "alembic_version"}
    return Manifest(engine="postgresql", revision=_only(revisions), rows=rows)


def sqlite_manifest(connection: sqlite3.Connection) -> Manifest:
    """Return what Prefect's database on SQLite holds.

    Raises:
        SourceUnavailable: It is no database of Prefect's.
        sqlite3.Error: It cannot be read.
    """
    found = [str(name) for (name,) in connection.execute(_SQLITE_TABLES)]
    _check_prefect(found)
    revisions = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    rows = {
        # The names are of letters, digits and underscores, by the query above.
        name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]  # noqa: S608
        for name in found
        if name != "alembic_version"
    }
    return Manifest(engine="sqlite", revision=_only(revisions), rows=rows)


def compare(expected: Manifest, actual: Manifest) -> None:
    """Make sure that what was restored is what was backed up.

    Raises:
        Unverified: It is not; the message names the schema, or tables with both numbers.
    """
    if expected.revision != actual.revision:
        raise Unverified(
            f"the restored schema is {actual.revision:.40}, and was {expected.revision:.40} when it"
            " was backed up"
        )
    different = [
        f"{table} has {_shown(actual.rows, table)} and had {_shown(expected.rows, table)}"
        for table in sorted({*expected.rows, *actual.rows})
        if expected.rows.get(table) != actual.rows.get(table)
    ]
    if different:
        more = f", and {len(different) - _NAMED} more tables" if len(different) > _NAMED else ""
        shown = "; ".join(different[:_NAMED])
        raise Unverified(f"the restored rows are not those that were backed up: {shown}{more}")


def _count(connection: psycopg.Connection, table: str) -> int:
    query = sql.SQL("SELECT count(*) FROM public.{}").format(sql.Identifier(table))
    try:
        [(number,)] = connection.execute(query).fetchall()
    except psycopg.errors.InsufficientPrivilege as error:
        raise SourceUnavailable(
            f"the role {connection.info.user} may not read all rows of the table {table}: give it"
            " pg_read_all_data, and BYPASSRLS where the table has row-level security"
        ) from error
    except psycopg.errors.LockNotAvailable as error:
        raise SourceUnavailable(
            f"something holds a lock on the table {table}, such as a migration of Prefect; the next"
            " run tries again"
        ) from error
    return int(number)


def _check_prefect(found: Sequence[str]) -> None:
    if missing := _NEEDED - {*found}:
        raise SourceUnavailable(
            f"this is no database of a Prefect server: it has no {', '.join(sorted(missing))} in"
            " the schema public; name the database that the server uses"
        )


def _only(revisions: Sequence[tuple[object, ...]]) -> str:
    if len(revisions) != 1:
        raise SourceUnavailable(
            f"alembic_version has {len(revisions)} rows instead of one: a migration of Prefect did"
            " not end; let `prefect server database upgrade` end it"
        )
    return str(revisions[0][0])


def _shown(rows: Mapping[str, int], table: str) -> str:
    return f"{rows[table]:,} rows" if table in rows else "none such"
