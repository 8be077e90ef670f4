"""An automation that is disabled since two months."""

from __future__ import annotations

from collections.abc import Sequence

from report.events import when
from report.world import DAY, World


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant it."""
    world.automation(
        "automation-disabled-forgotten",
        when("prefect.work-pool.not-ready"),
        [{"type": "do-nothing"}],
        enabled=False,
        updated_ago=60 * DAY,
    )
    return [("automation-disabled-forgotten", "automation automation-disabled-forgotten")]
