"""Run Prefect's own vacuum once, in a process of its own: ``python vacuum_once.py``.

It prints how long flow runs and events took, in seconds, as JSON. What is deleted, and from where,
is in the environment, as for a server.
"""

from __future__ import annotations

import asyncio
import json
import time

from prefect.server.database import provide_database_interface
from prefect.server.services import db_vacuum


async def main() -> dict[str, float]:
    """Return the seconds of each kind."""
    kinds = {"flow_runs": db_vacuum.vacuum_old_flow_runs, "events": db_vacuum.vacuum_old_events}
    db = provide_database_interface()
    seconds = {}
    for name, vacuum in kinds.items():
        began = time.monotonic()
        await vacuum(db=db)
        seconds[name] = time.monotonic() - began
    return seconds


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main())))
