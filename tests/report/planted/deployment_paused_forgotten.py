"""A deployment paused forty days ago, and one whose only schedule is switched off."""

from __future__ import annotations

from collections.abc import Sequence

from report.world import DAY, World


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant it."""
    flow = world.flow("deployment-paused-forgotten")
    world.deployment(flow, "paused", cron="0 3 * * *", paused=True, updated_ago=40 * DAY)
    world.deployment(flow, "switched off", cron="0 4 * * *", schedule_active=False)
    check = "deployment-paused-forgotten"
    return [(check, f"{check}/paused"), (check, f"{check}/switched off")]
