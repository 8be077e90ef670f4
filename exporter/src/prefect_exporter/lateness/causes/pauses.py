"""Somebody has paused it."""

from __future__ import annotations

from prefect_exporter.lateness.model import Cause, Facts, Reason
from prefect_exporter.lateness.words import command, named, option


def pool_paused(facts: Facts) -> Reason | None:
    """Tell of a pool that gives out no runs."""
    if not facts.late or facts.pool is None or not facts.pool.paused:
        return None
    pool = facts.pool.name
    return Reason(
        Cause.POOL_PAUSED,
        f"work pool {pool!r} is paused: it gives no run to a worker",
        (command("work-pool", "resume", named(pool)),),
    )


def queue_paused(facts: Facts) -> Reason | None:
    """Tell of a queue that gives out no runs."""
    if not facts.late or facts.queue is None or not facts.queue.paused:
        return None
    queue, pool = facts.queue.name, facts.subject.work_pool
    return Reason(
        Cause.QUEUE_PAUSED,
        f"work queue {queue!r} of work pool {pool!r} is paused: it gives no run to a worker",
        (command("work-queue", "resume", named(queue), *option("pool", pool)),),
    )


def deployment_paused(facts: Facts) -> Reason | None:
    """Tell of a deployment of which Prefect makes no runs.

    The pause takes away what its schedules had made; what somebody starts by hand runs all the
    same, so a pause explains no run that is there.
    """
    if facts.late or not facts.paused:
        return None
    key = facts.subject.deployment_id
    return Reason(
        Cause.DEPLOYMENT_PAUSED,
        "the deployment is paused: Prefect makes no run of its schedules",
        (command("api", "POST", f"/deployments/{key}/resume_deployment"),),
    )
