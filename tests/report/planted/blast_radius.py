"""A deployment that failed four times of sixteen, and that three others wait for."""

from __future__ import annotations

from collections.abc import Sequence

from report.events import runs, when
from report.world import DAY, HOUR, World


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant it."""
    source = world.flow("blast-radius")
    deployment = world.deployment(source, "source")
    for number in range(16):
        state = "Failed" if 8 <= number < 12 else "Completed"
        ago = 0.3 * DAY + number * 9 * HOUR
        world.run(source, deployment, ended_ago=ago, state=state, message="")
    target = world.flow("blast-radius-hurt")
    trigger = when("prefect.flow-run.Completed", f"prefect.deployment.{deployment}")
    actions = [runs(world.deployment(target, name)) for name in ("a", "b", "c")]
    world.automation("blast-radius", trigger, actions)
    return [("blast-radius", "blast-radius/source")]
