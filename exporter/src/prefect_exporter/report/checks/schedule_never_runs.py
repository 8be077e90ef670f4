"""Deployments with an active schedule whose times passed without any run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from prefect_exporter.moments import moment
from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Severity
from prefect_exporter.report.phrases import command
from prefect_exporter.report.places import subject_link
from prefect_exporter.report.remembered import remembered
from prefect_exporter.report.scope import deployments
from prefect_exporter.report.wire import ToldDeployment
from prefect_exporter.report.words import count
from prefect_exporter.report.workspace import Subject, Workspace
from prefect_exporter.schedules import due, union

SECTION = "risks"

FEWEST = 3
"""Times that passed; two may have been missed by a server that was down."""

MOST_TIMES = 20
"""That are counted."""

_SUBJECTS = "SELECT DISTINCT flow_id, deployment_id FROM flow_runs WHERE deployment_id != x''"


def check(workspace: Workspace) -> Iterator[Finding]:
    """Return the deployments of which Prefect made no run at all, not even a late one."""
    for subject, deployment in deployments(workspace):
        if deployment.paused or subject in _with_runs(workspace):
            continue
        times = _passed(workspace, deployment)
        if len(times) >= FEWEST:
            yield _finding(workspace, subject, times)


@remembered
def _with_runs(workspace: Workspace) -> frozenset[Subject]:
    return frozenset(map(Subject._make, workspace.database.execute(_SUBJECTS)))


def _passed(workspace: Workspace, deployment: ToldDeployment) -> Sequence[datetime]:
    """Return when it was due in the period, the newest first, as it is scheduled since."""
    since = moment(workspace.period.since_us)
    changes = [at for at in (deployment.created, deployment.updated) if at is not None]
    active = [each for each in deployment.schedules if each.active]
    changes += [each.updated for each in active if each.updated is not None]
    since = max([since, *changes])
    timings = [each.schedule for each in active]
    times: list[datetime] = []
    at = moment(workspace.period.until_us)
    while timings and len(times) < MOST_TIMES:
        previous = union(due(timing, at) for timing in timings).previous
        if previous is None or previous < since:
            break
        times.append(previous)
        at = previous - timedelta(microseconds=1)
    return times


def _finding(workspace: Workspace, subject: Subject, times: Sequence[datetime]) -> Finding:
    name = workspace.name(subject)
    passed = count(len(times), "time") if len(times) < MOST_TIMES else f"{MOST_TIMES} times or more"
    return Finding(
        check="schedule-never-runs",
        section=SECTION,
        severity=Severity.HIGH,
        subject=name,
        title=f"{name} has a schedule and no runs",
        detail=(
            "Prefect's scheduler makes a run for each time that a schedule is due, even where"
            " nothing can take it. Here it made none: the scheduler does not work, or the runs were"
            " deleted."
        ),
        evidence=(
            Evidence(
                f"It was due {passed} in the period since it was last changed, the last time at"
                f" {times[0]:%Y-%m-%d %H:%M} UTC, and there is no run of it.",
                {"due": len(times), "runs": 0, "last_due": f"{times[0]:%Y-%m-%dT%H:%M:%SZ}"},
                (subject_link(workspace, subject),),
            ),
        ),
        action=Action(
            command("prefect", "deployment", "schedule", "ls", name)
            + "  # then restart the server, or its services: prefect server services start",
            Effort.MINUTES,
            "A scheduler that starts again makes the coming runs only, not those of the past.",
            "Nothing to take back.",
        ),
        owner=workspace.owner(subject),
    )
