"""Runs wait long for a worker, again and again, and it is no concurrency limit that holds them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from prefect_exporter.pool_types import needs_worker
from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Severity
from prefect_exporter.report.performance.slots import Used, used
from prefect_exporter.report.performance.waits import QueueWaits, queue_waits
from prefect_exporter.report.phrases import command
from prefect_exporter.report.places import pool_link
from prefect_exporter.report.timeline import timeline
from prefect_exporter.report.words import count, duration
from prefect_exporter.report.workspace import Workspace

SECTION = "performance"

FEWEST_RUNS = 20

LONG_SECONDS = 300.0
"""Waiting of one run of twenty: workers poll every 15 s, and infrastructure starts in minutes."""

HIGH_SECONDS = 900.0
"""Waiting of every second run."""

FEWEST_STEPS = 3
LEAST_STEPS = 0.25
"""Share of the steps of time in which runs waited long: a single outage is no lack of workers."""

MOST_BY_LIMITS = 0.5
"""Share of the waiting that a full limit explains: then the limit is to be mended."""

FREE_SECONDS = 60.0
"""Of waiting that nobody can take away."""


def check(workspace: Workspace) -> Iterator[Finding]:
    """Return the work queues in which runs wait long and often."""
    for each in queue_waits(workspace):
        long = len(each.waits) >= FEWEST_RUNS and each.p95 >= LONG_SECONDS
        if long and _is_usual(workspace, each) and not _is_by_limits(workspace, each):
            yield _finding(workspace, each)


def _is_usual(workspace: Workspace, each: QueueWaits) -> bool:
    steps = timeline(workspace.period)
    any_wait = {steps.index(at_us) for at_us in each.started_us}
    long = {
        steps.index(at_us)
        for at_us, wait in zip(each.started_us, each.waits, strict=True)
        if wait >= LONG_SECONDS
    }
    return len(long) >= max(FEWEST_STEPS, LEAST_STEPS * len(any_wait))


def _is_by_limits(workspace: Workspace, each: QueueWaits) -> bool:
    waited = math.fsum(limit.waited for limit in _limits(workspace, each))
    return waited >= MOST_BY_LIMITS * math.fsum(each.waits)


def _limits(workspace: Workspace, each: QueueWaits) -> Iterator[Used]:
    queue = (each.work_pool, each.work_queue)
    deployments = workspace.catalog.deployments
    for limit in used(workspace):
        told = deployments.get(limit.place.deployment_id)
        place = (told.work_pool_name, told.work_queue_name) if told else limit.place[3:5]
        if place in (queue, (each.work_pool, "")):
            yield limit


def _finding(workspace: Workspace, each: QueueWaits) -> Finding:
    subject = f"work queue {each.work_pool}/{each.work_queue}"
    online = sum(
        worker.work_pool == each.work_pool and worker.status == "ONLINE"
        for worker in workspace.catalog.workers
    )
    avoidable = math.fsum(max(0.0, wait - FREE_SECONDS) for wait in each.waits)
    return Finding(
        check="queue-wait-long",
        section=SECTION,
        severity=Severity.HIGH if each.p50 >= HIGH_SECONDS else Severity.MEDIUM,
        subject=subject,
        title=f"One run of twenty in {subject} waits {duration(each.p95)} or more",
        detail=(
            "It happens at many times and no concurrency limit was used up meanwhile, so that"
            " either the workers are too few, or too slow to start what they take."
        ),
        evidence=(
            Evidence(
                f"Of {count(len(each.waits), 'run')} half waited {duration(each.p50)} or more, one"
                f" of twenty {duration(each.p95)} or more, the longest {duration(each.longest)};"
                f" {count(online, 'worker')} of the pool {'is' if online == 1 else 'are'} online.",
                {
                    "runs": len(each.waits),
                    "p50_seconds": round(each.p50, 3),
                    "p95_seconds": round(each.p95, 3),
                    "longest_seconds": round(each.longest, 3),
                    "workers_online": online,
                },
                (pool_link(workspace, each.work_pool),),
            ),
        ),
        action=_action(workspace, each),
        hours=avoidable / 3600 / workspace.period.weeks,
    )


def _action(workspace: Workspace, each: QueueWaits) -> Action:
    pool = workspace.catalog.work_pools.get(each.work_pool)
    if pool and not needs_worker(pool.type):
        return Action(
            change=(
                "No worker serves this pool, so that the time is its infrastructure's: make the"
                f" image smaller, or keep capacity warm;"
                f" {command('prefect', 'work-pool', 'inspect', each.work_pool)}"
            ),
            effort=Effort.HOURS,
            risk="Capacity that is kept warm costs money.",
            rollback="Give the capacity back.",
        )
    worker = ("prefect", "worker", "start", "--pool", each.work_pool)
    return Action(
        change=(
            f"Start one more worker: {command(*worker, '--work-queue', each.work_queue)}."
            " If a worker was started with --limit, raise that first."
        ),
        effort=Effort.MINUTES,
        risk="More runs at once load the databases and services that they use.",
        rollback="Stop the worker; its runs go on to their end.",
    )
