"""A deployment that nothing starts: no schedule, no automation, and no run for long."""

from __future__ import annotations

from collections.abc import Iterator

from prefect_exporter.moments import DAY, micros
from prefect_exporter.report.environment.activity import known
from prefect_exporter.report.graph.automations import selected
from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Link, Severity
from prefect_exporter.report.phrases import command, listed
from prefect_exporter.report.scope import deployments
from prefect_exporter.report.wire import ToldDeployment
from prefect_exporter.report.words import time
from prefect_exporter.report.workspace import Subject, Workspace

SECTION = "environment"
NEEDS = ("flow runs", "deployments", "automations")

YOUNGEST_US = 30 * DAY
"""A deployment without a schedule may be made for a month's end."""

MOST_APART = 20
"""Where there are more, one finding tells them all."""

_RISK = "Whoever starts it by hand, by a webhook or by the API cannot any more."
_ROLLBACK = "Deploy it again from its source."


def check(workspace: Workspace) -> Iterator[Finding]:
    """Find deployments without schedule, automation and runs, that are not new."""
    unused = [pair for pair in deployments(workspace) if _is_unused(workspace, pair[1])]
    if len(unused) > MOST_APART:
        yield _all(workspace, [subject for subject, _ in unused])
        return
    for subject, told in unused:
        yield _one(workspace, subject, told)


def _is_unused(workspace: Workspace, told: ToldDeployment) -> bool:
    if told.schedules or told.id.bytes in known(workspace) or told.id in selected(workspace):
        return False
    oldest_us = min(workspace.period.since_us, workspace.question.now_us - YOUNGEST_US)
    return told.created is not None and micros(told.created) < oldest_us


def _one(workspace: Workspace, subject: Subject, told: ToldDeployment) -> Finding:
    name = workspace.name(subject)
    since = _since(workspace)
    made = time(micros(told.created)) if told.created else ""
    evidence = Evidence(
        f"No schedule, no automation and no run since {time(since)}; it was made at {made}.",
        {"runs": 0, "schedules": 0, "since": time(since), "created": made},
        (Link(name, workspace.question.links.deployment(told.id)),),
    )
    return Finding(
        check="deployment-unused",
        section=SECTION,
        severity=Severity.LOW,
        subject=name,
        title=f"{name} has not run since {time(since)}, and nothing starts it",
        detail="If nobody starts it by hand, now and then, it is not used: what nobody runs is not"
        " looked after, and is run by mistake.",
        evidence=(evidence,),
        action=Action(
            command("prefect", "deployment", "delete", name), Effort.MINUTES, _RISK, _ROLLBACK
        ),
        owner=workspace.owner(subject),
    )


def _all(workspace: Workspace, unused: list[Subject]) -> Finding:
    names = [workspace.name(each) for each in unused]
    since = time(_since(workspace))
    evidence = Evidence(
        f"{len(names):,} of {len(workspace.catalog.deployments):,} deployments have no schedule,"
        f" no automation and no run since {since}: {listed(names, 10)}.",
        {"deployments": len(names), "since": since},
    )
    return Finding(
        check="deployment-unused",
        section=SECTION,
        severity=Severity.LOW,
        subject="the workspace",
        title=f"{len(names):,} deployments have not run since {since}, and nothing starts them",
        detail="Among so many that are perhaps not used, the ones that matter are hard to see.",
        evidence=(evidence,),
        action=Action(
            command("prefect", "deployment", "delete", names[0]) + "  # and so on",
            Effort.HOURS,
            _RISK,
            _ROLLBACK,
        ),
    )


def _since(workspace: Workspace) -> int:
    period = workspace.period
    return period.before.since_us if workspace.question.compare else period.since_us
