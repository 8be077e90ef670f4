"""A deployment of which each second run starts a quarter of an hour late, all week long."""

from __future__ import annotations

from collections.abc import Sequence

from report.world import HOUR, World


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant it."""
    flow = world.flow("late-chronic")
    deployment = world.deployment(flow, "often")
    for number in range(40):
        world.run(
            flow,
            deployment,
            ended_ago=1.9 * HOUR + number * 4 * HOUR,
            wait=900 if number % 2 else 2,
        )
    return [("late-chronic", "late-chronic/often")]
