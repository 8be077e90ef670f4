"""Work pools that have work and no worker to do it."""

from __future__ import annotations

from collections.abc import Iterator

from prefect_exporter.moments import MINUTE, micros
from prefect_exporter.pool_types import needs_worker
from prefect_exporter.report.evidence import run_links
from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Severity
from prefect_exporter.report.phrases import command, listed
from prefect_exporter.report.scope import deployments
from prefect_exporter.report.wire import ToldWorkPool
from prefect_exporter.report.words import count
from prefect_exporter.report.workspace import Workspace

SECTION = "risks"
NEEDS = ("flow runs", "workers")

DUE_US = MINUTE
"""Since a run was due: workers ask every 15 s."""

RESTART_US = 10 * MINUTE
"""Since a worker was last heard: where nothing waits for it, it may be starting again."""

_DUE = "WHERE work_pool = ? AND state_type = 'SCHEDULED' AND expected_us < ? ORDER BY expected_us"


def check(workspace: Workspace) -> Iterator[Finding]:
    """Return pools with schedules or due runs that no worker serves; push and managed need none."""
    if any("workers" in route for route in workspace.catalog.server.refused):
        return
    served = {each.work_pool for each in workspace.catalog.workers if each.status == "ONLINE"}
    for name, pool in workspace.catalog.work_pools.items():
        if name not in served and needs_worker(pool.type) and not pool.is_paused:
            yield from _finding(workspace, pool)


def _finding(workspace: Workspace, pool: ToldWorkPool) -> Iterator[Finding]:
    scheduled = [
        workspace.name(subject)
        for subject, each in deployments(workspace)
        if each.work_pool_name == pool.name
        and not each.paused
        and any(schedule.active for schedule in each.schedules)
    ]
    now_us = workspace.question.now_us
    waiting = list(workspace.flow_runs(_DUE, (pool.name, now_us - DUE_US)))
    workers = [each for each in workspace.catalog.workers if each.work_pool == pool.name]
    heard = [each.last_heartbeat_time for each in workers if each.last_heartbeat_time]
    restarts = any(now_us - micros(each) < RESTART_US for each in heard)
    if not waiting and (restarts or not scheduled):
        return
    known = len(workers)
    yield Finding(
        check="work-pool-without-worker",
        section=SECTION,
        severity=Severity.HIGH if waiting else Severity.MEDIUM,
        subject=f"work pool {pool.name}",
        title=f"Work pool {pool.name} has no worker",
        detail="No run of it starts until a worker of the pool's type is there.",
        evidence=(
            Evidence(
                f"Of {count(known, 'known worker')} of the pool none is online. Deployments with an"
                f" active schedule: {listed(scheduled) or 'none'}. Runs that are due and wait:"
                f" {len(waiting):,}.",
                {
                    "workers_online": 0,
                    "workers_known": known,
                    "deployments_scheduled": len(scheduled),
                    "runs_due": len(waiting),
                },
                run_links(workspace, (run.id for run in waiting)),
            ),
        ),
        action=Action(
            command("prefect", "worker", "start", "--pool", pool.name),
            Effort.MINUTES,
            "The runs that wait start at once: as many as the pool's limit allows.",
            "Stop the worker.",
        ),
    )
