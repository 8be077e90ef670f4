"""Rules of indicators: the recorded series, and the alerts on their targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote_plus

from kpi.model import Kind, Kpi
from prefect_exporter.durations import format_duration

_FORMS = {
    "seconds": "{{ $value | humanizeDuration }}",
    "bytes": "{{ $value | humanize1024 }}B",
    "ratio": "{{ $value | humanizePercentage }}",
}
# So that one scrape that is late makes no alert.
_SETTLE = "5m"


def recording(kpis: Sequence[Kpi]) -> dict[str, Any]:
    """Return the rule file with the series of each indicator."""
    rules = [_record(each) for each in kpis]
    return {"groups": [{"name": "kpi", "interval": "1m", "rules": rules}] if rules else []}


def alert_files(kpis: Sequence[Kpi]) -> dict[str, dict[str, Any]]:
    """Return the rule file of each alert by the alert's name."""
    made = {"PrefectKpiMissed": _missed, "PrefectKpiWithoutData": _without_data}
    return {
        name: {"groups": [{"name": name, "rules": [rule(name, each) for each in kpis]}]}
        for name, rule in made.items()
        if kpis
    }


def _record(kpi: Kpi) -> dict[str, Any]:
    return {"record": kpi.record, "expr": _value(kpi), "labels": {"team": kpi.team}}


def _value(kpi: Kpi) -> str:
    match kpi.kind:
        case Kind.COUNTER:
            # What counted within three days and is gone counts nothing: that must show.
            gone = f"0 * (max {_by(kpi)} (max_over_time({kpi.record}[3d])) > 0)"
            return f"{_rise(kpi, kpi.metric)}\nor\n{gone}\n"
        case Kind.RATIO:
            part, whole = _rise(kpi, kpi.metric), _rise(kpi, kpi.of)
            return f"(\n{part}\nor\n0 * {whole}\n)\n/\n({whole} > 0)\n"
        case Kind.AGE:
            return f"time() - max {_by(kpi)} (\n  {kpi.metric}\n)\n"
        case Kind.GAUGE:
            return f"max {_by(kpi)} (\n  {kpi.metric}\n)\n"


def _rise(kpi: Kpi, counter: str) -> str:
    """Return what a counter rose by.

    `increase()` misses what a series began with, so one that is new in the window counts whole.
    """
    return (
        f"sum {_by(kpi)} (\n"
        f"  ({counter} unless last_over_time({counter}[1h] offset {kpi.window}))\n"
        f"  or increase({counter}[{kpi.window}])\n"
        ")"
    )


def _by(kpi: Kpi) -> str:
    return f"by ({', '.join(kpi.by)})"


def _missed(name: str, kpi: Kpi) -> dict[str, Any]:
    of_window = kpi.kind in (Kind.COUNTER, Kind.RATIO)
    taken = f"Counted over {kpi.window}." if of_window else f"It has been so for {kpi.window}."
    wanted = f"{kpi.bound.replace('_', ' ')} {_shown(kpi)} wanted"
    return {
        "alert": name,
        "expr": _out_of_bounds(kpi),
        "for": _SETTLE if of_window else kpi.window,
        "keep_firing_for": "15m",
        "labels": _labels(kpi, kpi.severity),
        "annotations": {
            "summary": f"{_literal(kpi.title)}{_groups(kpi)}: {_form(kpi)}, {wanted}",
            "description": f"{_literal(kpi.description)} {taken} See on the board since when, then"
            " look at the last runs of the flows that feed it.",
            **_links(name, kpi),
        },
    }


def _out_of_bounds(kpi: Kpi) -> str:
    if kpi.bound == "at_most":
        return f"{kpi.record} > {kpi.target:.12g}"
    least = f"{kpi.record} < {kpi.target:.12g}"
    if kpi.kind is not Kind.COUNTER:
        return least
    # What is younger than the window has not had the time to reach the target.
    return f"{least} and last_over_time({kpi.record}[1h] offset {kpi.window})"


def _without_data(name: str, kpi: Kpi) -> dict[str, Any]:
    return {
        "alert": name,
        # Some indicators rest over the weekend.
        "expr": f"absent(last_over_time({kpi.record}[3d]))",
        "for": "1d",
        "keep_firing_for": "15m",
        "labels": _labels(kpi, "info"),
        "annotations": {
            "summary": f"{_literal(kpi.title)} has had no data for days",
            "description": f"What {kpi.name} in deploy/kpi/kpis.yml asks for finds nothing, so its"
            " target is not watched. Correct the name of its metric, see that what sends it runs,"
            " or remove the indicator.",
            **_links(name, kpi),
        },
    }


def _labels(kpi: Kpi, severity: str) -> dict[str, str]:
    return {
        "severity": severity,
        "component": "kpi",
        "team": _literal(kpi.team),
        "kpi": kpi.name,
    }


def _links(name: str, kpi: Kpi) -> dict[str, str]:
    target = "var-target={{ $labels.target | urlquery }}&" if "target" in kpi.by else ""
    return {
        "runbook_url": f"{{{{ $externalLabels.runbook_url }}}}#{name.lower()}",
        "dashboard_url": f"{{{{ $externalLabels.grafana_url }}}}/d/prefect-kpis?{target}"
        f"var-team={quote_plus(kpi.team)}",
    }


def _groups(kpi: Kpi) -> str:
    groups = ", ".join(f"{{{{ $labels.{label} }}}}" for label in kpi.by)
    return f" of {groups}" if groups else ""


def _form(kpi: Kpi) -> str:
    return _FORMS.get(kpi.unit) or f"{{{{ $value | humanize }}}} {_literal(kpi.unit)}"


def _shown(kpi: Kpi) -> str:
    match kpi.unit:
        case "seconds":
            return format_duration(kpi.target)
        case "ratio":
            return f"{kpi.target * 100:.12g}%"
        case "bytes":
            return f"{kpi.target:.12g}B"
    return f"{kpi.target:.12g}"


def _literal(text: str) -> str:
    """Return a text that templates show as it is."""
    return text.replace("{{", '{{ "{{" }}')
