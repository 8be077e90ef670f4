"""Rule files of the alerts: whom they are for, and how urgent they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from slo.alerts import ALERTS, Alert
from slo.objectives import Objectives
from slo.promql import pattern
from slo.recording import BY, OWNER
from slo.templates import BOARD


def alert_files(objectives: Objectives) -> dict[str, dict[str, Any]]:
    """Return the rule file of each alert by the alert's name."""
    return {each.name: _file(each, objectives) for each in ALERTS}


def _file(alert: Alert, objectives: Objectives) -> dict[str, Any]:
    whose = _by_tier(objectives) if alert.page else iter([(alert.severity, OWNER)])
    rules = [_rule(alert, severity, owners) for severity, owners in whose]
    # What they read is recorded once a minute.
    return {"groups": [{"name": alert.name, "interval": "1m", "rules": rules}]}


def _by_tier(objectives: Objectives) -> Iterator[tuple[str, str]]:
    """Yield critical and warning, each with the owners in whose tiers it is that."""
    # The default tier is of whoever has no other: nobody can list its members.
    others = [each.name for each in objectives.tiers if each.page != objectives.default.page]
    for severity, page in (("critical", True), ("warning", False)):
        if page == objectives.default.page:
            yield severity, f"{OWNER}{{tier!~{pattern(others)}}}" if others else OWNER
        elif others:
            yield severity, f"{OWNER}{{tier=~{pattern(others)}}}"


def _rule(alert: Alert, severity: str, owners: str) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": f"(\n{alert.expr}\n)\n* on {BY} group_left (team) {owners}\n",
        "for": alert.wait,
        "keep_firing_for": alert.keep,
        "labels": {"severity": severity, "component": "slo"},
        "annotations": {
            "summary": alert.summary,
            "description": alert.description,
            "runbook_url": f"{{{{ $externalLabels.runbook_url }}}}#{alert.name.lower()}",
            "dashboard_url": BOARD,
        },
    }
