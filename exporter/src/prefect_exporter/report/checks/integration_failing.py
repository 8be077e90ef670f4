"""A system outside whose tasks fail in several flows, and more often than other tasks."""

from __future__ import annotations

from collections.abc import Iterator

from prefect_exporter.report.evidence import run_links
from prefect_exporter.report.integrations.uses import Use, Uses, uses
from prefect_exporter.report.mends import task_retries
from prefect_exporter.report.model import Cell, Evidence, Finding, Severity
from prefect_exporter.report.phrases import chance, listed
from prefect_exporter.report.statistics import poisson_ratio
from prefect_exporter.report.words import share
from prefect_exporter.report.workspace import Workspace

SECTION = "integrations"

FEWEST_RUNS = 20
"""Task runs of a system, below which a share says little."""

FEWEST_FAILED = 5
"""Of them that failed."""

LEAST_SHARE = 0.1
"""Of them that fail."""

HIGH_SHARE = 0.5
"""So many make it an outage."""

FEWEST_FLOWS = 2
"""Flows or deployments with failures: one alone may do something wrong itself."""

LEAST_RATIO = 2.0
"""How many times the share of all other tasks, and ..."""

MOST_CHANCE = 0.01
"""... how probable that may be by chance (Poisson)."""


def check(workspace: Workspace) -> Iterator[Finding]:
    """Find systems whose tasks fail often, in several flows, and more than others."""
    found = uses(workspace)
    for use in found.systems.values():
        if use.task_runs < FEWEST_RUNS or use.failed_task_runs < FEWEST_FAILED:
            continue
        failed = use.failed_task_runs / use.task_runs
        if failed >= LEAST_SHARE and len(use.failing) >= FEWEST_FLOWS:
            others = found.task_runs - use.task_runs
            p = _chance(use, found, others)
            if p is not None:
                yield _finding(workspace, use, found, p)


def _chance(use: Use, found: Uses, others: int) -> float | None:
    """Return by what chance it fails so much more than others do; None where it does not."""
    failed = found.failed_task_runs - use.failed_task_runs
    if not others:
        return 0.0
    compared = poisson_ratio(use.failed_task_runs, use.task_runs, failed, others)
    differs = compared.ratio >= LEAST_RATIO and compared.p <= MOST_CHANCE
    return compared.p if differs else None


def _finding(workspace: Workspace, use: Use, found: Uses, p: float) -> Finding:
    failed = use.failed_task_runs / use.task_runs
    others = found.task_runs - use.task_runs
    other_share = (found.failed_task_runs - use.failed_task_runs) / others if others else None
    flows = sorted(workspace.name(each) for each in use.failing)
    text = (
        f"{use.failed_task_runs:,} of {use.task_runs:,} of its task runs that were read failed"
        f" ({share(failed)}), in {listed(flows)}"
    )
    if other_share is not None:
        text += f"; of all other task runs {share(other_share)} did ({chance(p)})"
    numbers: dict[str, Cell] = {
        "task_runs": use.task_runs,
        "failed_task_runs": use.failed_task_runs,
        "failed_flow_runs": use.failed_runs,
        "flows": len(flows),
        "others_failed_share": other_share,
    }
    return Finding(
        check="integration-failing",
        section=SECTION,
        severity=Severity.HIGH if failed >= HIGH_SHARE else Severity.MEDIUM,
        subject=f"integration {use.name}",
        title=f"Tasks of {use.name} fail in {share(failed)} of their runs",
        detail=f"Several flows fail where they work with {use.name}, so that the cause is more"
        " likely there, or on the way to it, than in each of them. See its own status first.",
        evidence=(Evidence(f"{text}.", numbers, run_links(workspace, use.examples)),),
        action=task_retries(use.failed_by_task.most_common(1)[0][0]),
        failures=round(use.failed_runs / workspace.period.weeks, 2),
    )
