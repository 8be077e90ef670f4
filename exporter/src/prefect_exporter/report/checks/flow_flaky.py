"""Flows that fail now and then, and succeed again without anybody's doing."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from prefect_exporter.report.evidence import run_links
from prefect_exporter.report.failing.records import Record, Verdict, records
from prefect_exporter.report.mends import flow_retries
from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Severity
from prefect_exporter.report.phrases import command
from prefect_exporter.report.words import count, duration, share
from prefect_exporter.report.workspace import Workspace

SECTION = "failures"

MEDIUM_SHARE = 0.05
"""Of its runs that fail: less is a nuisance."""


def check(workspace: Workspace) -> Iterator[Finding]:
    """Return the flaky ones; ``records.Verdict`` says when a flow is."""
    for record in records(workspace, workspace.period):
        if record.verdict is Verdict.FLAKY:
            yield _finding(workspace, record)


def _action(workspace: Workspace, record: Record) -> Action:
    newest = next(workspace.flow_runs("WHERE id = ?", (record.examples[0],)))
    if newest.retries <= 0:
        return flow_retries(workspace.flow_name(record.subject.flow_id))
    # It is tried again already, and fails nevertheless.
    return Action(
        command("prefect", "flow-run", "logs", str(UUID(bytes=newest.id)))
        + "  # mend what it says",
        Effort.HOURS,
        "None beyond the change's own.",
        "Deploy the version before.",
    )


def _finding(workspace: Workspace, record: Record) -> Finding:
    subject, weeks = workspace.name(record.subject), workspace.period.weeks
    return Finding(
        check="flow-flaky",
        section=SECTION,
        severity=Severity.MEDIUM if record.failed_share >= MEDIUM_SHARE else Severity.LOW,
        subject=subject,
        title=f"{subject} is flaky: {share(record.failed_share)} of its runs fail, others succeed",
        detail=(
            "It went from success to failure and back several times, so its code and settings are"
            " mostly right: something that it needs is not always there."
        ),
        evidence=(
            Evidence(
                f"{record.failed:,} of {count(record.runs, 'run')} failed, in"
                f" {count(record.episodes, 'episode')}, and took"
                f" {duration(record.failed_seconds)}; {record.retried:,} more succeeded only"
                " when they were tried again.",
                {
                    "failed": record.failed,
                    "runs": record.runs,
                    "episodes": record.episodes,
                    "retried_to_success": record.retried,
                    "seconds": record.failed_seconds,
                },
                run_links(workspace, record.examples),
            ),
        ),
        action=_action(workspace, record),
        hours=record.failed_seconds / 3600 / weeks,
        failures=record.failed / weeks,
        owner=workspace.owner(record.subject),
    )
