"""A work pool of a hundred slots in which never more than one run is under way."""

from __future__ import annotations

from collections.abc import Sequence

from report.world import HOUR, World


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant 60 runs, one after the other."""
    name = "concurrency-limit-unused"
    world.pool(name, limit=100)
    world.worker(name, f"{name}-worker")
    flow = world.flow(name, tags=["team:data"])
    hourly = world.deployment(flow, "hourly", tags=["team:data"], pool=name)
    for number in range(60):
        world.run(flow, hourly, ended_ago=(60 - number) * 2.5 * HOUR, seconds=30)
    return [("concurrency-limit-unused", f"work pool {name}")]
