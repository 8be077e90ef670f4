"""A flow that fails every seventh time, for no reason of others."""

from __future__ import annotations

from collections.abc import Sequence

from report.world import HOUR, World

MESSAGE = "Flow run encountered an exception: ValueError: rows came in the wrong order"


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant it."""
    flow = world.flow("flow-flaky")
    for number in range(40):
        failed = number % 7 == 3
        world.run(
            flow,
            ended_ago=1.37 * HOUR + number * 4 * HOUR,
            seconds=60,
            state="Failed" if failed else "Completed",
            message=MESSAGE if failed else "",
        )
    return [("flow-flaky", "flow-flaky")]
