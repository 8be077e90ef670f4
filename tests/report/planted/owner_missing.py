"""Three deployments of one pool, two of which say whose they are."""

from __future__ import annotations

from collections.abc import Sequence

from report.world import HOUR, World

POOL = "owner-missing"


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant it."""
    world.pool(POOL)
    world.worker(POOL, "owner-missing-1")
    flow = world.flow("owner-missing")
    for name, tags in (("a", ["team:payments"]), ("b", ["owner:ada"]), ("c", ["nightly"])):
        deployment = world.deployment(flow, name, tags=tags, pool=POOL)
        world.run(flow, deployment, ended_ago=5.2 * HOUR)
    return [("owner-missing", "owner-missing/c")]
