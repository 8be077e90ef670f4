"""Real flow runs of a real worker, to be copied: every row and event that one leaves behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]  # it ships no types

from demo.api import ask
from demo.deployments import start_run
from demo.prefect_server import PrefectServer
from demo.processes import wait_until
from demo.sandbox import Sandbox
from demo.worker import start_worker

POOL = "bench-process"
"""The pool of the deployments that are copied."""

DEPLOYMENTS = 40
"""How many deployments there are; the template runs belong to the first of them."""

_WITHIN_SECONDS = 240.0
_TAGS = ("team:payments", "tier:1")


def run_templates(sandbox: Sandbox, server: PrefectServer, url: str, runs: int) -> list[str]:
    """Have a worker run a deployment that often, and wait until all of it is in the database.

    Args:
        sandbox: Where the worker runs.
        server: The server, with its background services.
        url: Its database, as libpq takes it.
        runs: How many runs.

    Returns:
        The ids of all deployments.
    """
    with server.client() as client:
        ask(client, "/work_pools/", name=POOL, type="process")
        flow = ask(client, "/flows/", name="five-tasks", tags=list(_TAGS))["id"]
        ids = [
            ask(
                client,
                "/deployments/",
                name=f"bench-{number}",
                flow_id=flow,
                path=str(Path(__file__).parent),
                entrypoint="template_flow.py:five_tasks",
                work_pool_name=POOL,
                tags=list(_TAGS),
            )["id"]
            for number in range(DEPLOYMENTS)
        ]
        worker = start_worker(sandbox, server, pool=POOL, limit=2)
        for _ in range(runs):
            start_run(client, ids[0])
        wait_until(lambda: _settled(url, runs), within=_WITHIN_SECONDS, what="the template runs")
        worker.stop()
    return ids


def _settled(url: str, runs: int) -> bool:
    """Whether all runs have ended, and nothing more is being written about them."""
    return asyncio.run(_counts(url)) == (runs, 5 * runs, runs)


async def _counts(url: str) -> tuple[int, ...]:
    con = await asyncpg.connect(url)
    try:
        asked = (
            "select count(*) from flow_run where state_type = 'COMPLETED'",
            "select count(*) from task_run where state_type = 'COMPLETED'",
            # The last that is written of a run, by the worker.
            "select count(*) from events where event = 'prefect.worker.executed-flow-run'",
        )
        return tuple([await con.fetchval(each) for each in asked])
    finally:
        await con.close()
