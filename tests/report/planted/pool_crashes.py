"""Two work pools with the same flows; in one of them a fifth of the runs crash."""

from __future__ import annotations

from collections.abc import Sequence

from report.world import HOUR, World


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant 60 runs in each pool, of which 12 crash in the one."""
    for pool in ("pool-crashes", "pool-crashes-not"):
        world.pool(pool)
        world.worker(pool, f"{pool}-worker")
        for name in ("one", "two"):
            flow = world.flow(f"{pool}-{name}", tags=["team:data"])
            hourly = world.deployment(flow, "hourly", tags=["team:data"], pool=pool)
            for number in range(30):
                crashes = pool == "pool-crashes" and number % 5 == 2
                world.run(
                    flow,
                    hourly,
                    ended_ago=(30 - number) * 5 * HOUR + (1 if name == "one" else 2) * 1800,
                    seconds=30,
                    state="Crashed" if crashes else "Completed",
                    message="Flow run infrastructure exited with non-zero status code 137."
                    if crashes
                    else "",
                    retries=2,
                )
    return [
        ("pool-crashes", "work pool pool-crashes"),
        ("flow-flaky", "pool-crashes-one/hourly"),
        ("flow-flaky", "pool-crashes-two/hourly"),
    ]
