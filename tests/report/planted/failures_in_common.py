"""Six flows of one pool that hardly ever fail, and all failed within five minutes."""

from __future__ import annotations

from collections.abc import Sequence

from report.world import DAY, HOUR, World

MESSAGE = (
    "Flow run encountered an exception: ConnectionRefusedError: could not connect to"
    " postgresql://etl@warehouse.shop.example:5432/dwh"
)
POOL = "failures-in-common"


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant it."""
    world.pool(POOL)
    world.worker(POOL, "failures-in-common-1")
    for place in range(6):
        flow = world.flow(f"failures-in-common-{place}")
        deployment = world.deployment(flow, "often", pool=POOL)
        for number in range(30):
            # Each flow at its own time of the hour: only the failures come together.
            ago = 0.31 * HOUR + place * 420 + number * 5 * HOUR
            world.run(flow, deployment, ended_ago=ago, seconds=30)
        world.run(
            flow,
            deployment,
            ended_ago=3.456 * DAY + place * 45,
            seconds=5,
            state="Failed",
            message=MESSAGE,
        )
    return [("failures-in-common", f"work pool {POOL}")]
