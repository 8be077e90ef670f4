"""Copies of the runs in a Prefect database, with all that belongs to them, made by the database."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import asyncpg  # type: ignore[import-untyped]  # it ships no types

TABLES = (
    "flow_run",
    "flow_run_state",
    "task_run",
    "task_run_state",
    "log",
    "events",
    "event_resources",
)
"""The tables that grow with every run."""

_BATCH = 500
_KEYS = ("id", "flow_run_id", "task_run_id", "state_id", "event_id", "follows")
_NAMED = ("resource", "resource_id", "related", "related_resource_ids")

# An id of version 7 begins with a time in ms, which moves along: indexes fill from their end then.
_FUNCTIONS = """
create or replace function pg_temp.bench_id(old uuid, number int, ago interval) returns uuid
language sql immutable as $$
    select (
        case when substr(old::text, 15, 1) = '7' then lpad(to_hex(
            ('x' || substr(replace(old::text, '-', ''), 1, 12))::bit(48)::bigint
            - (extract(epoch from ago) * 1000)::bigint
        ), 12, '0') || '7' || substr(md5(old::text || number), 14)
        else md5(old::text || number) end
    )::uuid
$$;
"""

# What each template row is about: its flow run, and its task run where it has one.
_ABOUT = """
create temporary table about as
select
    id as event_id,
    substring(known from 'prefect\\.flow-run\\.([0-9a-f-]{36})')::uuid as flow_run_id,
    substring(known from 'prefect\\.task-run\\.([0-9a-f-]{36})')::uuid as task_run_id
from (select id, resource_id || related_resource_ids::text as known from events) as every
where known ~ 'prefect\\.flow-run\\.';
"""


@dataclass(frozen=True, slots=True)
class Copies:
    """How many copies of each template run to make, spread over so many days before them."""

    number: int
    days: float


def multiply(url: str, copies: Copies) -> None:
    """Copy every run of the database, the oldest first; ids and times are new, sizes the same.

    Args:
        url: The database as libpq takes it; the runs in it are the templates.
        copies: How many, and how long ago.
    """
    asyncio.run(_multiply(url, copies))


async def _multiply(url: str, copies: Copies) -> None:
    con = await asyncpg.connect(url, command_timeout=None)
    try:
        # Rows refer to each other; a replica does not check that.
        await con.execute("set session_replication_role = replica")
        await con.execute(_FUNCTIONS + _ABOUT)
        for table in TABLES:
            await con.execute(f"create temporary table template_{table} as table {table}")
        statements = [await _statement(con, table, copies) for table in TABLES]
        for last in range(copies.number, 0, -_BATCH):
            async with con.transaction():
                for statement in statements:
                    await con.execute(statement, max(last - _BATCH, 0) + 1, last)
        await con.execute("vacuum analyze")
        await con.execute("checkpoint")
    finally:
        await con.close()


async def _statement(con: asyncpg.Connection, table: str, copies: Copies) -> str:
    rows = await con.fetch(
        "select column_name as name, data_type as type from information_schema.columns"
        " where table_name = $1 and is_generated = 'NEVER' order by ordinal_position",
        table,
    )
    columns = {row["name"]: row["type"] for row in rows}
    values = ", ".join(_value(table, name, kind) for name, kind in columns.items())
    step = copies.days * 86400 / copies.number
    event = {"events": "id", "event_resources": "event_id"}.get(table)
    about = f"join about on about.event_id = old.{event}" if event else ""
    return (
        f"insert into {table} ({', '.join(columns)}) select {values} from"  # noqa: S608  # our own names, and the database's
        f" (select number, number * interval '{step:.6f} s' as ago"
        " from generate_series($1::int, $2::int) as number order by number desc) as copy"
        f" cross join template_{table} as old {about}"
    )


def _value(table: str, name: str, kind: str) -> str:
    if name in _KEYS:
        return f"pg_temp.bench_id(old.{name}, number, ago)"
    if kind == "timestamp with time zone":
        return f"old.{name} - ago"
    if table == "flow_run" and name == "name":
        return "left(md5(old.name || number), length(old.name))"
    if table in ("events", "event_resources") and name in _NAMED:
        return _renamed(f"old.{name}", kind)
    return f"old.{name}"


def _renamed(column: str, kind: str) -> str:
    text = f"{column}::text"
    for key in ("about.flow_run_id", "about.task_run_id"):
        new = f"pg_temp.bench_id({key}, number, ago)::text"
        text = f"coalesce(replace({text}, {key}::text, {new}), {text})"
    return f"({text})::{kind}"


@dataclass(frozen=True, slots=True)
class Size:
    """What a table takes on disk, in bytes; the heap with its TOAST and maps."""

    rows: int
    heap: int
    indexes: int


def sizes(url: str) -> Mapping[str, Size]:
    """Return the exact sizes of `TABLES`."""
    return asyncio.run(_sizes(url))


async def _sizes(url: str) -> dict[str, Size]:
    con = await asyncpg.connect(url)
    try:
        found = {}
        for table in TABLES:
            row = await con.fetchrow(
                f"select (select count(*) from {table}), pg_table_size('{table}'),"  # noqa: S608  # our own names
                f" pg_indexes_size('{table}')"
            )
            found[table] = Size(*row)
        return found
    finally:
        await con.close()
