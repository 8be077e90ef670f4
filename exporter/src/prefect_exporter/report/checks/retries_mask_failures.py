"""Flows that succeed, but often only when they are tried again."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from prefect_exporter.report.evidence import run_links
from prefect_exporter.report.failing.records import Record, records
from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Severity
from prefect_exporter.report.words import count, duration, share
from prefect_exporter.report.workspace import Workspace

SECTION = "failures"

LEAST_SHARE = 0.1
"""Of the runs that succeeded: below that, retries do what they are for."""

FEWEST = 5
"""Runs that succeeded only by a retry: fewer may be one bad hour."""


def check(workspace: Workspace) -> Iterator[Finding]:
    """Return the flows whose outcomes hide how often they fail."""
    for record in records(workspace, workspace.period):
        succeeded = record.runs - record.failed
        if record.retried >= FEWEST and record.retried >= LEAST_SHARE * succeeded:
            yield _finding(workspace, record, succeeded)


def _finding(workspace: Workspace, record: Record, succeeded: int) -> Finding:
    subject, weeks = workspace.name(record.subject), workspace.period.weeks
    part = share(record.retried / succeeded)
    return Finding(
        check="retries-mask-failures",
        section=SECTION,
        severity=Severity.MEDIUM,
        subject=subject,
        title=f"{subject} hides failures: {part} of its successes needed a retry",
        detail=(
            "Its runs end well, so nobody is told, but their first attempts fail. The day that the"
            " retries no longer suffice, it fails at once and often."
        ),
        evidence=(
            Evidence(
                f"{record.retried:,} of {count(succeeded, 'successful run')} succeeded only when"
                " they were tried again. Their failed attempts took about"
                f" {duration(record.retried_seconds)}, if all attempts took as long.",
                {
                    "retried_to_success": record.retried,
                    "succeeded": succeeded,
                    "seconds_estimated": record.retried_seconds,
                },
                run_links(workspace, record.retried_examples),
            ),
        ),
        action=Action(
            f"prefect flow-run logs {_newest(record)}  # mend what its first attempt failed of",
            Effort.HOURS,
            "None: the retries stay.",
            "Nothing to take back.",
        ),
        hours=record.retried_seconds / 3600 / weeks,
        owner=workspace.owner(record.subject),
    )


def _newest(record: Record) -> str:
    return str(UUID(bytes=record.retried_examples[0]))
