"""Two flows that query Snowflake, each of which failed at it three times of fifteen."""

from __future__ import annotations

from collections.abc import Sequence

from report.world import DAY, HOUR, World


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant it."""
    for name, first in (("one", 4), ("two", 9)):
        flow = world.flow(f"integration-failing-{name}")
        for number in range(15):
            failed = first <= number < first + 3
            state = "Failed" if failed else "Completed"
            ago = 0.2 * DAY + number * 9 * HOUR + first * 600
            run = world.run(flow, ended_ago=ago, seconds=120, state=state)
            world.task(run, "query snowflake", seconds=40, state=state)
            for step in ("read", "clean", "check"):
                world.task(run, step, seconds=20)
    return [("integration-failing", "integration Snowflake")]
