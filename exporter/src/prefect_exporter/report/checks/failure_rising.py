"""Failures that become more, and not because there are more runs."""

from __future__ import annotations

from collections.abc import Iterator

from prefect_exporter.failures.model import Group
from prefect_exporter.report.failed import groups
from prefect_exporter.report.failing.group_findings import by_subject, evidence, mend, name
from prefect_exporter.report.failing.records import Record, records
from prefect_exporter.report.model import Finding, Severity
from prefect_exporter.report.phrases import chance
from prefect_exporter.report.statistics import Ratio, mann_kendall, poisson_ratio
from prefect_exporter.report.workspace import Workspace

SECTION = "failures"

FEWEST = 8
"""Failures of a group: a trend of fewer is none."""

MOST_CHANCE = 0.01
"""Of either test: Mann-Kendall on the steps, Poisson on the halves of the period."""

LEAST_RATIO = 2.0
"""The second half's failures a run against the first half's."""

_COUNT = (
    "SELECT COUNT(*) FROM flow_runs WHERE flow_id = ? AND deployment_id = ?"
    " AND state_type IN ('COMPLETED', 'FAILED', 'CRASHED') AND ended_us >= ? AND ended_us < ?"
)


def check(workspace: Workspace) -> Iterator[Finding]:
    """Return the flows that growing groups hit most."""
    many = [each for each in groups(workspace, workspace.period) if each.count >= FEWEST]
    for _, record, found in by_subject(workspace, many):
        for each in found:
            trend, halves = mann_kendall(each.buckets), _halves(workspace, each)
            rises = trend.s > 0 and trend.p < MOST_CHANCE
            if rises and halves.ratio >= LEAST_RATIO and halves.p < MOST_CHANCE:
                yield _finding(workspace, record, each, trend.p, halves)
                break


def _halves(workspace: Workspace, group: Group) -> Ratio:
    """Return the failures a run of the period's second half against those of its first.

    The runs are those of all flows that the group hits, as its failures are.
    """
    period, middle = workspace.period, len(group.buckets) // 2
    middle_us = (period.since_us + period.until_us) // 2
    subjects = [
        each.subject
        for each in records(workspace, period)
        if workspace.name(each.subject) in group.flows
    ]
    first, second = (
        sum(
            workspace.database.execute(_COUNT, (*each, since_us, until_us)).fetchone()[0]
            for each in subjects
        )
        for since_us, until_us in ((period.since_us, middle_us), (middle_us, period.until_us))
    )
    return poisson_ratio(sum(group.buckets[middle:]), second, sum(group.buckets[:middle]), first)


def _finding(
    workspace: Workspace, record: Record, group: Group, p: float, halves: Ratio
) -> Finding:
    subject = workspace.name(record.subject)
    times = f"{halves.ratio:.1f} times" if halves.ratio < 1000 else "far more than"  # noqa: PLR2004 - infinite too
    return Finding(
        check="failure-rising",
        section=SECTION,
        severity=Severity.MEDIUM,
        subject=subject,
        title=f"{subject} fails more and more often: {name(group)}",
        detail=(
            "The failures grow faster than the runs do. A growing input, a filling disk or a"
            " service at its limit look so, and end in a flow that always fails."
        ),
        evidence=(
            evidence(
                workspace,
                group,
                f"; {times} as many a run in the second half of the period as in the first"
                f" (Mann-Kendall, {chance(p)}; Poisson, {chance(halves.p)})",
                ratio=halves.ratio if halves.ratio < 1000 else "infinite",  # noqa: PLR2004 - JSON has none
                p_mann_kendall=p,
                p_poisson=halves.p,
            ),
        ),
        action=mend(group),
        failures=group.flows[subject] / workspace.period.weeks,
        owner=workspace.owner(record.subject),
    )
