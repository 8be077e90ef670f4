"""Two deployments of one entrypoint and one schedule, which ran at the same times on five days."""

from __future__ import annotations

from collections.abc import Sequence

from report.world import DAY, World


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant it."""
    flow = world.flow("deployment-duplicate")
    for name, age in (("old", 90), ("new", 60)):
        deployment = world.deployment(
            flow,
            name,
            cron="0 3 * * *",
            entrypoint="flows.py:duplicate",
            created_ago=age * DAY,
        )
        for day in range(1, 6):
            world.run(flow, deployment, ended_ago=(day + 0.37) * DAY, seconds=900)
    return [("deployment-duplicate", "deployment-duplicate/new")]
