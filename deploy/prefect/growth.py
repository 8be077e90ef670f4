"""Let postgres_exporter, which may read no row, ask how old the oldest ones are.

The function `prefect_observability.tables()` runs with the rights of its owner. It tells of each
table that Prefect's vacuum prunes the age of the oldest row that it ought to prune one day, and how
old such a row may get. It stands in a schema of its own: a restore of `public` leaves it as it is.
prefect-migrate runs this each time, so the function always says what the settings say.
"""  # noqa: INP001  # run by its path

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from prefect.server.database import provide_database_interface
from prefect.server.schemas.states import TERMINAL_STATES
from prefect.settings import get_current_settings
from sqlalchemy.exc import DBAPIError

_SCHEMA = "prefect_observability"
_READER = "postgres_exporter"


@dataclass(frozen=True, slots=True)
class Pruned:
    """A table whose rows go once *time* of those that match *which* is *retention* ago."""

    table: str
    time: str
    which: str
    retention: timedelta


def pruned() -> Iterator[Pruned]:
    """Yield what the vacuum of this server prunes, by the conditions that it has itself."""
    server = get_current_settings().server
    vacuum = server.services.db_vacuum
    kinds = vacuum.enabled_vacuum_types
    if "events" in kinds and server.services.event_persister.enabled:
        for table in ("events", "event_resources"):
            yield Pruned(table, "occurred", "true", server.events.retention_period)
    if "flow_runs" in kinds:
        ended = ", ".join(f"'{state.value}'" for state in sorted(TERMINAL_STATES))
        which = f"parent_task_run_id IS NULL AND state_type IN ({ended})"
        yield Pruned("flow_run", "end_time", which, vacuum.retention_period)


def statements(tables: Iterable[Pruned]) -> list[str]:
    """Return the SQL that makes the function, or makes it anew.

    It is PL/pgSQL as its body then depends on no table: one that is dropped does not take it along.
    Each `min` is read from the end of an index. It waits for no lock, as a migration may hold one.
    """
    return [
        f"CREATE SCHEMA IF NOT EXISTS {_SCHEMA}",
        f"""
        CREATE OR REPLACE FUNCTION {_SCHEMA}.tables()
        RETURNS TABLE ("table" text, oldest_row_age_seconds float8, retention_seconds float8)
        LANGUAGE plpgsql STABLE SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp
        SET lock_timeout = '1s'
        AS $$ BEGIN {" ".join(map(_query, tables))} END $$
        """,
        f"REVOKE ALL ON FUNCTION {_SCHEMA}.tables() FROM PUBLIC",
        f"GRANT USAGE ON SCHEMA {_SCHEMA} TO {_READER}",
        f"GRANT EXECUTE ON FUNCTION {_SCHEMA}.tables() TO {_READER}",
    ]


def _query(of: Pruned) -> str:
    # Nothing in it is anybody's but ours.
    oldest = f"SELECT min({of.time}) FROM public.{of.table} WHERE {of.which}"  # noqa: S608
    age = f"coalesce(extract(epoch FROM now() - ({oldest})), 0)::float8"
    return f"RETURN QUERY SELECT '{of.table}', {age}, {of.retention.total_seconds()}::float8;"


async def main() -> None:
    """Make the function; where that may not be, say so: Prefect serves without it."""
    engine = await provide_database_interface().engine()
    try:
        async with engine.begin() as connection:
            for statement in statements(pruned()):
                await connection.execute(sa.text(statement))
    except DBAPIError as error:
        print(f"growth.py: there will be no prefect_table_* metrics: {error.orig}", file=sys.stderr)


if __name__ == "__main__":
    asyncio.run(main())
