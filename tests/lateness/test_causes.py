"""From facts to causes: each alone, the order of several, and what must not be told. Pure."""

from __future__ import annotations

import shlex
from dataclasses import replace
from uuid import UUID

import pytest

from prefect_exporter.lateness.causes import CAUSES, diagnose
from prefect_exporter.lateness.causes.unknown import unknown
from prefect_exporter.lateness.model import (
    Ahead,
    Cause,
    Facts,
    Holder,
    Plan,
    PoolSeen,
    QueueSeen,
    Slots,
    Subject,
    WorkerSeen,
)
from prefect_exporter.moments import DAY, HOUR, SECOND

NOW = 1_800_000_000 * SECOND
SUBJECT = Subject("etl", "daily", "k8s", "default", UUID(int=1))
WORKER = WorkerSeen("w1", online=True, heard_us=NOW - 5 * SECOND)
POOL = PoolSeen("k8s", "kubernetes", workers=(WORKER,))
QUEUE = QueueSeen("default", priority=2, last_polled_us=NOW - 5 * SECOND)
FINE = Facts(NOW, SUBJECT, late=3, oldest_us=NOW - HOUR, pool=POOL, queue=QUEUE)
FULL = Slots("k8s", 2, 2, (Holder(UUID(int=9), "slow", "urgent", NOW - HOUR),))
NOT_LATE = Facts(NOW, SUBJECT)
SERVED = Facts(NOW, Subject("etl", "daily", deployment_id=UUID(int=1)), late=1, ready=False)

ONE_CAUSE = {
    Cause.POOL_PAUSED: replace(FINE, pool=replace(POOL, paused=True)),
    Cause.QUEUE_PAUSED: replace(FINE, queue=replace(QUEUE, paused=True)),
    Cause.DEPLOYMENT_PAUSED: replace(NOT_LATE, paused=True),
    Cause.SCHEDULER_BEHIND: replace(NOT_LATE, plan=Plan(NOW + HOUR, to_come=0)),
    Cause.NO_WORKER: replace(FINE, pool=replace(POOL, workers=())),
    Cause.NOT_SERVED: SERVED,
    Cause.QUEUE_NOT_POLLED: replace(FINE, queue=replace(QUEUE, last_polled_us=None)),
    Cause.QUEUE_LIMIT_FULL: replace(FINE, queue=replace(QUEUE, slots=replace(FULL, name="d"))),
    Cause.POOL_LIMIT_FULL: replace(FINE, pool=replace(POOL, slots=FULL)),
    Cause.DEPLOYMENT_LIMIT_FULL: replace(FINE, limit=replace(FULL, name="deployment:1")),
    Cause.GLOBAL_LIMIT_FULL: replace(FINE, limit=replace(FULL, name="api")),
    Cause.TAG_LIMIT_FULL: Facts(
        NOW, SUBJECT, late=1, tags=(replace(FULL, name="tag:db", waiting=4),)
    ),
    Cause.UNKNOWN: FINE,
}


@pytest.mark.parametrize("cause", ONE_CAUSE)
def test_one_cause_is_told_alone(cause: Cause) -> None:
    """Facts in which one thing is wrong have one reason."""
    diagnosis = diagnose(ONE_CAUSE[cause])

    assert diagnosis is not None
    assert [cause] == [reason.cause for reason in diagnosis.reasons]
    assert diagnosis.reasons[0].text


def test_every_cause_has_an_example() -> None:
    """None is forgotten here, and the order of their names is the one in which they are tried."""
    assert set(Cause) == {*ONE_CAUSE, Cause.HIGHER_PRIORITY_QUEUE}
    assert len(CAUSES) + 1 == len(Cause)
    assert [each.name.lower() for each in Cause][:-1] == [each.__name__ for each in CAUSES]


def test_priority_comes_before_the_limit_that_it_fills() -> None:
    """A queue that is served first and takes all slots is what has to be mended."""
    facts = replace(
        FINE, pool=replace(POOL, slots=FULL), ahead=(Ahead("urgent", 1, held=2, waiting=7),)
    )
    diagnosis = diagnose(facts)

    assert diagnosis is not None
    assert [Cause.HIGHER_PRIORITY_QUEUE, Cause.POOL_LIMIT_FULL] == [
        reason.cause for reason in diagnosis.reasons
    ]
    assert FULL.holders == diagnosis.reasons[0].holders
    assert (
        "prefect work-queue set-concurrency-limit urgent 1 --pool k8s",
        "prefect work-pool set-concurrency-limit k8s 3",
    ) == diagnosis.reasons[0].mend


@pytest.mark.parametrize(
    "ahead",
    [
        Ahead("urgent", 1, held=0, waiting=9),
        Ahead("urgent", 1, held=1, waiting=0),
        Ahead("urgent", 1, held=1, waiting=9),
    ],
    ids=["waits itself", "has its share", "has half"],
)
def test_queue_that_shares_is_not_blamed(ahead: Ahead) -> None:
    """Coming first alone takes nothing away."""
    facts = replace(FINE, pool=replace(POOL, slots=FULL), ahead=(ahead,))
    diagnosis = diagnose(facts)

    assert diagnosis is not None
    assert Cause.POOL_LIMIT_FULL is diagnosis.cause


def test_everything_at_once_is_told_in_order() -> None:
    """A pause comes before workers, workers before limits; all of them are told."""
    facts = replace(
        FINE,
        pool=replace(POOL, paused=True, slots=FULL, workers=()),
        queue=replace(QUEUE, paused=True, slots=FULL),
        limit=replace(FULL, name="deployment:1"),
    )
    diagnosis = diagnose(facts)

    assert diagnosis is not None
    assert [
        Cause.POOL_PAUSED,
        Cause.QUEUE_PAUSED,
        Cause.NO_WORKER,
        Cause.QUEUE_LIMIT_FULL,
        Cause.POOL_LIMIT_FULL,
        Cause.DEPLOYMENT_LIMIT_FULL,
    ] == [reason.cause for reason in diagnosis.reasons]


@pytest.mark.parametrize(
    "facts",
    [
        NOT_LATE,
        replace(NOT_LATE, plan=Plan(NOW + HOUR, to_come=3)),
        replace(NOT_LATE, plan=Plan(None, to_come=0)),
        replace(NOT_LATE, plan=Plan(NOW + 101 * DAY, to_come=0)),
        replace(NOT_LATE, pool=replace(POOL, paused=True, workers=(), slots=FULL)),
        replace(SERVED, late=0),
    ],
    ids=["nothing", "runs to come", "never due", "due too far ahead", "not late", "not served"],
)
def test_what_is_not_late_is_not_explained(facts: Facts) -> None:
    """A paused pool in which nothing waits is nobody's trouble here."""
    assert diagnose(facts) is None


@pytest.mark.parametrize("kind", ["prefect:managed", "ecs:push", "prefect-agent"])
def test_pool_that_needs_no_worker_misses_none(kind: str) -> None:
    """A cloud starts these runs itself."""
    facts = replace(FINE, pool=PoolSeen("k8s", kind), queue=replace(QUEUE, last_polled_us=None))
    diagnosis = diagnose(facts)

    assert diagnosis is not None
    assert Cause.UNKNOWN is diagnosis.cause


def test_queue_is_missed_only_where_a_worker_is_online() -> None:
    """Without one the missing worker is the cause, and the queue says nothing more."""
    facts = replace(FINE, pool=replace(POOL, workers=()), queue=replace(QUEUE, last_polled_us=None))
    diagnosis = diagnose(facts)

    assert diagnosis is not None
    assert [Cause.NO_WORKER] == [reason.cause for reason in diagnosis.reasons]


@pytest.mark.parametrize(("seconds", "polled"), [(60, True), (61, False)])
def test_queue_counts_as_asked_for_a_minute(seconds: int, *, polled: bool) -> None:
    """Prefect's own bound."""
    queue = replace(QUEUE, last_polled_us=NOW - seconds * SECOND)
    diagnosis = diagnose(replace(FINE, queue=queue))

    assert diagnosis is not None
    assert polled == (diagnosis.cause is Cause.UNKNOWN)


def test_worker_that_is_gone_is_told_with_its_age() -> None:
    """The one that was heard last, and how long ago."""
    workers = (
        WorkerSeen("old", online=False, heard_us=NOW - 9 * DAY),
        WorkerSeen("last", online=False, heard_us=NOW - 2 * HOUR - 5 * SECOND),
        WorkerSeen("never", online=False),
    )
    diagnosis = diagnose(replace(FINE, pool=replace(POOL, workers=workers)))

    assert diagnosis is not None
    assert (
        "no worker of work pool 'k8s' is online; the last one, 'last', was heard 2h ago"
        == diagnosis.reasons[0].text
    )


def test_limit_of_nothing_is_called_so() -> None:
    """A limit of 0 holds all back for ever, which no run's end will change."""
    facts = replace(FINE, pool=replace(POOL, slots=Slots("k8s", 0, 0)))
    diagnosis = diagnose(facts)

    assert diagnosis is not None
    assert "the limit is 0" in diagnosis.reasons[0].text
    assert ("prefect work-pool set-concurrency-limit k8s 1",) == diagnosis.reasons[0].mend


@pytest.mark.parametrize(("late", "limit"), [(1, 3), (2, 4), (50, 4)])
def test_limit_is_raised_to_the_double_at_most(late: int, limit: int) -> None:
    """The machines behind it have to bear what is let in."""
    facts = replace(FINE, late=late, pool=replace(POOL, slots=FULL))
    diagnosis = diagnose(facts)

    assert diagnosis is not None
    assert (f"prefect work-pool set-concurrency-limit k8s {limit}",) == diagnosis.reasons[0].mend


@pytest.mark.parametrize("name", ["a b", "it's", "$(rm -rf /)", "-x", "--pool", "ünï\n"])
def test_commands_hold_any_name(name: str) -> None:
    """A shell takes them apart again into what was meant."""
    subject = replace(SUBJECT, work_pool=name, work_queue=name)
    pool = replace(POOL, name=name, paused=True, slots=replace(FULL, name=name), workers=())
    queue = replace(QUEUE, name=name, paused=True, slots=replace(FULL, name=name))
    diagnosis = diagnose(replace(FINE, subject=subject, pool=pool, queue=queue))

    assert diagnosis is not None
    for reason in diagnosis.reasons:
        for command in reason.mend:
            words = shlex.split(command)
            assert "prefect" == words[0]
            assert name in words or any(word.endswith(f"={name}") for word in words)
            assert not name.startswith("-") or name not in words


def test_unknown_says_what_was_looked_at() -> None:
    """So that nobody looks there again."""
    text = unknown(replace(FINE, pool=replace(POOL, slots=Slots("k8s", 4, 1)))).text

    assert "work pool 'k8s' is not paused, 1 worker online, 1 of 4 slots taken" in text
    assert "work queue 'default' is not paused, last asked: 5s ago, no limit" in text
    assert "the deployment has no limit" in text
