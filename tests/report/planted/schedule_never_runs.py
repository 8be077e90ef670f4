"""A deployment that is due every hour, and of which there is no run."""

from __future__ import annotations

from collections.abc import Sequence

from report.world import World


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant it."""
    flow = world.flow("schedule-never-runs")
    world.deployment(flow, "hourly", cron="0 * * * *")
    return [("schedule-never-runs", "schedule-never-runs/hourly")]
