"""A deployment of which every third run succeeds only when it is tried again."""

from __future__ import annotations

from collections.abc import Sequence

from report.world import HOUR, World


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant it."""
    flow = world.flow("retries-mask-failures")
    deployment = world.deployment(flow, "hourly")
    for number in range(30):
        world.run(
            flow,
            deployment,
            ended_ago=0.7 * HOUR + number * 5 * HOUR,
            seconds=20,
            attempts=2 if number % 3 == 0 else 1,
            retries=2,
        )
    return [("retries-mask-failures", "retries-mask-failures/hourly")]
