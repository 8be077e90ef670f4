"""A paused pool with a deployment that is due every day, and its runs, which are all late."""

from __future__ import annotations

from collections.abc import Sequence

from report.world import DAY, World

POOL = "work-pool-paused-forgotten"


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant it."""
    world.pool(POOL, paused=True)
    flow = world.flow("work-pool-paused-forgotten")
    deployment = world.deployment(flow, "daily", cron="0 3 * * *", pool=POOL)
    for day in range(1, 4):
        world.run(flow, deployment, ended_ago=day * DAY, state="Late")
    return [("work-pool-paused-forgotten", f"work pool {POOL}")]
