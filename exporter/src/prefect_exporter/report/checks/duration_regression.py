"""Runs of a flow take longer since one point of time, and still do."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from prefect_exporter.moments import DAY, micros
from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Severity
from prefect_exporter.report.performance.slowing import Slowing, slower_task, slowing
from prefect_exporter.report.phrases import chance, command
from prefect_exporter.report.places import run_link
from prefect_exporter.report.rows import FlowRunRow
from prefect_exporter.report.words import count, duration, rfc3339, time
from prefect_exporter.report.workspace import Workspace

SECTION = "performance"

HIGH_HOURS = 5.0
"""Hours a week beyond which twice as long is no small matter."""

LOW_HOURS = 0.25

_RUNS = "WHERE flow_id = ? AND deployment_id = ? AND state_type = 'COMPLETED'"


def check(workspace: Workspace) -> Iterator[Finding]:
    """Return what ``performance.slowing`` finds."""
    for each in slowing(workspace):
        yield _finding(workspace, each)


def _finding(workspace: Workspace, slow: Slowing) -> Finding:
    name = workspace.name(slow.subject)
    since = workspace.period.until_us - slow.changed_us
    hours = (slow.after - slow.before) * slow.runs_after / 3600 * 7 * DAY / since
    fast_run, slow_run = _last_fast(workspace, slow), _first_slow(workspace, slow)
    return Finding(
        check="duration-regression",
        section=SECTION,
        severity=_severity(slow, hours),
        subject=name,
        title=f"{name} takes {slow.growth:.1f} times as long since {time(slow.changed_us)}",
        detail=(
            f"A run took {duration(slow.before)} at the median and takes {duration(slow.after)}"
            " now. It began at one point of time and has not come back, so that something was"
            " changed then: the code, its data, or the machine."
        ),
        evidence=tuple(_evidence(workspace, slow, fast_run, slow_run)),
        action=Action(
            change=(
                "Compare the last quick run with the first slow one, and undo what came between:"
                f" {command('prefect', 'flow-run', 'logs', str(UUID(bytes=fast_run.id)))};"
                f" {command('prefect', 'flow-run', 'logs', str(UUID(bytes=slow_run.id)))}"
            ),
            effort=Effort.HOURS,
            risk="None by looking; the mend has its own.",
            rollback="Nothing was changed by looking.",
        ),
        hours=hours,
        owner=workspace.owner(slow.subject),
    )


def _severity(slow: Slowing, hours: float) -> Severity:
    if slow.growth >= 2 and hours >= HIGH_HOURS:  # noqa: PLR2004 - twice as long
        return Severity.HIGH
    return Severity.MEDIUM if hours >= LOW_HOURS else Severity.LOW


def _evidence(
    workspace: Workspace, slow: Slowing, fast_run: FlowRunRow, slow_run: FlowRunRow
) -> Iterator[Evidence]:
    runs_before = slow.runs - slow.runs_after
    yield Evidence(
        f"The median of {count(runs_before, 'run')} before {time(slow.changed_us)} is"
        f" {duration(slow.before)}, that of {count(slow.runs_after, 'run')} since is"
        f" {duration(slow.after)} (Pettitt's test, {chance(slow.p)}).",
        {
            "changed": rfc3339(slow.changed_us),
            "runs_before": runs_before,
            "runs_after": slow.runs_after,
            "median_before_seconds": round(slow.before, 3),
            "median_after_seconds": round(slow.after, 3),
            "p": slow.p,
        },
        (
            run_link(workspace, f"last quick run {fast_run.name}", fast_run.id),
            run_link(workspace, f"first slow run {slow_run.name}", slow_run.id),
        ),
    )
    if task := slower_task(workspace, slow):
        yield Evidence(
            f"Its task {task.name} took {duration(task.before)} of a run at the median before,"
            f" and takes {duration(task.after)} since.",
            {
                "task": task.name,
                "task_before_seconds": round(task.before, 3),
                "task_after_seconds": round(task.after, 3),
            },
        )
    deployment = workspace.catalog.deployments.get(slow.subject.deployment_id)
    if deployment and deployment.updated:
        updated_us = micros(deployment.updated)
        if (fast_run.started_us or 0) <= updated_us <= slow.changed_us:
            yield Evidence(
                f"The deployment was changed at {time(updated_us)}, between these two runs.",
                {"deployment_updated": rfc3339(updated_us)},
            )


def _last_fast(workspace: Workspace, slow: Slowing) -> FlowRunRow:
    clauses = f"{_RUNS} AND started_us < ? ORDER BY started_us DESC LIMIT 1"
    return next(workspace.flow_runs(clauses, (*slow.subject, slow.changed_us)))


def _first_slow(workspace: Workspace, slow: Slowing) -> FlowRunRow:
    clauses = f"{_RUNS} AND started_us >= ? ORDER BY started_us LIMIT 1"
    return next(workspace.flow_runs(clauses, (*slow.subject, slow.changed_us)))
