"""A concurrency limit is so far above what runs at once that it protects nothing."""

from __future__ import annotations

from collections.abc import Iterator

from prefect_exporter.moments import DAY
from prefect_exporter.report.limits import change, owner, page, subject
from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Severity
from prefect_exporter.report.performance.slots import Used, used
from prefect_exporter.report.scope import is_narrowed
from prefect_exporter.report.words import count
from prefect_exporter.report.workspace import Workspace

SECTION = "performance"

LEAST_DAYS = 6
"""A week's rhythm, nearly: a Friday's load must be in it."""

FEWEST_RUNS = 50

LEAST_LIMIT = 20
"""Small limits are cheap, whatever they are for."""

LEAST_ROOM = 10
"""How many times as high as the highest use: two or three times is room to grow."""


def check(workspace: Workspace) -> Iterator[Finding]:
    """Return the pools, queues and deployments whose limit was never near."""
    long = workspace.period.until_us - workspace.period.since_us >= LEAST_DAYS * DAY
    if not long or is_narrowed(workspace):
        return
    for each in used(workspace):
        limit = each.place.limit or 0
        known = each.place.kind != "tag" and each.runs >= FEWEST_RUNS
        if known and limit >= max(LEAST_LIMIT, LEAST_ROOM * each.peak):
            yield _finding(workspace, each, limit)


def _finding(workspace: Workspace, each: Used, limit: int) -> Finding:
    name, lower = subject(each.place), max(each.peak + 2, 2 * each.peak)
    return Finding(
        check="concurrency-limit-unused",
        section=SECTION,
        severity=Severity.LOW,
        subject=name,
        title=f"The limit of {limit} of {name} is never near: {each.peak} at once was the most",
        detail=(
            "It would not stop a flood of runs, of a backfill or a schedule gone wrong, before"
            " they are many times as many as ever."
        ),
        evidence=(
            Evidence(
                f"Of {count(each.runs, 'run')} at most {each.peak} ran at once; the limit is"
                f" {limit}.",
                {
                    "limit": limit,
                    "runs": each.runs,
                    "peak": each.peak,
                    "mean": round(each.mean, 3),
                },
                page(workspace, each.place),
            ),
        ),
        action=Action(
            change=change(workspace, each.place, lower),
            effort=Effort.MINUTES,
            risk="A backfill that is meant runs more slowly.",
            rollback=change(workspace, each.place, limit),
        ),
        owner=owner(workspace, each.place),
    )
