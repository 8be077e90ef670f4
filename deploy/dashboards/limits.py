"""Panels of concurrency limits: of tags, of deployments, and global ones."""

from __future__ import annotations

from grafana_foundation_sdk.builders import stat, table, timeseries

from dashboards import palette, panels, tables
from dashboards.sources import OF_TARGET, instant, ranged

FULL = palette.rising(0.7, 0.9)
"""Thresholds of a share of slots that are taken."""

_BY = "target, kind, limit"
_SATURATION = "target_kind_limit:prefect_concurrency_limit:saturation"
_TAKEN = f"max by ({_BY}) ({_SATURATION}{{{OF_TARGET}}})"


def fullest() -> stat.Panel:
    """Return how full the fullest limit is."""
    return (
        panels.stat_panel(
            "Fullest concurrency limit",
            "Share of its slots that are taken, of the limit where it is most: of a tag, a"
            " deployment, or a global one. At 100 % others wait.",
            panels.RATIO,
        )
        .with_target(instant(f"max({_TAKEN})"))
        .thresholds(FULL)
    )


def rows() -> table.Panel:
    """Return a row for each limit, with who holds its slots."""
    used, held = _of_limit("slots_used"), _of_limit("holders")
    return tables.table_panel(
        "Concurrency limits",
        "One row a limit. Holders are runs that may hold its slots; Prefect tells those of global"
        " limits nobody. Unheld slots block others until somebody resets the limit.",
        [
            tables.Label("target", "Target", width=90),
            tables.Label("kind", "Kind", width=110),
            tables.Label("limit", "Limit"),
        ],
        [
            tables.Value("Taken", _TAKEN, panels.RATIO, FULL),
            tables.Value("Used", used),
            tables.Value("Slots", _of_limit("slots")),
            tables.Value("Holders", held),
            tables.Value(
                "Unheld",
                f"clamp_min({used} - on ({_BY}) {held}, 0)",
                thresholds=palette.rising(1, 1),
            ),
        ],
    ).height(8)


def taken() -> timeseries.Panel:
    """Return how full each limit is over time."""
    return panels.graph(
        "Concurrency limits: slots taken",
        "Share of each limit's slots that are taken. At 100 % others wait.",
        panels.RATIO,
    ).with_target(ranged(_TAKEN, "{{kind}} {{limit}}"))


def _of_limit(what: str) -> str:
    return f"max by ({_BY}) (prefect_concurrency_limit_{what}{{{OF_TARGET}}})"
