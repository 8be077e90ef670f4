"""Two deployments, each of which an automation runs when the other one completes."""

from __future__ import annotations

from collections.abc import Sequence

from report.events import runs, when
from report.world import World


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant it."""
    flow = world.flow("dependency-cycle")
    first, second = world.deployment(flow, "first"), world.deployment(flow, "second")
    for name, source, target in (("there", first, second), ("back", second, first)):
        trigger = when("prefect.flow-run.Completed", f"prefect.deployment.{source}")
        world.automation(f"dependency-cycle-{name}", trigger, [runs(target)])
    return [("dependency-cycle", "dependency-cycle/first")]
