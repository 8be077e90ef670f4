"""A flow whose runs take three times as long since two days, by one of its tasks."""

from __future__ import annotations

from collections.abc import Sequence

from report.world import DAY, HOUR, World

CHANGED_AGO = 2 * DAY


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant 104 runs in 13 days, of which the last 16 are slow: a weekend before is known too."""
    flow = world.flow("duration-regression", tags=["team:data"])
    hourly = world.deployment(flow, "hourly", tags=["team:data"])
    for number in range(104):
        ago = (104 - number) * 3 * HOUR
        slow = ago <= CHANGED_AGO
        # A few seconds of noise, the same each time.
        noise = number * 7 % 5
        seconds = (180.0 if slow else 60.0) + noise
        run = world.run(flow, hourly, ended_ago=ago, seconds=seconds)
        world.task(run, "extract", seconds=20)
        world.task(run, "load", seconds=seconds - 25, after=20)
    return [("duration-regression", "duration-regression/hourly")]
