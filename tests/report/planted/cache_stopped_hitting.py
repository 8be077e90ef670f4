"""A task that came from the cache for three days, and never since."""

from __future__ import annotations

from collections.abc import Sequence

from report.world import HOUR, World


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant it."""
    flow = world.flow("cache-stopped-hitting")
    for number in range(48):
        run = world.run(flow, ended_ago=2.8 * HOUR + number * 3 * HOUR, seconds=30)
        cached = number >= 26 and number % 5
        world.task(
            run,
            "load prices",
            seconds=0.0 if cached else 20,
            state="Cached" if cached else "Completed",
            cache_key="prices",
        )
    return [("cache-stopped-hitting", "cache-stopped-hitting")]
