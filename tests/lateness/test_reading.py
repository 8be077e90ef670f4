"""What is asked of Prefect, and the facts that come of it; by the command and by the collector."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from fakes import START_US, FakePrefect, after_seconds
from prefect_exporter.collectors.base import Context
from prefect_exporter.collectors.deployments import DeploymentCollector
from prefect_exporter.collectors.late_causes import REMEMBERED_POLLS, LateCauseCollector, LateCauses
from prefect_exporter.errors import Rejected
from prefect_exporter.lateness.answer import Answer, NoSuchDeploymentError, Query, answer
from prefect_exporter.lateness.document import as_json, as_text
from prefect_exporter.lateness.model import Cause
from prefect_exporter.moments import HOUR, SECOND
from prefect_exporter.ui_links import UiLinks
from prefect_exporter.wire import (
    ConcurrencyLimit,
    FlowRun,
    Schedule,
    TagLimit,
    Timing,
    Worker,
    WorkPool,
    WorkQueue,
)
from worlds import (
    collecting,
    deployment,
    deployment_id,
    poll,
    prefect_of,
    put,
    run_id,
    samples,
    task_run,
    waiting,
)

IN_POOL = {"work_pool_name": "k8s", "work_queue_name": "default"}
NIGHTLY = Schedule(Timing(cron="0 3 * * *"))


@pytest.fixture(name="prefect")
def _prefect() -> FakePrefect:
    prefect = prefect_of(now_us=START_US + HOUR)
    prefect.pool_rows = [WorkPool("k8s", "kubernetes")]
    polled = after_seconds(3595)
    prefect.queue_rows = [
        WorkQueue("default", "k8s", priority=2, last_polled=polled),
        WorkQueue("urgent", "k8s", priority=1, last_polled=polled),
    ]
    prefect.worker_rows = {"k8s": [Worker("w1", "ONLINE", after_seconds(3590))]}
    return prefect


@pytest.fixture(name="context")
def _context(tmp_path: Path, prefect: FakePrefect) -> Iterator[Context]:
    with collecting(tmp_path, prefect) as context:
        yield context


def late(number: int, of: int = 1, due: datetime | None = None, **fields: Any) -> FlowRun:  # noqa: ANN401 - the row's own fields
    """Return a run of a deployment that waits in the pool since *due*, a minute by default."""
    given = {"next_scheduled_start_time": due or after_seconds(3540), **IN_POOL}
    return waiting(number, "SCHEDULED", "Late", deployment_id=deployment_id(of), **(given | fields))


def running(number: int, of: int = 2, queue: str = "default") -> FlowRun:
    """Return a run that holds what it can hold."""
    fields = {**IN_POOL, "work_queue_name": queue}
    return waiting(number, "RUNNING", "Running", deployment_id=deployment_id(of), **fields)


def told(prefect: FakePrefect, wanted: str | None = None) -> Answer:
    """Ask as the command does."""
    query = Query(wanted, prefect.now_us, 15 * SECOND, 25)
    return asyncio.run(answer(prefect, query, lambda _told: None))


def polled(context: Context, previous: LateCauses | None = None) -> LateCauses:
    """Poll once."""
    return poll(LateCauseCollector(context.settings), context, previous)


def shown(state: LateCauses) -> dict[str, float]:
    """Return what the collector shows, by its labels."""
    return {
        name.partition("{")[2].rstrip("}"): value
        for name, value in samples(LateCauseCollector.families, state).items()
    }


def causes(found: Answer) -> dict[str, list[Cause]]:
    """Return the causes of an answer by name."""
    return {
        each.subject.name: [reason.cause for reason in each.reasons] for each in found.diagnoses
    }


def test_nothing_late_asks_for_three_lists(prefect: FakePrefect, context: Context) -> None:
    """What is fine must cost next to nothing, every minute."""
    put(prefect, late(1, due=after_seconds(3590)), running(2))

    assert {} == shown(polled(context))
    assert ["flow_runs/filter", "flow_runs/filter", "v2/concurrency_limits/filter"] == prefect.asked


def test_lateness_begins_after_the_setting(prefect: FakePrefect) -> None:
    """A run is late when it has waited for longer than PREFECT_EXPORTER_LATE_AFTER."""
    put(prefect, deployment(1, "daily"), late(1, due=after_seconds(3585)))
    prefect.now_us = START_US + HOUR
    assert ["etl/daily"] == list(causes(told(prefect)))

    prefect.now_us -= 1
    assert {} == causes(told(prefect))


def test_run_that_awaits_a_slot_is_late_though_it_is_due_later(prefect: FakePrefect) -> None:
    """Prefect puts it off by half a minute, again and again."""
    awaiting = waiting(
        1,
        "SCHEDULED",
        "AwaitingConcurrencySlot",
        deployment_id=deployment_id(1),
        next_scheduled_start_time=after_seconds(3620),
        **IN_POOL,
    )
    limit = ConcurrencyLimit(f"deployment:{deployment_id(1)}", 1, 1.0)
    put(prefect, deployment(1, "daily", global_concurrency_limit=limit), awaiting, running(2, of=1))
    (diagnosis,) = told(prefect).diagnoses

    assert (Cause.DEPLOYMENT_LIMIT_FULL, START_US) == (diagnosis.cause, diagnosis.oldest_us)
    assert [run_id(2)] == [each.run_id for each in diagnosis.reasons[0].holders]


@pytest.mark.parametrize("name", ["AwaitingRetry", "Resuming", "Looks good"])
def test_run_that_waits_for_something_else_is_not_late(prefect: FakePrefect, name: str) -> None:
    """Until its own time has passed."""
    later = after_seconds(3620)
    put(prefect, waiting(1, "SCHEDULED", name, next_scheduled_start_time=later))

    assert {} == causes(told(prefect))


def test_most_runs_come_first_and_holders_longest_first(prefect: FakePrefect) -> None:
    """The order in which somebody reads it."""
    prefect.pool_rows = [WorkPool("k8s", "kubernetes", concurrency_limit=7, active_slots=7)]
    put(prefect, deployment(1, "one"), deployment(2, "two"))
    put(prefect, late(1, of=1), late(2, of=2), late(3, of=2))
    for number in range(7):
        put(prefect, running(10 + number))
        row = running(10 + number)
        began = {"start_time": after_seconds(-number)}
        put(prefect, waiting(10 + number, "RUNNING", "Running", **IN_POOL, **began))
        assert row.id == run_id(10 + number)
    first, second = told(prefect).diagnoses

    assert ["etl/two", "etl/one"] == [first.subject.name, second.subject.name]
    assert [run_id(number) for number in (16, 15, 14, 13, 12)] == [
        each.run_id for each in first.reasons[0].holders
    ]


def test_queue_that_comes_first_is_seen(prefect: FakePrefect) -> None:
    """Its runs hold the pool's slots, and others of it are due."""
    prefect.pool_rows = [WorkPool("k8s", "kubernetes", concurrency_limit=2, active_slots=2)]
    put(prefect, deployment(1, "daily"), deployment(2, "now"))
    put(prefect, late(1), late(2, of=2, work_queue_name="urgent"))
    put(prefect, running(3, queue="urgent"), running(4, queue="urgent"))

    assert {
        "etl/daily": [Cause.HIGHER_PRIORITY_QUEUE, Cause.POOL_LIMIT_FULL],
        "etl/now": [Cause.POOL_LIMIT_FULL],
    } == causes(told(prefect))


def test_worker_that_prefect_forgot_to_call_offline_is_offline(prefect: FakePrefect) -> None:
    """Where the service that says so stands still, the age of its heartbeat does."""
    prefect.worker_rows = {"k8s": [Worker("w1", "ONLINE", after_seconds(2999))]}
    put(prefect, deployment(1, "daily"), late(1))
    assert {"etl/daily": [Cause.NO_WORKER]} == causes(told(prefect))

    prefect.worker_rows = {"k8s": [Worker("w1", "ONLINE", after_seconds(3000))]}
    assert {"etl/daily": [Cause.UNKNOWN]} == causes(told(prefect))


def tag_full(prefect: FakePrefect) -> None:
    """Let run 2 hold the only slot of a tag that a task run of run 1 waits for."""
    prefect.limit_rows = [ConcurrencyLimit("tag:db", 1, 1.0)]
    prefect.tag_rows = [TagLimit("db", 1, [run_id(20)])]
    put(prefect, deployment(1, "daily"), deployment(2, "holder"))
    put(prefect, running(1, of=1), running(2, of=2))
    put(prefect, task_run(20, None, "RUNNING", flow_run_id=run_id(2), tags=["db"]))
    waits = {"expected_start_time": after_seconds(3000), "start_time": None}
    put(prefect, task_run(10, None, "PENDING", flow_run_id=run_id(1), tags=["db"], **waits))
    put(prefect, task_run(11, None, "PENDING", flow_run_id=run_id(2), tags=["other"], **waits))


def test_task_runs_that_wait_for_a_tag_are_told(prefect: FakePrefect) -> None:
    """The run that they belong to has begun, and those that hold the tag are named."""
    tag_full(prefect)
    (diagnosis,) = told(prefect).diagnoses

    assert ("etl/daily", 1, Cause.TAG_LIMIT_FULL) == (
        diagnosis.subject.name,
        diagnosis.late,
        diagnosis.cause,
    )
    assert [run_id(2)] == [each.run_id for each in diagnosis.reasons[0].holders]


def test_tag_with_free_slots_asks_for_no_task_runs(prefect: FakePrefect) -> None:
    """Nobody waits for it."""
    tag_full(prefect)
    prefect.limit_rows = [ConcurrencyLimit("tag:db", 2, 1.0)]

    assert {} == causes(told(prefect))
    assert "task_runs/filter" not in prefect.asked


def test_schedule_without_runs_is_told(prefect: FakePrefect) -> None:
    """Its runs are made days ahead; of the others there are runs to come."""
    put(prefect, deployment(1, "stuck", schedules=[NIGHTLY], created=after_seconds(0)))
    put(prefect, deployment(2, "fine", schedules=[NIGHTLY], created=after_seconds(0)))
    put(prefect, deployment(3, "new", schedules=[NIGHTLY], created=after_seconds(3590)))
    put(prefect, deployment(4, "paused", schedules=[NIGHTLY], paused=True))
    put(prefect, deployment(5, "off", schedules=[Schedule(NIGHTLY.schedule, active=False)]))
    put(prefect, late(1, of=2, due=after_seconds(90_000)))

    assert {"etl/stuck": [Cause.SCHEDULER_BEHIND]} == causes(told(prefect))
    assert {"etl/paused": [Cause.DEPLOYMENT_PAUSED]} == causes(told(prefect, "paused"))


def test_deployment_is_found_by_any_of_its_names(prefect: FakePrefect) -> None:
    """With its flow, alone, or by its id; one that there is not is an error."""
    put(prefect, deployment(1, "daily"), deployment(2, "other"), late(1), late(2, of=2))
    for wanted in ("etl/daily", "daily", str(deployment_id(1))):
        assert ["etl/daily"] == list(causes(told(prefect, wanted)))

    for wanted in ("weekly", str(UUID(int=99)), "etl/"):
        with pytest.raises(NoSuchDeploymentError):
            told(prefect, wanted)


def test_deployment_in_order_is_told_so(prefect: FakePrefect) -> None:
    """With when it is due next."""
    put(prefect, deployment(1, "daily", schedules=[NIGHTLY]))
    put(prefect, late(1, due=after_seconds(90_000)))
    text = as_text(told(prefect, "daily"), prefect.now_us, UiLinks("http://prefect"))

    assert "etl/daily is not late; its next run is due in 14h." == text


def test_nothing_late_is_one_line(prefect: FakePrefect) -> None:
    """That is the whole answer."""
    assert "Nothing is late." == as_text(told(prefect), prefect.now_us, UiLinks("http://prefect"))


def test_names_cannot_command_a_terminal(prefect: FakePrefect) -> None:
    """Neither colours nor lines of their own come out of a name."""
    name = "a\x1b[2J\x9b2J\rb\n  mend   rm -rf /"
    put(prefect, deployment(1, name), late(1))
    text = as_text(told(prefect), prefect.now_us, UiLinks("http://prefect"))
    as_object = as_json(told(prefect), "default", prefect.now_us, UiLinks("http://prefect"))

    assert as_object.replace("\n", "").isprintable()
    assert name == json.loads(as_object)["diagnoses"][0]["deployment"]
    assert not {"\x1b", "\x9b", "\r"} & set(text)
    assert not any(line.startswith("  mend") for line in text.splitlines())


def test_gauge_counts_runs_by_cause(prefect: FakePrefect, context: Context) -> None:
    """Of one deployment in all its queues together."""
    prefect.queue_rows.append(WorkQueue("closed", "k8s", is_paused=True, priority=3))
    put(prefect, deployment(1, "daily"), late(1), late(2, work_queue_name="closed"))
    put(prefect, late(3, work_queue_name="closed"))

    assert {
        'cause="queue-paused",deployment="daily",flow="etl"': 2.0,
        'cause="unknown",deployment="daily",flow="etl"': 1.0,
    } == shown(polled(context))


def test_gauge_has_a_limit_of_names(tmp_path: Path, prefect: FakePrefect) -> None:
    """Deployments beyond it stand under ``other``; the causes are a fixed few."""
    for number in range(1, 5):
        put(prefect, deployment(number, f"d{number}"), late(number, of=number))
    with collecting(tmp_path, prefect, MAX_DEPLOYMENTS="2") as context:
        values = shown(polled(context))

    assert 2.0 == values['cause="unknown",deployment="other",flow="other"']
    assert 4.0 == sum(values.values())


def test_what_is_not_selected_is_not_shown(tmp_path: Path, prefect: FakePrefect) -> None:
    """Neither its runs nor what is said of them."""
    put(prefect, deployment(1, "daily"), deployment(2, "secret"), late(1), late(2, of=2))
    with collecting(tmp_path, prefect, DEPLOYMENTS="!secret") as context:
        state = polled(context)

    assert ["etl/daily"] == [each.subject.name for each in state.late]
    assert 1 == len(shown(state))


def test_deployments_are_remembered_for_some_polls(prefect: FakePrefect, context: Context) -> None:
    """They are dear to ask for, and late for long."""
    put(prefect, deployment(1, "daily"), late(1))
    state: LateCauses | None = None
    for _ in range(REMEMBERED_POLLS + 2):
        state = polled(context, state)

    # The directory asks once for the name; this asks twice, since what it knows grows old.
    assert 2 <= prefect.asked.count("deployments/filter") <= 3


def test_scheduler_that_stands_still_shows(prefect: FakePrefect, context: Context) -> None:
    """Where no run at all is to come, each deployment that is due counts one."""
    put(prefect, deployment(1, "daily", schedules=[NIGHTLY], created=after_seconds(0)))
    poll(DeploymentCollector(context.settings), context)
    assert {'cause="scheduler-behind",deployment="daily",flow="etl"': 1.0} == shown(polled(context))

    put(prefect, late(1, due=after_seconds(90_000)))
    assert {} == shown(polled(context))


def test_poll_fails_where_prefect_gives_no_answer(prefect: FakePrefect, context: Context) -> None:
    """What could not be asked is no zero."""
    prefect.down(Rejected("flow_runs/filter", "no", status=403))

    with pytest.raises(Rejected):
        polled(context)
