"""A flow that ran well the week before, and failed in a new way on one day of this week."""

from __future__ import annotations

from collections.abc import Sequence

from report.world import DAY, HOUR, World

MESSAGE = "Flow run encountered an exception: ZeroDivisionError: division by zero"


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant it; it is found where the period before is compared."""
    flow = world.flow("failure-new")
    for number in range(40):
        # The seven days before and those of now; the failures are four of one day.
        failed = 8 <= number < 12
        world.run(
            flow,
            ended_ago=2.2 * HOUR + number * 8 * HOUR,
            seconds=25,
            state="Failed" if failed else "Completed",
            message=MESSAGE if failed else "",
        )
    assert 40 * 8 * HOUR < 14 * DAY
    return [("failure-new", "failure-new")]
