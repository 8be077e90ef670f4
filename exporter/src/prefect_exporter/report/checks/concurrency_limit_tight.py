"""A concurrency limit is used up for much of the time, and runs wait for it."""

from __future__ import annotations

from collections.abc import Iterator

from prefect_exporter.report.limits import change, owner, page, subject
from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Severity
from prefect_exporter.report.performance.slots import Used, used
from prefect_exporter.report.words import duration, share
from prefect_exporter.report.workspace import Workspace

SECTION = "performance"

LEAST_STARVED = 0.1
"""Share of the period in which the limit was used up while runs waited."""

LEAST_HOURS = 1.0
"""Of waiting, a week, by all runs together."""

HIGH_STARVED = 0.5
HIGH_HOURS = 24.0


def check(workspace: Workspace) -> Iterator[Finding]:
    """Return the pools, queues and deployments whose limit holds up their runs."""
    period_seconds = workspace.period.weeks * 7 * 86_400
    for each in used(workspace):
        hours = each.waited / 3600 / workspace.period.weeks
        if hours >= LEAST_HOURS and each.starved >= LEAST_STARVED * period_seconds:
            yield _finding(workspace, each, each.starved / period_seconds, hours)


def _finding(workspace: Workspace, each: Used, starved: float, hours: float) -> Finding:
    name, limit = subject(each.place), each.place.limit or 0
    enough = max(limit + 1, each.demand)
    is_high = starved >= HIGH_STARVED or hours >= HIGH_HOURS
    return Finding(
        check="concurrency-limit-tight",
        section=SECTION,
        severity=Severity.HIGH if is_high else Severity.MEDIUM,
        subject=name,
        title=f"The limit of {limit} of {name} holds up runs for {share(starved)} of the time",
        detail=(
            "Runs that are due wait until another one ends. Either the limit is lower than what"
            " stands behind it can take, or too much is scheduled at the same time."
        ),
        evidence=(
            Evidence(
                f"It was used up for {duration(each.full)}, and runs waited for"
                f" {duration(each.starved)} of it, {duration(each.waited)} all together. A limit of"
                f" {enough} is enough for 95 % of the time in which anything ran or waited.",
                {
                    "limit": limit,
                    "runs": each.runs,
                    "full_seconds": round(each.full, 3),
                    "starved_seconds": round(each.starved, 3),
                    "waited_seconds": round(each.waited, 3),
                    "enough": enough,
                },
                page(workspace, each.place),
            ),
        ),
        action=Action(
            change=change(workspace, each.place, enough),
            effort=Effort.MINUTES,
            risk="What the limit protects, such as a database, gets more to do at once.",
            rollback=change(workspace, each.place, limit),
        ),
        hours=hours,
        owner=owner(workspace, each.place),
    )
