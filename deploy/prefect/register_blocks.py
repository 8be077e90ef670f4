"""Write Prefect's block types into the database, once, before several replicas start.

Each replica would do so at its start. Of two that start at once on an empty database, the slower
ends with "duplicate key value violates unique constraint uq_block_type__slug" (Prefect 3.8.8). So
prefect-migrate runs this, and replicas have PREFECT_SERVER_REGISTER_BLOCKS_ON_START=false.
"""  # noqa: INP001  # run by its path

from __future__ import annotations

import asyncio

from prefect.server.database import provide_database_interface
from prefect.server.models.block_registration import run_block_auto_registration


async def main() -> None:
    """Register what the replicas would, as they would."""
    async with await provide_database_interface().session() as session:
        await run_block_auto_registration(session=session)


if __name__ == "__main__":
    asyncio.run(main())
