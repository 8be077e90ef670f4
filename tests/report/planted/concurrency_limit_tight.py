"""A work pool of one slot in which two flows are due at the same time, all day."""

from __future__ import annotations

from collections.abc import Sequence

from report.world import HOUR, World


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant 100 runs of half an hour, of which each second one waits for the one before."""
    name = "concurrency-limit-tight"
    world.pool(name, limit=1)
    world.worker(name, f"{name}-worker")
    flow = world.flow(name, tags=["team:data"])
    both = world.deployment(flow, "both", tags=["team:data"], pool=name)
    for number in range(50):
        ago = (50 - number) * 3 * HOUR
        world.run(flow, both, ended_ago=ago, seconds=1800, wait=1)
        world.run(flow, both, ended_ago=ago - 1801, seconds=1800, wait=1800)
    return [
        ("concurrency-limit-tight", f"work pool {name}"),
        ("late-chronic", f"{name}/both"),
    ]
