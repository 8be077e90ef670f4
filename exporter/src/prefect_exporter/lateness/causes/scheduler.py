"""Nobody makes the runs."""

from __future__ import annotations

from prefect_exporter.lateness.model import Cause, Facts, Reason
from prefect_exporter.lateness.words import command, duration, named
from prefect_exporter.moments import DAY, SECOND

# Prefect's scheduler makes runs at most 100 days ahead, and three of each deployment at least.
HORIZON_US = 100 * DAY


def scheduler_behind(facts: Facts) -> Reason | None:
    """Tell of a deployment that will be due and of which no run is to come."""
    plan = facts.plan
    if facts.late or facts.paused or plan is None or plan.to_come or plan.following_us is None:
        return None
    until = plan.following_us - facts.now_us
    if until > HORIZON_US:
        return None
    return Reason(
        Cause.SCHEDULER_BEHIND,
        f"a schedule is active and due in {duration(until / SECOND)}, and Prefect has made no run "
        "for it: its scheduler stands still (of a server with --no-services, the process of "
        "`prefect server services start`)",
        (
            command("server", "services", "start"),
            command("deployment", "run", named(facts.subject.name)),
        ),
        {"runs_to_come": 0, "due_in_seconds": until / SECOND},
    )
