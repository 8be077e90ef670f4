"""A work pool that is paused for long, while deployments are due in it."""

from __future__ import annotations

from collections.abc import Iterator

from prefect_exporter.moments import micros
from prefect_exporter.report.environment.activity import (
    FEWEST_MISSED,
    FORGOTTEN_US,
    Meant,
    meant,
    started,
    waiting,
)
from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Link, Severity
from prefect_exporter.report.phrases import command
from prefect_exporter.report.scope import is_narrowed
from prefect_exporter.report.wire import ToldWorkPool
from prefect_exporter.report.words import count
from prefect_exporter.report.workspace import Workspace

SECTION = "environment"


def check(workspace: Workspace) -> Iterator[Finding]:
    """Find paused pools in which nothing ran in the period, and something should have."""
    period = workspace.period
    if is_narrowed(workspace) or period.until_us - period.since_us < FORGOTTEN_US:
        return
    for name, pool in sorted(workspace.catalog.work_pools.items()):
        is_new = pool.created is None or micros(pool.created) >= period.since_us
        if not pool.is_paused or is_new or (name,) in started(workspace, "work_pool"):
            continue
        told = workspace.catalog.deployments.values()
        found = meant(workspace, [each for each in told if each.work_pool_name == name])
        if found.times >= FEWEST_MISSED:
            yield _finding(workspace, pool, found)


def _finding(workspace: Workspace, pool: ToldWorkPool, found: Meant) -> Finding:
    late = waiting(workspace, "work_pool").get((pool.name,), 0)
    evidence = Evidence(
        f"The pool is paused and nothing ran in it in the period,"
        f" in which {count(found.deployments, 'deployment')} in it would have been due"
        f" about {found.times:,} times; {count(late, 'run')} past due.",
        {"deployments": found.deployments, "missed": found.times, "late_runs": late},
        (Link(pool.name, workspace.question.links.work_pool(pool.name)),),
    )
    return Finding(
        check="work-pool-paused-forgotten",
        section=SECTION,
        severity=Severity.MEDIUM,
        subject=f"work pool {pool.name}",
        title=f"Work pool {pool.name} is paused, perhaps forgotten",
        detail="Runs in it are made and wait for ever. Resume it, or move its deployments.",
        evidence=(evidence,),
        action=Action(
            command("prefect", "work-pool", "resume", pool.name),
            Effort.MINUTES,
            "All runs that wait in it begin at once.",
            command("prefect", "work-pool", "pause", pool.name),
        ),
    )
