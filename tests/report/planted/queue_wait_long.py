"""A work queue whose one worker is too slow: every run waits ten minutes, all week."""

from __future__ import annotations

from collections.abc import Sequence

from report.world import HOUR, World


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant 40 runs that wait, without any limit."""
    world.pool("queue-wait-long")
    world.worker("queue-wait-long", "queue-wait-long-worker")
    flow = world.flow("queue-wait-long", tags=["team:data"])
    slow = world.deployment(flow, "slow", tags=["team:data"], pool="queue-wait-long")
    for number in range(40):
        world.run(flow, slow, ended_ago=(40 - number) * 4 * HOUR, seconds=60, wait=600)
    return [
        ("queue-wait-long", "work queue queue-wait-long/default"),
        ("late-chronic", "queue-wait-long/slow"),
    ]
