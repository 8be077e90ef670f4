"""Failures of a kind that the period before did not have, in flows that ran then too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prefect_exporter.failures.model import Group, Signature
from prefect_exporter.report.failed import groups
from prefect_exporter.report.failing.group_findings import by_subject, evidence, mend, name
from prefect_exporter.report.failing.records import Record, records
from prefect_exporter.report.model import Finding, Severity
from prefect_exporter.report.statistics import poisson_ratio
from prefect_exporter.report.words import time
from prefect_exporter.report.workspace import Workspace

SECTION = "failures"

FEWEST = 3
"""Failures of a group before it is told: fewer come and go in every workspace."""

MOST_CHANCE = 0.01
"""That the period before had none by luck alone (Poisson), for it to be more than a hint."""

MOST_EVIDENCE = 3


def check(workspace: Workspace) -> Iterator[Finding]:
    """Return the flows that new groups hit most; nothing where no period is compared."""
    if not workspace.question.compare:
        return
    before = workspace.period.before
    known = {mark for each in groups(workspace, before) for mark in _marks(each.signature)}
    ran = {each.subject: each.runs for each in records(workspace, before)}
    new = [
        each
        for each in groups(workspace, workspace.period)
        if each.count >= FEWEST and not known.intersection(_marks(each.signature))
    ]
    for _, record, found in by_subject(workspace, new):
        if record.subject in ran:
            yield _finding(workspace, record, found, ran[record.subject])


def _marks(signature: Signature) -> tuple[object, ...]:
    # Tracebacks are read of some runs alone: a failure may have one here and none there.
    return signature.id, (signature.type, signature.pattern)


def _finding(workspace: Workspace, record: Record, found: Sequence[Group], ran: int) -> Finding:
    subject, weeks = workspace.name(record.subject), workspace.period.weeks
    failed = sum(each.flows[subject] for each in found)
    by_luck = poisson_ratio(failed, record.runs, 0, ran).p
    first = found[0]
    return Finding(
        check="failure-new",
        section=SECTION,
        severity=Severity.MEDIUM if by_luck < MOST_CHANCE else Severity.LOW,
        subject=subject,
        title=f"{subject} fails in a new way since {time(first.first_us)}: {name(first)}",
        detail=(
            "The period before had no such failure, though the flow ran then. What was deployed or"
            " changed shortly before its first one is the first suspect."
        ),
        evidence=tuple(
            evidence(workspace, each, "; none in the period before")
            for each in found[:MOST_EVIDENCE]
        ),
        action=mend(first),
        failures=failed / weeks,
        owner=workspace.owner(record.subject),
    )
