"""Flows of which every run fails since some time."""

from __future__ import annotations

from collections.abc import Iterator

from prefect_exporter.report.evidence import run_links
from prefect_exporter.report.failed import failures
from prefect_exporter.report.failing.records import Record, Verdict, records
from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Severity
from prefect_exporter.report.phrases import command
from prefect_exporter.report.words import count, duration, time
from prefect_exporter.report.workspace import Workspace

SECTION = "failures"

FEWEST_RUNS = 10
"""Runs without a deployment that are more than somebody's trials."""


def check(workspace: Workspace) -> Iterator[Finding]:
    """Return the broken ones; ``records.Verdict`` says when a flow is."""
    for record in records(workspace, workspace.period):
        if record.verdict is Verdict.BROKEN and record.broken_us is not None:
            yield _finding(workspace, record, record.broken_us)


def _finding(workspace: Workspace, record: Record, since_us: int) -> Finding:
    subject, weeks = workspace.name(record.subject), workspace.period.weeks
    return Finding(
        check="flow-broken",
        section=SECTION,
        severity=_severity(workspace, record),
        subject=subject,
        title=f"{subject} is broken: every run since {time(since_us)} has failed",
        detail=_detail(record),
        evidence=(_evidence(workspace, record, since_us),),
        action=_action(workspace, record),
        hours=record.streak_seconds / 3600 / weeks,
        failures=record.streak / weeks,
        owner=workspace.owner(record.subject),
    )


def _severity(workspace: Workspace, record: Record) -> Severity:
    """Return how bad it is: what is paused, or has no deployment, somebody has in hand."""
    deployment = workspace.catalog.deployments.get(record.subject.deployment_id)
    if deployment and not deployment.paused:
        return Severity.HIGH
    return Severity.MEDIUM if record.runs >= FEWEST_RUNS else Severity.LOW


def _detail(record: Record) -> str:
    if record.succeeded_us is None:
        return "No run has succeeded in the period. It does not mend itself."
    return (
        f"The last run that succeeded ended at {time(record.succeeded_us)}. The failures before"
        " make such a streak improbable, so something has changed then, and no run mends it."
    )


def _evidence(workspace: Workspace, record: Record, since_us: int) -> Evidence:
    return Evidence(
        f"The last {count(record.streak, 'run')} of {record.runs:,} have failed, which took"
        f" {duration(record.streak_seconds)}.",
        {
            "streak": record.streak,
            "runs": record.runs,
            "failed": record.failed,
            "broken_since": time(since_us),
            "seconds": record.streak_seconds,
        },
        run_links(workspace, record.examples[: record.streak]),
    )


def _action(workspace: Workspace, record: Record) -> Action:
    signature = failures(workspace, workspace.period).signatures.get(record.examples[0])
    where = f" in {signature.places[-1]}" if signature and signature.places else ""
    what = (signature.type or signature.pattern) if signature else ""
    mend = f"Mend {what[:200]}{where}" if what else "Mend what the newest failed run says"
    subject = workspace.name(record.subject)
    if not record.subject.deployment_id:
        return Action(
            f"{mend}, then run {subject} once.",
            Effort.HOURS,
            "None beyond the change's own.",
            _BACK,
        )
    return Action(
        f"{mend}, then: {command('prefect', 'deployment', 'run', subject)}",
        Effort.HOURS,
        "The run does what the deployment does: it writes where it writes.",
        _BACK,
    )


_BACK = "Deploy the version before; it fails as it does now."
