"""A flow that loses a sixth of its hours to attempts that fail."""

from __future__ import annotations

from collections.abc import Sequence

from report.world import HOUR, World


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant 48 runs of half an hour, of which 16 needed a second attempt."""
    flow = world.flow("retries-costly", tags=["team:data"])
    hourly = world.deployment(flow, "hourly", tags=["team:data"])
    for number in range(48):
        attempts = 2 if number % 3 == 1 else 1
        world.run(
            flow,
            hourly,
            ended_ago=(48 - number) * 3 * HOUR,
            seconds=1800.0 + number * 7 % 5,
            attempts=attempts,
            retries=3,
        )
    return [
        ("retries-costly", "retries-costly/hourly"),
        ("retries-mask-failures", "retries-costly/hourly"),
    ]
