"""A pool with a schedule, a run that is due, and a worker that was last heard a day ago."""

from __future__ import annotations

from collections.abc import Sequence

from report.world import DAY, HOUR, World

POOL = "work-pool-without-worker"


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant it."""
    world.pool(POOL)
    world.worker(POOL, "gone", heard_ago=DAY)
    flow = world.flow("work-pool-without-worker")
    deployment = world.deployment(flow, "daily", cron="0 3 * * *", pool=POOL)
    world.run(flow, deployment, ended_ago=2.4 * DAY)
    world.run(flow, deployment, ended_ago=3 * HOUR, state="Late")
    return [("work-pool-without-worker", f"work pool {POOL}")]
