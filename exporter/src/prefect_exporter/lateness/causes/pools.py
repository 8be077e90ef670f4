"""The pool runs as many as it may."""

from __future__ import annotations

from prefect_exporter.lateness.causes.limits import raised, taken
from prefect_exporter.lateness.model import Ahead, Cause, Facts, Reason, Slots
from prefect_exporter.lateness.words import command, named, option


def pool_limit_full(facts: Facts) -> Reason | None:
    """Tell of a pool all of whose slots are taken."""
    slots = _full(facts)
    if slots is None:
        return None
    limit = str(raised(slots, facts.late))
    return Reason(
        Cause.POOL_LIMIT_FULL,
        f"work pool {slots.name!r} runs as many as its limit allows: {taken(slots)}",
        (command("work-pool", "set-concurrency-limit", named(slots.name), limit),),
        {"slots": slots.limit, "slots_used": slots.used},
        slots.holders,
    )


def higher_priority_queue(facts: Facts) -> Reason | None:
    """Tell of a queue that comes first and takes every slot that becomes free."""
    slots = _full(facts)
    if slots is None or not slots.limit:
        return None
    greedy = max(facts.ahead, key=lambda each: (each.held, each.waiting), default=None)
    if greedy is None or not _takes_all(greedy, slots):
        return None
    # One slot at least is left for the others; of a limit of one none can be.
    limit = str(max(1, slots.limit - 1))
    pool = option("pool", slots.name)
    share = command("work-queue", "set-concurrency-limit", named(greedy.name), limit, *pool)
    more = command("work-pool", "set-concurrency-limit", named(slots.name), str(slots.limit + 1))
    return Reason(
        Cause.HIGHER_PRIORITY_QUEUE,
        f"work queue {greedy.name!r} has priority {greedy.priority} and takes the slots of work "
        f"pool {slots.name!r} first: it holds {greedy.held} of {slots.limit}, and "
        f"{greedy.waiting} more of its runs are due",
        (more,) if slots.limit == 1 else (share, more),
        {"slots": slots.limit, "slots_ahead": greedy.held, "late_ahead": greedy.waiting},
        tuple(each for each in slots.holders if each.queue == greedy.name),
    )


def _takes_all(queue: Ahead, slots: Slots) -> bool:
    return queue.held >= slots.limit or (queue.waiting > 0 and 2 * queue.held > slots.limit)


def _full(facts: Facts) -> Slots | None:
    if not facts.late or facts.pool is None or facts.pool.slots is None:
        return None
    return facts.pool.slots if facts.pool.slots.full else None
