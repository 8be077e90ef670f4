"""A limit of concurrency is reached."""

from __future__ import annotations

from prefect_exporter.lateness.model import Cause, Facts, Reason, Slots
from prefect_exporter.lateness.words import ago, command, named, option

OF_DEPLOYMENT = "deployment:"
OF_TAG = "tag:"


def queue_limit_full(facts: Facts) -> Reason | None:
    """Tell of a queue all of whose slots are taken."""
    if not facts.late or facts.queue is None:
        return None
    slots = facts.queue.slots
    if slots is None or not slots.full:
        return None
    limit = str(raised(slots, facts.late))
    pool = option("pool", facts.subject.work_pool)
    return Reason(
        Cause.QUEUE_LIMIT_FULL,
        f"work queue {slots.name!r} runs as many as its limit allows: {taken(slots)}",
        (command("work-queue", "set-concurrency-limit", named(slots.name), limit, *pool),),
        {"slots": slots.limit, "slots_used": slots.used},
        slots.holders,
    )


def deployment_limit_full(facts: Facts) -> Reason | None:
    """Tell of a deployment that runs as often as it may."""
    slots = facts.limit
    if not facts.late or slots is None or not slots.full:
        return None
    if not slots.name.startswith(OF_DEPLOYMENT):
        return None
    text = f"the deployment runs as often at once as its limit allows: {taken(slots)}"
    return _global(Cause.DEPLOYMENT_LIMIT_FULL, text, slots, facts)


def global_limit_full(facts: Facts) -> Reason | None:
    """Tell of a global limit that the deployment shares with others."""
    slots = facts.limit
    if not facts.late or slots is None or not slots.full:
        return None
    if slots.name.startswith(OF_DEPLOYMENT):
        return None
    text = f"the deployment needs a slot of global limit {slots.name!r}: {taken(slots)}"
    return _global(Cause.GLOBAL_LIMIT_FULL, text, slots, facts)


def tag_limit_full(facts: Facts) -> Reason | None:
    """Tell of task runs that wait for a slot of a tag inside flow runs that have begun."""
    if not facts.tags:
        return None
    slots = max(facts.tags, key=lambda each: each.waiting)
    tag = slots.name.removeprefix(OF_TAG)
    limit = str(raised(slots, slots.waiting))
    # Prefect's own reading of the command: a limit that is there already is set anew.
    return Reason(
        Cause.TAG_LIMIT_FULL,
        f"the flow run has begun, and {slots.waiting} of its task runs wait for a slot of tag "
        f"{tag!r}: {taken(slots)}",
        (command("global-concurrency-limit", "update", named(slots.name), "--limit", limit),),
        {"slots": slots.limit, "slots_used": slots.used, "task_runs_waiting": slots.waiting},
        slots.holders,
    )


def raised(slots: Slots, waiting: int) -> int:
    """Return a limit that lets what waits start, at most the double: the machines must bear it."""
    return slots.limit + max(1, min(waiting, slots.limit))


def taken(slots: Slots) -> str:
    """Return how full a limit is."""
    if slots.limit == 0:
        return "the limit is 0, so nothing ever starts"
    return f"{slots.used:g} of {slots.limit} slots are taken"


def _global(cause: Cause, text: str, slots: Slots, facts: Facts) -> Reason:
    update = "global-concurrency-limit", "update", named(slots.name)
    if slots.holders:
        oldest = slots.holders[0]
        text += f"; the longest run began {ago(oldest.since_us, facts.now_us)}"
    limit = str(raised(slots, facts.late))
    return Reason(
        cause,
        text,
        (command(*update, "--limit", limit),),
        {"slots": slots.limit, "slots_used": slots.used},
        slots.holders,
    )
