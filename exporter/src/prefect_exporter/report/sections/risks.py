"""Reliability risks: what has gone well until now, and by what it may no longer."""

from __future__ import annotations

from collections.abc import Iterator

from prefect_exporter.report.failing.transient import transient
from prefect_exporter.report.hazards.guards import guards_table
from prefect_exporter.report.hazards.owners import without_owner
from prefect_exporter.report.hazards.punctuality import punctuality
from prefect_exporter.report.hazards.stuck import stuck
from prefect_exporter.report.hazards.stuck_table import stuck_table
from prefect_exporter.report.model import Section
from prefect_exporter.report.words import count, share
from prefect_exporter.report.workspace import Workspace


def section(workspace: Workspace) -> Section:
    """Return what guards flows, and what is stuck or late."""
    tables = (guards_table(workspace), stuck_table(workspace))
    return Section(
        "risks",
        "Reliability risks",
        tuple(_paragraphs(workspace)),
        tuple(each for each in tables if each.rows),
    )


def _paragraphs(workspace: Workspace) -> Iterator[str]:
    due = punctuality(workspace).values()
    started, late = sum(len(each.waits) for each in due), sum(sum(each.late) for each in due)
    if started:
        yield (
            f"{late:,} of {count(started, 'scheduled run')} that started did so more than five"
            f" minutes late ({share(late / started)})."
        )
    found = transient(workspace).values()
    failed = sum(len(each.runs) for each in found)
    if failed:
        recovered = sum(each.recovered for each in found)
        yield (
            f"{count(failed, 'failure')} had a cause upstream or ran into a time limit; after"
            f" {recovered:,} of them the next run succeeded."
        )
    now = sum(1 for _ in stuck(workspace))
    yield f"Stuck now: {count(now, 'run')}."
    missing = without_owner(workspace)
    if missing:
        yield f"{count(len(missing), 'deployment')} in use without an owner, where most have one."
