"""Nobody fetches the runs."""

from __future__ import annotations

from prefect_exporter.lateness.model import Cause, Facts, Reason
from prefect_exporter.lateness.words import ago, command, option, workers
from prefect_exporter.moments import SECOND
from prefect_exporter.pool_types import needs_worker

# Prefect's own bound, after which it calls a queue not ready; workers ask every 10 s.
POLLED_WITHIN_US = 60 * SECOND


def no_worker(facts: Facts) -> Reason | None:
    """Tell of a pool that no worker serves, and since when."""
    pool = facts.pool
    if not facts.late or pool is None or pool.online or not needs_worker(pool.type):
        return None
    last = max(pool.workers, key=lambda each: each.heard_us or 0, default=None)
    if last is None:
        text = f"work pool {pool.name!r} has never had a worker"
    else:
        heard = ago(last.heard_us, facts.now_us)
        text = (
            f"no worker of work pool {pool.name!r} is online; "
            f"the last one, {last.name!r}, was heard {heard}"
        )
    return Reason(
        Cause.NO_WORKER,
        text,
        (command("worker", "start", *option("pool", pool.name)),),
        {"workers_online": 0, "workers_offline": len(pool.workers)},
    )


def queue_not_polled(facts: Facts) -> Reason | None:
    """Tell of a queue that the workers of its pool do not ask."""
    pool, queue = facts.pool, facts.queue
    if not facts.late or pool is None or queue is None or not pool.online:
        return None
    if queue.paused or pool.paused or not needs_worker(pool.type):
        return None
    polled = queue.last_polled_us
    if polled is not None and facts.now_us - polled <= POLLED_WITHIN_US:
        return None
    when = "has never been asked" if polled is None else f"was asked {ago(polled, facts.now_us)}"
    start = "worker", "start", *option("pool", pool.name), *option("work-queue", queue.name)
    return Reason(
        Cause.QUEUE_NOT_POLLED,
        f"{workers(pool.online)} of work pool {pool.name!r} online, but work queue "
        f"{queue.name!r} {when}: they serve other queues",
        (command(*start),),
        {"workers_online": pool.online},
    )


def not_served(facts: Facts) -> Reason | None:
    """Tell of a deployment without a pool whose own process is gone."""
    if not facts.late or facts.subject.work_pool or facts.ready is not False:
        return None
    if facts.subject.deployment_id is None:
        return None
    return Reason(
        Cause.NOT_SERVED,
        "the deployment has no work pool, and the process that serves it does not ask for runs",
        ("# start the process again that calls serve(), as it was started before",),
    )
