"""Heartbeats: a run that has stopped to send them is told from one that lives, or never did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from fakes import START_US, FakePrefect, after_seconds
from prefect_exporter.api import EventFilter, Page
from prefect_exporter.collectors.base import Context
from prefect_exporter.collectors.heartbeats import HeartbeatCollector, Heartbeats
from prefect_exporter.errors import Malformed
from prefect_exporter.moments import MINUTE, micros
from prefect_exporter.wire import Event, FlowRun, State
from worlds import collecting, deployment, deployment_id, poll, prefect_of, put, run_id, waiting

ASKS = "events/filter"
NO_DEPLOYMENT = ("etl", "")


@pytest.fixture(name="prefect")
def _prefect() -> FakePrefect:
    return prefect_of()


@pytest.fixture(name="context")
def _context(tmp_path: Path, prefect: FakePrefect) -> Iterator[Context]:
    with collecting(tmp_path, prefect) as context:
        yield context


def look(context: Context, previous: Heartbeats | None = None) -> Heartbeats:
    """Poll once."""
    return poll(HeartbeatCollector(context.settings), context, previous)


def running(number: int, since: float = -3600, **fields: Any) -> FlowRun:  # noqa: ANN401  # the row's own fields
    """Return a run that has been running since so long after the first moment."""
    begun = after_seconds(since)
    state = State("RUNNING", "Running", begun)
    given = {"state": state, "start_time": begun, "expected_start_time": begun}
    return waiting(number, "RUNNING", "Running", **(given | fields))


def beat(
    prefect: FakePrefect, number: int, seconds: float, *, received: datetime | None = None
) -> None:
    """Let a run send a heartbeat, dated so long after the first moment."""
    event = Event(
        after_seconds(seconds),
        {"prefect.resource.id": f"prefect.flow-run.{run_id(number)}"},
        name="prefect.flow-run.heartbeat",
        received=received,
    )
    prefect.event_rows.append((micros(received or event.occurred), event))


def minutes(prefect: FakePrefect, number: float) -> None:
    """Let it be so many minutes after the first moment."""
    prefect.now_us = START_US + round(number * MINUTE)


def test_silent_run_is_told_from_a_living_one(prefect: FakePrefect, context: Context) -> None:
    """Of the runs that send heartbeats those count that have sent none for nine minutes."""
    put(prefect, deployment(1, "daily"))
    put(prefect, running(1, deployment_id=deployment_id(1)), running(2), running(3))
    beat(prefect, 1, -1200)
    beat(prefect, 1, -600)
    beat(prefect, 2, -600)
    beat(prefect, 2, -100)

    assert {("etl", "daily"): 1.0, NO_DEPLOYMENT: 0.0} == look(context).stale


def test_run_that_never_sent_one_is_not_told_of(prefect: FakePrefect, context: Context) -> None:
    """A client without heartbeats is not taken for dead, and asked for again once an hour."""
    put(prefect, running(1))
    asked, state = [], None
    for minute in (0, 1, 59, 60, 61, 119, 120):
        minutes(prefect, minute)
        prefect.asked.clear()
        state = look(context, state)
        asked.append(prefect.asked.count(ASKS))

    assert [1, 0, 0, 1, 0, 0, 1] == asked
    assert state is not None
    assert {} == state.stale


def test_run_that_is_heard_late_is_known_then(prefect: FakePrefect, context: Context) -> None:
    """Where Prefect took no events when a run was asked for, it is heard, or missed, later."""
    put(prefect, running(1), running(2))
    state = look(context)
    beat(prefect, 1, 600)
    beat(prefect, 2, 3590)
    minutes(prefect, 60)
    state = look(context, state)

    assert {NO_DEPLOYMENT: 1.0} == state.stale
    assert {} == state.unheard


def test_runs_never_heard_are_asked_last(prefect: FakePrefect, tmp_path: Path) -> None:
    """They take what the budget leaves, in turn, and are nothing that a limit cuts off."""
    put(prefect, *(running(number) for number in range(50)))
    with collecting(tmp_path, prefect, EVENTS_PAGES_PER_POLL="1") as context:
        state = look(context)
        put(prefect, *(running(number) for number in range(50, 90)))
        for number in range(50, 90):
            beat(prefect, number, 3590)
        minutes(prefect, 60)
        second = look(context, state)
        minutes(prefect, 61)
        third = look(context, second)

    assert (40, 10, False) == (
        len(second.heard),
        sum(at == START_US + 60 * MINUTE for at in second.unheard.values()),
        second.truncated,
    )
    assert {START_US + 60 * MINUTE: 10, START_US + 61 * MINUTE: 40} == Counter(
        third.unheard.values()
    )


def test_young_run_is_not_asked_for(prefect: FakePrefect, context: Context) -> None:
    """A run cannot have been silent for longer than it has run."""
    put(prefect, running(1, since=-300))
    state = look(context)

    assert {} == state.stale
    assert ASKS not in prefect.asked


def test_resumed_run_is_not_dead(prefect: FakePrefect, context: Context) -> None:
    """The silence of its pause does not count: its next heartbeat may be on its way."""
    state = State("RUNNING", "Running", after_seconds(-30))
    put(prefect, running(1, state=state))
    beat(prefect, 1, -3000)

    assert {} == look(context).stale


def test_restart_changes_nothing(prefect: FakePrefect, context: Context) -> None:
    """A process without memory says of each run what one with memory says."""
    put(prefect, *(running(number) for number in range(4)))
    for number, seconds in enumerate((-1000, -540, -541, -10)):
        beat(prefect, number, seconds)
    first = look(context)
    beat(prefect, 3, 170)
    minutes(prefect, 3)
    again, anew = look(context, first), look(context)

    assert {NO_DEPLOYMENT: 2.0} == first.stale
    assert {NO_DEPLOYMENT: 3.0} == again.stale == anew.stale


def test_run_that_comes_back_is_alive(prefect: FakePrefect, context: Context) -> None:
    """A dead run is listened for at each poll."""
    put(prefect, running(1))
    beat(prefect, 1, -1000)
    dead = look(context)
    beat(prefect, 1, 55)
    minutes(prefect, 1)

    assert {NO_DEPLOYMENT: 1.0} == dead.stale
    assert {NO_DEPLOYMENT: 0.0} == look(context, dead).stale


def test_living_runs_are_asked_for_seldom(prefect: FakePrefect, context: Context) -> None:
    """A hundred runs cost two requests, and none again until they may be silent."""
    put(prefect, *(running(number) for number in range(100)))
    for number in range(100):
        for minute in range(-30, 13, 3):
            beat(prefect, number, minute * 60)
    asked, state = [], None
    for minute in range(12):
        minutes(prefect, minute)
        prefect.asked.clear()
        state = look(context, state)
        asked.append(prefect.asked.count(ASKS))

    assert [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0] == asked
    assert state is not None
    assert {NO_DEPLOYMENT: 0.0} == state.stale


@pytest.mark.parametrize("seconds", [-1800, 1800], ids=["behind", "ahead"])
def test_clock_of_the_client_may_be_wrong(
    prefect: FakePrefect, context: Context, seconds: int
) -> None:
    """Half an hour either way does not matter: the server's clock says when it was heard."""
    put(prefect, running(1))
    state = None
    for minute in range(0, 30, 3):
        minutes(prefect, minute)
        beat(prefect, 1, minute * 60 + seconds, received=after_seconds(minute * 60))
        state = look(context, state)
        assert {NO_DEPLOYMENT: 0.0} == state.stale
    minutes(prefect, 40)

    assert {NO_DEPLOYMENT: 1.0} == look(context, state).stale


def test_budget_leaves_runs_for_the_next_poll(prefect: FakePrefect, tmp_path: Path) -> None:
    """Runs that were not asked for yet are neither dead nor alive, and that is told."""
    put(prefect, *(running(number) for number in range(60)))
    for number in range(60):
        beat(prefect, number, -1000)
    with collecting(tmp_path, prefect, EVENTS_PAGES_PER_POLL="1") as context:
        first = look(context)
        second = look(context, first)

    assert (True, {NO_DEPLOYMENT: 50.0}) == (first.truncated, first.stale)
    assert (True, {NO_DEPLOYMENT: 60.0}) == (second.truncated, second.stale)


def test_many_dead_runs_do_not_hide_that_others_live(prefect: FakePrefect, tmp_path: Path) -> None:
    """Those that were silent for longest are asked last."""
    put(prefect, *(running(number) for number in range(60)))
    for number in range(55):
        beat(prefect, number, -1000)
    for number in range(55, 60):
        for minute in range(-3, 30, 3):
            beat(prefect, number, minute * 60)
    with collecting(tmp_path, prefect, EVENTS_PAGES_PER_POLL="1") as context:
        state = look(context, look(context))
        for minute in range(1, 25):
            minutes(prefect, minute)
            state = look(context, state)

    assert {NO_DEPLOYMENT: 55.0} == state.stale


def test_run_that_ends_is_forgotten(prefect: FakePrefect, context: Context) -> None:
    """Memory holds running runs only."""
    put(prefect, running(1), running(2))
    beat(prefect, 1, -1000)
    state = look(context)
    prefect.flow_rows.clear()

    assert ({run_id(1)}, {run_id(2)}) == (set(state.heard), set(state.unheard))
    assert Heartbeats({}, {}, truncated=False, folded=0) == look(context, state)


def test_runs_that_are_not_selected_are_not_asked_for(prefect: FakePrefect, tmp_path: Path) -> None:
    """The patterns for flows hold here too."""
    put(prefect, running(1))
    beat(prefect, 1, -1000)
    with collecting(tmp_path, prefect, FLOWS="!etl") as context:
        state = look(context)

    assert {} == state.stale
    assert ASKS not in prefect.asked


def test_deployments_beyond_the_limit_fold(prefect: FakePrefect, tmp_path: Path) -> None:
    """Their dead runs are added up under ``other``."""
    for number in (1, 2, 3):
        put(prefect, deployment(number, f"d{number}"))
        put(prefect, running(number, deployment_id=deployment_id(number)))
        beat(prefect, number, -1000)
    with collecting(tmp_path, prefect, MAX_DEPLOYMENTS="1") as context:
        state = look(context)

    assert 2 == state.folded
    assert 2.0 == state.stale["other", "other"]


class OnePage(FakePrefect):
    """A server that gives every event, not one of each run."""

    async def events(self, where: EventFilter) -> Page[Event]:
        """Return the first page."""
        return await super().events(replace(where, one_each=False))


def test_server_that_does_not_give_one_of_each_is_no_answer(tmp_path: Path) -> None:
    """Its page may lack the newest heartbeat of a run that lives: no number is better."""
    prefect = OnePage(flow_names=prefect_of().flow_names)
    put(prefect, running(1))
    for seconds in range(-100, 0):
        beat(prefect, 1, seconds)
    with collecting(tmp_path, prefect) as context, pytest.raises(Malformed):
        look(context)


def test_run_without_a_state_is_left_out(prefect: FakePrefect, context: Context) -> None:
    """Nobody can say since when it runs."""
    put(prefect, running(1, state=None))
    beat(prefect, 1, -1000)

    assert {} == look(context).stale
