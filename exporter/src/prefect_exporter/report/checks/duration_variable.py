"""Some runs of a flow take many times as long as most, without a point at which it began."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Severity
from prefect_exporter.report.performance.lengths import Lengths, lengths
from prefect_exporter.report.performance.slowing import slowing
from prefect_exporter.report.phrases import command
from prefect_exporter.report.places import run_link
from prefect_exporter.report.words import count, duration
from prefect_exporter.report.workspace import Workspace

SECTION = "performance"

FEWEST_RUNS = 40
"""So that two runs at least are beyond the p95."""

LEAST_SPREAD = 4.0
"""p95 by p50: flows whose work differs from run to run come to two or three."""

LEAST_SECONDS = 600.0
"""Between p50 and p95: below ten minutes nobody waits."""

_RUNS = """
WHERE flow_id = ? AND deployment_id = ? AND state_type = 'COMPLETED'
    AND ended_us >= ? AND ended_us < ?
"""


def check(workspace: Workspace) -> Iterator[Finding]:
    """Return the flows whose p95 is far from their median; those that got slower have their own."""
    slower = {each.subject for each in slowing(workspace)}
    for each in lengths(workspace):
        if each.subject not in slower and _varies(each):
            yield _finding(workspace, each)


def _varies(each: Lengths) -> bool:
    return (
        each.runs >= FEWEST_RUNS
        and each.spread >= LEAST_SPREAD
        and each.p95 - each.p50 >= LEAST_SECONDS
    )


def _finding(workspace: Workspace, each: Lengths) -> Finding:
    name = workspace.name(each.subject)
    within = (*each.subject, workspace.period.since_us, workspace.period.until_us)
    longest = list(workspace.flow_runs(f"{_RUNS} ORDER BY seconds DESC LIMIT 3", within))
    usual = next(
        workspace.flow_runs(f"{_RUNS} ORDER BY ABS(seconds - ?) LIMIT 1", (*within, each.p50))
    )
    links = [run_link(workspace, f"long run {run.name}", run.id) for run in longest]
    links.append(run_link(workspace, f"usual run {usual.name}", usual.id))
    return Finding(
        check="duration-variable",
        section=SECTION,
        severity=Severity.LOW,
        subject=name,
        title=f"One run of twenty of {name} takes {each.spread:.1f} times as long as usual",
        detail=(
            "What waits for it cannot be planned, and no timeout fits: one that lets the long runs"
            " through finds a hang only after that time."
        ),
        evidence=(
            Evidence(
                f"Of {count(each.runs, 'run')} half took {duration(each.p50)} at most, one of"
                f" twenty {duration(each.p95)} or more, the longest {duration(each.longest)}.",
                {
                    "runs": each.runs,
                    "p50_seconds": round(each.p50, 3),
                    "p95_seconds": round(each.p95, 3),
                    "longest_seconds": round(each.longest, 3),
                    "coefficient_of_variation": round(each.variation, 3),
                },
                tuple(links),
            ),
        ),
        action=Action(
            change=(
                f"Compare {command('prefect', 'flow-run', 'logs', str(UUID(bytes=longest[0].id)))}"
                f" with {command('prefect', 'flow-run', 'logs', str(UUID(bytes=usual.id)))}. If"
                " they do different work by their parameters, give each kind a deployment of its"
                f" own; else add timeout_seconds={max(60, round(2 * each.p95))} to the flow."
            ),
            effort=Effort.HOURS,
            risk="A timeout ends a run that would have completed later.",
            rollback="Take timeout_seconds away, and deploy again.",
        ),
        owner=workspace.owner(each.subject),
    )
