"""Triggers and actions of automations, as Prefect's API takes them."""

from __future__ import annotations

from uuid import UUID


def when(event: str, *related: str, posture: str = "Reactive") -> dict[str, object]:
    """Return a trigger that waits for an event, of what is related to one of these resources."""
    is_run = event.startswith("prefect.flow-run.")
    return {
        "type": "event",
        "posture": posture,
        "expect": [event],
        "match": {"prefect.resource.id": "prefect.flow-run.*"} if is_run else {},
        "match_related": {"prefect.resource.id": list(related)} if related else {},
        "threshold": 1,
        "within": 0 if posture == "Reactive" else 3600,
    }


def runs(deployment: UUID) -> dict[str, object]:
    """Return the action that runs a deployment."""
    return {"type": "run-deployment", "source": "selected", "deployment_id": str(deployment)}
