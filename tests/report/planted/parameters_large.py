"""A flow that is called with 430 KiB of parameters."""

from __future__ import annotations

from collections.abc import Sequence

from report.world import HOUR, World


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant it."""
    flow = world.flow("parameters-large")
    for number in range(2):
        world.run(
            flow, ended_ago=6.6 * HOUR + number * 7 * HOUR, parameters={"rows": "x" * 440_000}
        )
    return [("parameters-large", "parameters-large")]
