"""An automation that runs a deployment which is not there any more."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from report.events import runs, when
from report.world import HOUR, World

GONE = UUID("7b1d7a4e-2b8f-4b5d-9d0a-6f3f9a1c2e55")


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant it."""
    flow = world.flow("automation-targets-missing")
    world.run(flow, world.deployment(flow, "still there"), ended_ago=7 * HOUR)
    world.automation("automation-targets-missing", when("files.arrived"), [runs(GONE)])
    return [("automation-targets-missing", "automation automation-targets-missing")]
