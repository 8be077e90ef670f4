"""A deployment whose one slot is taken, and three runs that wait for it since an hour."""

from __future__ import annotations

from collections.abc import Sequence

from report.world import HOUR, World


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant it."""
    flow = world.flow("concurrency-starved")
    deployment = world.deployment(flow, "one-at-a-time", limit=1)
    world.run(flow, deployment, ended_ago=1.2 * HOUR, state="Running")
    for number in range(3):
        world.run(flow, deployment, ended_ago=HOUR + number * 60, state="AwaitingConcurrencySlot")
    return [("concurrency-starved", "concurrency-starved/one-at-a-time")]
