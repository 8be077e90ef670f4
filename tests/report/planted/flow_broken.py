"""A deployment that succeeded until two days ago, and has failed in each run since."""

from __future__ import annotations

from collections.abc import Sequence

from report.world import DAY, HOUR, World

MESSAGE = "Flow run encountered an exception: KeyError: 'amount'"


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant it."""
    flow = world.flow("flow-broken")
    deployment = world.deployment(flow, "nightly")
    for number in range(12):
        world.run(flow, deployment, ended_ago=2.3 * DAY + number * 9 * HOUR, seconds=40)
    for number in range(6):
        world.run(
            flow,
            deployment,
            ended_ago=0.21 * DAY + number * 9 * HOUR,
            seconds=30,
            state="Failed",
            message=MESSAGE,
        )
    return [("flow-broken", "flow-broken/nightly")]
