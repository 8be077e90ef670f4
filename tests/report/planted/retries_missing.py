"""A flow without retries that was twice not answered by a service, and then was."""

from __future__ import annotations

from collections.abc import Sequence

from report.world import HOUR, World

MESSAGE = (
    "Flow run encountered an exception: ConnectionResetError: [Errno 104] Connection reset by peer"
)


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant it."""
    flow = world.flow("retries-missing")
    deployment = world.deployment(flow, "sync")
    for number in range(36):
        failed = number in (9, 10, 23, 24)
        run = world.run(
            flow,
            deployment,
            ended_ago=3.3 * HOUR + number * 4 * HOUR,
            seconds=50,
            state="Failed" if failed else "Completed",
            message=MESSAGE if failed else "",
        )
        world.task(run, "fetch orders", seconds=40, state="Failed" if failed else "Completed")
    return [("retries-missing", "retries-missing/sync")]
