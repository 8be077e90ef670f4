"""A flow that takes a minute, with a run that is said to run since this morning."""

from __future__ import annotations

from collections.abc import Sequence

from report.world import HOUR, World


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant it."""
    flow = world.flow("runs-stuck")
    for number in range(15):
        world.run(flow, ended_ago=11 * HOUR + number * 9 * HOUR, seconds=60)
    world.run(flow, ended_ago=10 * HOUR, state="Running")
    return [("runs-stuck", "runs-stuck")]
