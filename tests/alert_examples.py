"""Alerts as Prometheus sends them, by the names that our rules give them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

STARTED = "2026-11-20T07:03:00Z"
ENDED = "2026-11-20T08:10:30Z"

HOSTILE = "<script>alert(1)</script> <!channel> *b* _i_ `c` [l](http://x)\n@here \u202e" + "x" * 200


def alert(name: str, *, summary: str = "", description: str = "", **labels: str) -> dict[str, Any]:
    """Return an alert that fires; a severity and a target are there unless said otherwise."""
    labels = {"severity": "warning", "component": "flows", "target": "default", **labels}
    shown = {key: labels[key] for key in ("target", "flow", "deployment") if labels.get(key)}
    variables = urlencode({f"var-{key}": value for key, value in shown.items()})
    annotations = {
        "summary": summary or f"{name} of {labels['target']}",
        "description": description,
        "runbook_url": f"http://runbooks.example/runbooks#{name.lower()}",
        "dashboard_url": f"http://grafana.example/d/prefect-flow?{variables}",
    }
    return {
        "labels": {"alertname": name, **{key: value for key, value in labels.items() if value}},
        "annotations": annotations,
        "startsAt": STARTED,
    }


def ended(alerts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the same, resolved: a second after they began, if they are not old."""
    return [{**each, "endsAt": _end(each["startsAt"])} for each in alerts]


def beginning(alerts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the same, begun now: Alertmanager waits for others to join only what is new."""
    now = datetime.now(UTC)
    return [{**each, "startsAt": now.isoformat()} for each in alerts]


def _end(started: str) -> str:
    later = datetime.fromisoformat(started) + timedelta(seconds=1)
    return ENDED if started == STARTED else later.isoformat()


def failing_deployment(**labels: str) -> dict[str, Any]:
    """Return one alert about one deployment, with all that a rule of ours fills in."""
    given = {"flow": "etl", "deployment": "nightly", "team": "payments", **labels}
    return alert(
        "PrefectDeploymentConsecutiveFailures",
        summary=f"{given['flow']}/{given['deployment']} failed 3 times in a row",
        description=(
            f"The last 3 runs of {given['flow']}/{given['deployment']} failed, the latest "
            "4m 10s ago. Read the log of the last one."
        ),
        **given,
    )
