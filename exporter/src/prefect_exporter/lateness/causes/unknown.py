"""None of the known causes: say what was looked at, so that nobody looks again."""

from __future__ import annotations

from collections.abc import Iterator

from prefect_exporter.lateness.model import Cause, Facts, Reason, Slots
from prefect_exporter.lateness.words import ago, workers


def unknown(facts: Facts) -> Reason:
    """Return what was looked at and is in order."""
    looked = "; ".join(_looked_at(facts)) or "the run belongs to no deployment and no work pool"
    return Reason(
        Cause.UNKNOWN,
        f"none of the known causes shows: {looked}. What Prefect does not tell: whether workers "
        "are at their own --limit (their logs say so), and flow code that waits in concurrency()",
    )


def _looked_at(facts: Facts) -> Iterator[str]:
    pool, queue = facts.pool, facts.queue
    if pool is not None:
        yield f"work pool {pool.name!r} is not paused, {workers(pool.online)} online, " + _limit(
            pool.slots
        )
    if queue is not None:
        polled = ago(queue.last_polled_us, facts.now_us)
        limit = _limit(queue.slots)
        yield f"work queue {queue.name!r} is not paused, last asked: {polled}, {limit}"
    if facts.subject.deployment_id is not None:
        yield f"the deployment has {_limit(facts.limit)}"
    if pool is None and facts.ready:
        yield "the process that serves it asks for runs; it may be at its own limit"


def _limit(slots: Slots | None) -> str:
    return "no limit" if slots is None else f"{slots.used:g} of {slots.limit} slots taken"
