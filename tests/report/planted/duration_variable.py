"""A flow of which each tenth run takes forty times as long as the others."""

from __future__ import annotations

from collections.abc import Sequence

from report.world import HOUR, World


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant 60 runs, of which six are long."""
    flow = world.flow("duration-variable", tags=["team:data"])
    mixed = world.deployment(flow, "mixed", tags=["team:data"])
    for number in range(60):
        seconds = 1200.0 if number % 10 == 5 else 30.0 + number * 7 % 5
        world.run(flow, mixed, ended_ago=(60 - number) * 2.5 * HOUR, seconds=seconds)
    return [("duration-variable", "duration-variable/mixed")]
