"""A deployment without a schedule that has no run, made three months ago."""

from __future__ import annotations

from collections.abc import Sequence

from report.world import World


def plant(world: World) -> Sequence[tuple[str, str]]:
    """Plant it."""
    world.deployment(world.flow("deployment-unused"), "backfill")
    return [("deployment-unused", "deployment-unused/backfill")]
