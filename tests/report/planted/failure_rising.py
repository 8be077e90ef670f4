"""A flow that fails now and then at first, and every third time at last."""

from __future__ import annotations

from collections.abc import Sequence

from report.world import HOUR, World

MESSAGE = "Flow run encountered an exception: IndexError: list index out of range"


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant it; what fails so often and succeeds again is flaky as well."""
    flow = world.flow("failure-rising")
    for number in range(150):
        often = 3 if number < 50 else 9 if number < 90 else 40
        failed = number % often == often - 1
        world.run(
            flow,
            ended_ago=0.11 * HOUR + number * 1.1 * HOUR,
            seconds=15,
            state="Failed" if failed else "Completed",
            message=MESSAGE if failed else "",
        )
    return [("failure-rising", "failure-rising"), ("flow-flaky", "failure-rising")]
