"""A work queue that is paused for long, while deployments are due in it."""

from __future__ import annotations

from collections.abc import Iterator

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
from prefect_exporter.report.words import count
from prefect_exporter.report.workspace import Workspace

SECTION = "environment"


def check(workspace: Workspace) -> Iterator[Finding]:
    """Find paused queues in which nothing ran in the period, and something should have."""
    period = workspace.period
    if is_narrowed(workspace) or period.until_us - period.since_us < FORGOTTEN_US:
        return
    for queue in workspace.catalog.work_queues:
        key = (queue.work_pool_name or "", queue.name)
        pool = workspace.catalog.work_pools.get(key[0])
        # Of a paused pool that is said once.
        if not queue.is_paused or pool is None or pool.is_paused:
            continue
        if key in started(workspace, "work_pool", "work_queue"):
            continue
        told = workspace.catalog.deployments.values()
        users = [each for each in told if (each.work_pool_name, each.work_queue_name) == key]
        found = meant(workspace, users)
        if found.times >= FEWEST_MISSED:
            yield _finding(workspace, key, found)


def _finding(workspace: Workspace, key: tuple[str, str], found: Meant) -> Finding:
    pool, name = key
    late = waiting(workspace, "work_pool", "work_queue").get(key, 0)
    subject = f"work queue {pool}/{name}"
    evidence = Evidence(
        f"The queue is paused and nothing ran in it in the period,"
        f" in which {count(found.deployments, 'deployment')} in it would have been due"
        f" about {found.times:,} times; {count(late, 'run')} past due.",
        {"deployments": found.deployments, "missed": found.times, "late_runs": late},
        (Link(pool, workspace.question.links.work_pool(pool)),),
    )
    return Finding(
        check="work-queue-paused-forgotten",
        section=SECTION,
        severity=Severity.MEDIUM,
        subject=subject,
        title=f"Work queue {pool}/{name} is paused, perhaps forgotten",
        detail="Runs in it are made and wait for ever. Resume it, or move its deployments.",
        evidence=(evidence,),
        action=Action(
            command("prefect", "work-queue", "resume", name, "--pool", pool),
            Effort.MINUTES,
            "All runs that wait in it begin at once.",
            command("prefect", "work-queue", "pause", name, "--pool", pool),
        ),
    )
