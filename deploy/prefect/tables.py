"""Tell PostgreSQL how often to vacuum the tables that grow with every run; run it as their owner.

By default it waits for a fifth of a table to be dead, and so for a day's worth of rows and more of
tables that keep a week. Idempotent, so that a new table or value takes effect with the next start.
The shares and why: docs/scaling.md.
"""  # noqa: INP001  # run by its path

from __future__ import annotations

import asyncio
import sys

import sqlalchemy as sa
from prefect.server.database import provide_database_interface
from sqlalchemy.exc import DBAPIError

TABLES = (
    "flow_run",
    "flow_run_state",
    "task_run",
    "task_run_state",
    "log",
    "events",
    "event_resources",
    "artifact",
)
_OPTIONS = (
    # Dead rows, and new ones: what is read by index alone wants the map of visible pages.
    "autovacuum_vacuum_scale_factor = 0.02",
    "autovacuum_vacuum_insert_scale_factor = 0.05",
    "autovacuum_analyze_scale_factor = 0.02",
)


async def main() -> None:
    """Set the options; where a table is not free within 5 s, say so: Prefect serves without."""
    try:
        async with await provide_database_interface().session() as session:
            await session.execute(sa.text("SET LOCAL lock_timeout = '5s'"))
            for table in TABLES:
                await session.execute(sa.text(f"ALTER TABLE {table} SET ({', '.join(_OPTIONS)})"))
            await session.commit()
    except DBAPIError as error:
        print(f"tables.py: autovacuum is set as before: {error.orig}", file=sys.stderr)


if __name__ == "__main__":
    asyncio.run(main())
