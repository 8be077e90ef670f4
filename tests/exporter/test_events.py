"""Events, the second source: they count what rows no longer show, and nothing besides."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import START_US, FakePrefect, after_seconds
from prefect_exporter.collectors.audits import FlowRunAudit
from prefect_exporter.collectors.base import Context
from prefect_exporter.collectors.flow_run_events import FlowRunEventCollector, FlowRunEvents
from prefect_exporter.collectors.flow_runs import FINISHED, RETRIES, FlowRunCollector
from prefect_exporter.collectors.flow_runs import duration as duration_of
from prefect_exporter.errors import Unreachable, Waiting
from prefect_exporter.feeds.events import COMMIT_LAG_US, Ended, ended
from prefect_exporter.moments import SECOND, micros
from prefect_exporter.wire import Event, EventPayload, EventState, FlowRun
from worlds import collecting, counts, poll, prefect_of, put, run_id, tell, total
from worlds import ended as ended_run


@pytest.fixture(name="prefect")
def _prefect() -> FakePrefect:
    return prefect_of()


@pytest.fixture(name="context")
def _context(tmp_path: Path, prefect: FakePrefect) -> Iterator[Context]:
    with collecting(tmp_path, prefect) as context:
        poll_rows(context)
        yield context


def poll_rows(context: Context) -> None:
    """Poll the flow runs."""
    poll(FlowRunCollector(context.settings), context)


def follow(context: Context, previous: FlowRunEvents | None = None) -> FlowRunEvents:
    """Poll the events."""
    return poll(FlowRunEventCollector(context.settings), context, previous)


def at(prefect: FakePrefect, seconds: float) -> None:
    """Let it be so long after the first moment."""
    prefect.now_us = START_US + round(seconds * SECOND)


def vanishes(prefect: FakePrefect, number: int, seconds: float, **fields: Any) -> FlowRun:  # noqa: ANN401  # the row's own fields
    """Let a run end and go before anybody reads its row; its event stays."""
    row = ended_run(number, seconds, **fields)
    at(prefect, seconds)
    tell(prefect, row)
    return row


def settle(
    prefect: FakePrefect, context: Context, state: FlowRunEvents | None = None
) -> FlowRunEvents:
    """Poll events, then rows, then events again, each some seconds later."""
    state = follow(context, state)
    prefect.now_us += 15 * SECOND
    poll_rows(context)
    prefect.now_us += SECOND
    return follow(context, state)


def test_end_without_row_counts(prefect: FakePrefect, context: Context) -> None:
    """A run that was deleted before a poll saw its end is counted from its event."""
    vanishes(prefect, 1, 5, state_type="FAILED", state_name="TimedOut")
    state = settle(prefect, context)

    assert {("etl", "", "false", "timed_out"): 1.0} == counts(context, FINISHED.name)
    assert 1 == state.event_only


def test_end_that_was_retried_counts(prefect: FakePrefect, context: Context) -> None:
    """A run that was retried before a poll saw it end is counted twice once it ends again."""
    vanishes(prefect, 1, 5, state_type="FAILED", state_name="Failed")
    again = ended_run(1, 8, run_count=2)
    put(prefect, again)
    at(prefect, 8)
    tell(prefect, again)
    settle(prefect, context)

    by_outcome = {labels[-1]: value for labels, value in counts(context, FINISHED.name).items()}
    assert {"failed": 1.0, "completed": 1.0} == by_outcome
    assert 1.0 == total(context, RETRIES.name)


def test_event_waits_for_a_later_scan(prefect: FakePrefect, context: Context) -> None:
    """An event alone counts nothing before the rows were read whole, well after it was seen."""
    vanishes(prefect, 1, 5)
    poll_rows(context)
    state = follow(context)
    prefect.now_us += COMMIT_LAG_US - 1
    poll_rows(context)
    state = follow(context, state)
    before = total(context, FINISHED.name)
    prefect.now_us += 1
    poll_rows(context)
    follow(context, state)

    assert (0.0, 1.0) == (before, total(context, FINISHED.name))


def test_failed_scan_does_not_count(prefect: FakePrefect, context: Context) -> None:
    """While the rows cannot be read, events wait, however long."""
    vanishes(prefect, 1, 5)
    state = follow(context)
    for _ in range(3):
        prefect.now_us += 60 * SECOND
        prefect.down(Unreachable("flow_runs/filter", "connection refused"))
        with pytest.raises(Unreachable):
            poll_rows(context)
        prefect.up()
        state = follow(context, state)

    assert (0.0, 0) == (total(context, FINISHED.name), state.event_only)


def test_row_wins_over_its_event(prefect: FakePrefect, context: Context) -> None:
    """A run whose row is there is counted from it, with its duration."""
    row = ended_run(1, 5)
    put(prefect, row)
    at(prefect, 5)
    tell(prefect, row)
    state = settle(prefect, context)

    assert (1.0, 0) == (total(context, FINISHED.name), state.event_only)
    family = duration_of(context.settings).name
    assert 1 == len(context.store.ledger.tally.histograms[family])


@pytest.mark.parametrize("distance_us", [-1000, -1, 1, 1000])
def test_event_of_a_counted_row_does_not_count(
    prefect: FakePrefect, context: Context, distance_us: int
) -> None:
    """An event whose time was rounded otherwise than its row's is still the same end."""
    row = ended_run(1, 5)
    put(prefect, row)
    at(prefect, 15)
    poll_rows(context)
    tell(prefect, msgspec.structs.replace(row, end_time=after_seconds(5 + distance_us / SECOND)))
    settle(prefect, context)

    assert 1.0 == total(context, FINISHED.name)


@pytest.mark.parametrize("distance_us", [-1000, 0, 1000])
def test_row_that_follows_its_event_does_not_count_again(
    prefect: FakePrefect, context: Context, distance_us: int
) -> None:
    """A row that shows after its event was counted is still the same end."""
    row = vanishes(prefect, 1, 5)
    settle(prefect, context)
    put(prefect, msgspec.structs.replace(row, end_time=after_seconds(5 + distance_us / SECOND)))
    prefect.now_us += 15 * SECOND
    poll_rows(context)

    assert 1.0 == total(context, FINISHED.name)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("FAILED", "COMPLETED"),
        ("COMPLETED", "FAILED"),
        ("PENDING", "RUNNING"),
        ("RUNNING", "PAUSED"),
    ],
)
def test_other_transitions_do_not_count(
    prefect: FakePrefect, context: Context, before: str, after: str
) -> None:
    """Neither a state forced over an end, nor a step on the way, is an end."""
    at(prefect, 5)
    tell(prefect, ended_run(1, 5, after), before)
    settle(prefect, context)

    assert 0.0 == total(context, FINISHED.name)


def test_event_from_before_the_first_start_does_not_count(
    tmp_path: Path, prefect: FakePrefect
) -> None:
    """History stays out, whichever source tells it."""
    put(prefect, ended_run(1, 0))
    vanishes(prefect, 2, -5)
    at(prefect, 1)
    with collecting(tmp_path, prefect) as context:
        poll_rows(context)
        settle(prefect, context)

        assert 0.0 == total(context, FINISHED.name)


def test_event_that_arrives_late_counts(prefect: FakePrefect, context: Context) -> None:
    """An event that is stored some seconds after newer ones is found by the overlap."""
    at(prefect, 5)
    tell(prefect, ended_run(1, 5), late=20)
    vanishes(prefect, 2, 6)
    state = settle(prefect, context)
    prefect.now_us += 15 * SECOND
    settle(prefect, context, state)

    assert 2.0 == total(context, FINISHED.name)


def test_waiting_event_outlives_the_process(tmp_path: Path, prefect: FakePrefect) -> None:
    """A kill between seeing an event and counting it loses nothing."""
    with collecting(tmp_path, prefect) as context:
        poll_rows(context)
        vanishes(prefect, 1, 5)
        vanishes(prefect, 2, 300)
        follow(context)
    with collecting(tmp_path, prefect) as context:
        prefect.now_us += 15 * SECOND
        settle(prefect, context)

        assert 2.0 == total(context, FINISHED.name)


def test_events_wait_for_the_first_rows(tmp_path: Path, prefect: FakePrefect) -> None:
    """Before the rows have a mark, nobody knows where history ends."""
    with collecting(tmp_path, prefect) as context, pytest.raises(Waiting, match="flow_runs"):
        follow(context)


@pytest.mark.parametrize("together", [False, True], ids=["spread", "in one microsecond"])
def test_budget_cuts_off_and_goes_on(
    tmp_path: Path, prefect: FakePrefect, *, together: bool
) -> None:
    """One poll reads so many pages, says that there are more, and the next goes on from there."""
    with collecting(tmp_path, prefect, EVENTS_PAGES_PER_POLL="3") as context:
        poll_rows(context)
        for number in range(120 if together else 400):
            vanishes(prefect, number, 5 if together else 5 + number)
        at(prefect, 500)
        state, cut_off = None, []
        for _ in range(8):
            state = settle(prefect, context, state)
            cut_off.append(state.truncated)

        assert len(prefect.event_rows) == total(context, FINISHED.name)
        assert (not together, False) == (cut_off[0], cut_off[-1])


def test_poll_has_a_budget_of_pages(tmp_path: Path, prefect: FakePrefect) -> None:
    """However many events there are, one poll asks for no more pages than it may."""
    with collecting(tmp_path, prefect, EVENTS_PAGES_PER_POLL="3") as context:
        poll_rows(context)
        for number in range(400):
            vanishes(prefect, number, 5 + number)
        prefect.asked.clear()
        follow(context)

        assert 3 == sum(route.startswith("events") for route in prefect.asked)


def test_events_older_than_the_keys_do_not_count(tmp_path: Path, prefect: FakePrefect) -> None:
    """After hours without events, those of ends whose keys are forgotten count nothing again."""
    with collecting(tmp_path, prefect, AUDIT_HORIZON="10m") as context:
        poll_rows(context)
        follow(context)
        times = range(60, 2 * 3600, 300)
        for number, seconds in enumerate(times):
            row = vanishes(prefect, number, seconds)
            put(prefect, row)
            prefect.now_us += SECOND
            poll_rows(context)
            poll(FlowRunAudit(context.settings), context)
        state = settle(prefect, context)
        settle(prefect, context, state)

        assert len(times) == total(context, FINISHED.name)


def test_event_from_the_future_does_not_stop_the_feed(
    prefect: FakePrefect, context: Context
) -> None:
    """Whoever dates an event ahead hides no other one."""
    at(prefect, 5)
    tell(prefect, ended_run(1, 10 * 365 * 86_400, "FAILED"))
    state = settle(prefect, context)
    vanishes(prefect, 2, prefect.now_us / SECOND - START_US / SECOND + 100)
    state = settle(prefect, context, state)
    settle(prefect, context, state)

    assert {("etl", "", "false", "completed"): 1.0} == counts(context, FINISHED.name)


def event(
    resource: dict[str, str | None] | None = None,
    related: list[dict[str, str | None]] | None = None,
    before: str | None = "RUNNING",
    after: str | None = "COMPLETED",
    occurred: datetime | None = None,
) -> Event:
    """Return an event that tells of the end of run 1, with something else in it."""
    given: dict[str, str | None] = {
        "prefect.resource.id": f"prefect.flow-run.{run_id(1)}",
        "prefect.run-count": "1",
    }
    payload = EventPayload(
        None if before is None else EventState(before),
        None if after is None else EventState(after, "Name"),
    )
    return Event(occurred or after_seconds(5), given | (resource or {}), related or [], payload)


UNREADABLE = {
    "no id": event({"prefect.resource.id": None}),
    "no uuid": event({"prefect.resource.id": "prefect.flow-run.x"}),
    "other resource": event({"prefect.resource.id": "prefect.deployment.1"}),
    "run count in words": event({"prefect.run-count": "two"}),
    "run count beyond reading": event({"prefect.run-count": "9" * 5000}),
    "no state": event(after=None),
    "unknown state": event(after="EXPLODED"),
}
STRANGE = {
    "no run count": event({"prefect.run-count": None}),
    "negative run count": event({"prefect.run-count": "-5"}),
    "no state before": event(before=None),
    "related without names": event(related=[{}, {"prefect.resource.role": None}]),
    "role twice": event(
        related=[{"prefect.resource.role": "flow", "prefect.resource.name": name} for name in "ab"]
    ),
    "long names": event(
        related=[{"prefect.resource.role": "flow", "prefect.resource.name": "x" * 10_000}]
    ),
}


@pytest.mark.parametrize("hostile", UNREADABLE.values(), ids=UNREADABLE)
def test_unreadable_event_tells_of_no_end(hostile: Event) -> None:
    """An event that does not say whose end it is, or that it is one, is left out."""
    assert None is ended(hostile)


@pytest.mark.parametrize(
    "hostile",
    [*UNREADABLE.values(), *STRANGE.values(), event({"prefect.run-count": "9" * 40})],
    ids=[*UNREADABLE, *STRANGE, "huge run count"],
)
def test_hostile_event_does_not_stop_the_feed(
    prefect: FakePrefect, context: Context, hostile: Event
) -> None:
    """Whatever one event holds, the next one is counted, and labels stay bounded."""
    prefect.event_rows.append((START_US, hostile))
    vanishes(prefect, 2, 6)
    settle(prefect, context)

    flows = {labels[0] for labels in counts(context, FINISHED.name)}
    assert "etl" in flows
    assert all(len(flow) <= 128 for flow in flows)


TEXT = st.none() | st.text(max_size=20)


@given(
    st.dictionaries(st.sampled_from(["prefect.resource.id", "prefect.run-count"]), TEXT),
    st.lists(
        st.dictionaries(st.sampled_from(["prefect.resource.role", "prefect.resource.name"]), TEXT),
        max_size=3,
    ),
    TEXT,
    TEXT,
)
def test_any_event_can_be_read(
    resource: dict[str, str | None],
    related: list[dict[str, str | None]],
    before: str | None,
    after: str | None,
) -> None:
    """No event of any shape raises."""
    found = ended(event(resource, related, before, after or "COMPLETED"))

    assert found is None or isinstance(found, Ended)


def test_end_is_told_with_all_it_is_related_to() -> None:
    """Id, time, state, starts and names are read off an event."""
    roles = {"flow": "etl", "deployment": "daily", "work-pool": "k8s"}
    related: list[dict[str, str | None]] = [
        {"prefect.resource.role": role, "prefect.resource.name": name}
        for role, name in roles.items()
    ]
    found = ended(event({"prefect.run-count": "3"}, related))

    at_us = micros(after_seconds(5))
    assert Ended(run_id(1), at_us, "COMPLETED", "Name", 3, roles) == found


def test_lag_is_how_far_events_are_behind_rows(prefect: FakePrefect, context: Context) -> None:
    """The lag is from the newest stored event to the newest end that rows show, never below 0."""
    vanishes(prefect, 1, 5)
    put(prefect, ended_run(2, 35))
    at(prefect, 40)
    poll_rows(context)
    behind = follow(context)
    vanishes(prefect, 3, 50)
    ahead = follow(context, behind)

    assert (30 * SECOND, 0) == (behind.lag_us, ahead.lag_us)


def test_names_come_from_the_event(prefect: FakePrefect, context: Context) -> None:
    """Flow, deployment, pool, queue and parent are what the event says they are."""
    roles = [("flow", "etl"), ("deployment", "daily"), ("work-pool", "k8s"), ("task-run", "p")]
    related: list[dict[str, str | None]] = [
        {"prefect.resource.role": role, "prefect.resource.name": name} for role, name in roles
    ]
    at(prefect, 5)
    prefect.event_rows.append((prefect.now_us, event(related=related)))
    settle(prefect, context)

    assert {("etl", "daily", "deployment", "completed"): 1.0} == counts(context, FINISHED.name)
    pool = counts(context, "prefect_work_pool_flow_runs_finished_total")
    assert {("k8s", "", "completed"): 1.0} == pool
