"""A deployment that has a schedule, and is paused so long that somebody may have forgotten."""

from __future__ import annotations

from collections.abc import Iterator

from prefect_exporter.moments import DAY, micros
from prefect_exporter.report.cadence import active
from prefect_exporter.report.environment.activity import (
    FEWEST_MISSED,
    FORGOTTEN_US,
    missed,
    started,
)
from prefect_exporter.report.model import Action, Cell, Effort, Evidence, Finding, Link, Severity
from prefect_exporter.report.phrases import command
from prefect_exporter.report.scope import deployments
from prefect_exporter.report.wire import ToldDeployment
from prefect_exporter.report.words import count, time
from prefect_exporter.report.workspace import Subject, Workspace

SECTION = "environment"


def check(workspace: Workspace) -> Iterator[Finding]:
    """Find deployments whose schedules stand still for a week or more."""
    for subject, told in deployments(workspace):
        if (told.id.bytes,) in started(workspace, "deployment_id"):
            continue
        if told.paused and told.schedules:
            paused_us = workspace.question.now_us - micros(told.updated) if told.updated else 0
            if paused_us >= FORGOTTEN_US:
                yield _paused(workspace, subject, told, paused_us // DAY)
        elif told.schedules and not active(told.schedules):
            times = _missed(workspace, told)
            if times >= FEWEST_MISSED:
                yield _switched_off(workspace, subject, told, times)


def _missed(workspace: Workspace, told: ToldDeployment) -> int:
    period = workspace.period
    is_new = told.created is None or micros(told.created) >= period.since_us
    if is_new or period.until_us - period.since_us < FORGOTTEN_US:
        return 0
    return missed(workspace, [each.schedule for each in told.schedules], told.created)


def _paused(workspace: Workspace, subject: Subject, told: ToldDeployment, days: int) -> Finding:
    changed = time(micros(told.updated)) if told.updated else ""
    text = (
        f"It is paused, nobody has changed it for {count(days, 'day')} (since {changed}),"
        " and it did not run in the period."
    )
    change = command("prefect", "api", "POST", f"/deployments/{told.id}/resume_deployment")
    return _finding(workspace, subject, told, (text, {"days": days, "changed": changed}), change)


def _switched_off(
    workspace: Workspace, subject: Subject, told: ToldDeployment, times: int
) -> Finding:
    schedules = count(len(told.schedules), "schedule")
    text = (
        f"None of its {schedules} is active, and it did not run in the period,"
        f" in which it would have been due about {times:,} times."
    )
    name = workspace.name(subject)
    schedule = ("prefect", "deployment", "schedule")
    known = [str(each.id) for each in told.schedules if each.id]
    resume = [command(*schedule, "resume", name, each) for each in known]
    change = " && ".join(resume) or command(*schedule, "ls", name) + "  # and resume one by its id"
    return _finding(workspace, subject, told, (text, {"missed": times}), change)


def _finding(
    workspace: Workspace,
    subject: Subject,
    told: ToldDeployment,
    why: tuple[str, dict[str, Cell]],
    change: str,
) -> Finding:
    name = workspace.name(subject)
    link = Link(name, workspace.question.links.deployment(told.id))
    delete = command("prefect", "deployment", "delete", name)
    return Finding(
        check="deployment-paused-forgotten",
        section=SECTION,
        severity=Severity.LOW,
        subject=name,
        title=f"{name} is paused, perhaps forgotten",
        detail=f"It does not run, and tells nobody. Resume it, or delete it: {delete}",
        evidence=(Evidence(*why, (link,)),),
        action=Action(
            change,
            Effort.MINUTES,
            "It runs again at once by its schedule: see why it was paused first.",
            "Pause it again on its page.",
        ),
        owner=workspace.owner(subject),
    )
