"""A flow that takes a minute, but once took two hours."""

from __future__ import annotations

from collections.abc import Sequence

from report.world import HOUR, World


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant it."""
    flow = world.flow("runs-without-limit")
    for number in range(30):
        world.run(
            flow,
            ended_ago=4.1 * HOUR + number * 5 * HOUR,
            seconds=7200 if number == 12 else 60,
        )
    return [("runs-without-limit", "runs-without-limit")]
