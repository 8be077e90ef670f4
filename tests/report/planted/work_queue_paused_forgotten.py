"""A paused queue of a pool that works, with a deployment that is due every day."""

from __future__ import annotations

from collections.abc import Sequence

from report.world import DAY, World

POOL = "work-queue-paused-forgotten"


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant it."""
    world.pool(POOL)
    world.worker(POOL, "work-queue-paused-forgotten-1")
    world.queue(POOL, "slow", paused=True)
    flow = world.flow("work-queue-paused-forgotten")
    deployment = world.deployment(flow, "daily", cron="0 3 * * *", pool=POOL, queue="slow")
    for day in range(1, 4):
        world.run(flow, deployment, ended_ago=day * DAY, state="Late")
    return [("work-queue-paused-forgotten", f"work queue {POOL}/slow")]
