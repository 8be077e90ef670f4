"""A deployment that is due every five minutes, and takes ten."""

from __future__ import annotations

from collections.abc import Sequence

from report.world import World


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant it."""
    flow = world.flow("schedule-denser-than-duration")
    deployment = world.deployment(flow, "often", cron="*/5 * * * *")
    for number in range(30):
        world.run(flow, deployment, ended_ago=60 + number * 300, seconds=600)
    return [("schedule-denser-than-duration", "schedule-denser-than-duration/often")]
