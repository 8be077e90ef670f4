"""A user's own indicators: a row for each of deploy/kpi/kpis.yml, with its target and its alert."""

from __future__ import annotations

from collections.abc import Sequence

from grafana_foundation_sdk.builders import common, stat, timeseries
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models.common import GraphThresholdsStyleMode

from dashboards import palette, panels
from dashboards.board import Board, Row
from dashboards.sources import instant, ranged
from kpi import Kind, Kpi, load
from prefect_exporter.durations import format_duration

_UNITS = {"seconds": panels.SECONDS, "bytes": panels.BYTES, "ratio": panels.RATIO}
# An indicator that is of no target is shown with every one.
_CHOSEN = 'team=~"$team", target=~"$target|"'
_STATES = {
    "0": ("on target", palette.GOOD),
    "1": ("missed", palette.WARNING),
    "2": ("ALERT", palette.BAD),
}


def board(kpis: Sequence[Kpi] | None = None) -> Board:
    """Return the board of the indicators.

    Args:
        kpis: Those of deploy/kpi/kpis.yml, unless others are given.
    """
    shown = load() if kpis is None else kpis
    return Board(
        uid="prefect-kpis",
        title="Business KPIs",
        description="What the flows are for, in numbers of your own: deploy/kpi/kpis.yml.",
        rows=[Row(each.title, [_now(each), _history(each), _alert(each)]) for each in shown],
    )


def _now(kpi: Kpi) -> stat.Panel:
    return (
        panels.stat_panel(kpi.title, f"{kpi.description} {_wanted(kpi)}", _unit(kpi))
        .with_target(instant(_value(kpi), _legend(kpi)))
        .thresholds(_thresholds(kpi))
        .height(8)
    )


def _history(kpi: Kpi) -> timeseries.Panel:
    line = common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED)
    return (
        panels.graph(f"{kpi.title} over time", f"{kpi.description} Dashed: the target.", _unit(kpi))
        .with_target(ranged(_value(kpi), _legend(kpi)))
        .thresholds(_thresholds(kpi))
        .thresholds_style(line)
    )


def _alert(kpi: Kpi) -> stat.Panel:
    return (
        panels.stat_panel(
            f"{kpi.title}: alert",
            f"{_wanted(kpi)} Missed: its alert waits whether that lasts. No data: nothing tells"
            " the number.",
            panels.COUNT,
        )
        .with_target(instant(_state(kpi)))
        .mappings([panels.mapping(_STATES)])
        .thresholds(palette.rising(1, 2))
        .height(8)
    )


def _value(kpi: Kpi) -> str:
    return f"{kpi.record}{{{_CHOSEN}}}"


def _state(kpi: Kpi) -> str:
    """Return 2 while the alert fires, 1 while it waits, and 0 while there is a number."""
    of = f'alertname="PrefectKpiMissed", kpi="{kpi.name}", {_CHOSEN}'
    firing, pending = (
        f'max(ALERTS{{{of}, alertstate="{state}"}})' for state in ("firing", "pending")
    )
    return f"2 * {firing} or {pending} or 0 * max({_value(kpi)})"


def _unit(kpi: Kpi) -> str:
    return _UNITS.get(kpi.unit, f"suffix: {kpi.unit}")


def _legend(kpi: Kpi) -> str:
    return " ".join(f"{{{{{label}}}}}" for label in kpi.by) or kpi.title


def _thresholds(kpi: Kpi) -> ThresholdsConfig:
    if kpi.bound == "at_least":
        return palette.falling(kpi.target, kpi.target)
    return palette.rising(kpi.target, kpi.target)


def _wanted(kpi: Kpi) -> str:
    """Return the target in words."""
    wanted = f"Target: {kpi.bound.replace('_', ' ')} {_amount(kpi)}"
    counted = kpi.kind in (Kind.COUNTER, Kind.RATIO)
    return f"{wanted} {'in' if counted else 'for no longer than'} {kpi.window}; team {kpi.team}."


def _amount(kpi: Kpi) -> str:
    match kpi.unit:
        case "seconds":
            return format_duration(kpi.target)
        case "ratio":
            return f"{kpi.target * 100:.12g} %"
    return f"{kpi.target:.12g} {kpi.unit}"
