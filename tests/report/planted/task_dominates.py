"""A flow that loads twenty tables one after the other, two hours a day."""

from __future__ import annotations

from collections.abc import Sequence

from report.world import DAY, World


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant six runs of two hours, in which one task runs twenty times in a row."""
    flow = world.flow("task-dominates", tags=["team:data"])
    daily = world.deployment(flow, "daily", tags=["team:data"])
    for day in range(6):
        run = world.run(flow, daily, ended_ago=(day + 0.5) * DAY, seconds=7200)
        world.task(run, "list_tables", seconds=60)
        for number in range(20):
            world.task(run, "load_table", seconds=340, after=60 + number * 345)
    return [("task-dominates", "task-dominates/daily")]
