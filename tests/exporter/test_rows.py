"""Rows by time: none lost, none counted twice, and history left where it is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import START_US, FakePrefect, after_seconds
from prefect_exporter.api import Interval, RunFilter
from prefect_exporter.collectors.base import Context
from prefect_exporter.collectors.flow_run_starts import KEPT_US, FlowRunStartCollector
from prefect_exporter.collectors.flow_runs import FINISHED, FlowRunCollector, feed
from prefect_exporter.collectors.task_runs import FINISHED as TASKS_FINISHED
from prefect_exporter.collectors.task_runs import TaskRunCollector
from prefect_exporter.errors import Malformed, Unreachable
from prefect_exporter.facts import Cursor
from prefect_exporter.feeds.feed import Feed
from prefect_exporter.feeds.rows import FEW_ROWS, follow, scan, scan_start, stretches
from prefect_exporter.moments import DAY, HOUR, MINUTE, SECOND, micros
from prefect_exporter.wire import FlowRun, TaskState, TaskStateDetails
from worlds import collecting, counts, ended, poll, prefect_of, put, run, run_id, task_run, total

DOWN = Unreachable("flow_runs/filter", "connection refused")


@pytest.fixture(name="prefect")
def _prefect() -> FakePrefect:
    return prefect_of()


@pytest.fixture(name="context")
def _context(tmp_path: Path, prefect: FakePrefect) -> Iterator[Context]:
    with collecting(tmp_path, prefect) as context:
        yield context


def poll_rows(context: Context) -> None:
    """Poll the flow runs."""
    poll(FlowRunCollector(context.settings), context)


def at(prefect: FakePrefect, seconds: float) -> None:
    """Let it be so long after the first moment."""
    prefect.now_us = START_US + round(seconds * SECOND)


def cursor(context: Context, feed: str = "flow_runs") -> Cursor:
    """Return the feed's mark."""
    found = context.store.ledger.cursor("test", feed)
    assert found is not None
    return found


def test_first_start_leaves_history_out(prefect: FakePrefect, context: Context) -> None:
    """What had ended before the exporter's first poll is not counted, then or later."""
    put(prefect, ended(1, -3600), ended(2, -10))
    poll_rows(context)
    put(prefect, ended(3, 1))
    at(prefect, 15)
    poll_rows(context)

    assert 1.0 == total(context, FINISHED.name)


def test_first_start_on_an_empty_server_counts_from_then(
    prefect: FakePrefect, context: Context
) -> None:
    """The very first run of a server is counted."""
    poll_rows(context)
    put(prefect, ended(1, 1))
    at(prefect, 15)
    poll_rows(context)

    assert 1.0 == total(context, FINISHED.name)


def test_first_start_goes_by_the_servers_clock(prefect: FakePrefect, context: Context) -> None:
    """A clock of ours that is ahead does not miss what is new."""
    put(prefect, ended(1, -10), ended(2, 0))
    at(prefect, 3600)
    poll_rows(context)
    put(prefect, ended(3, 1), ended(4, 2))
    poll_rows(context)

    assert 2.0 == total(context, FINISHED.name)


def test_time_from_the_future_does_not_move_the_mark(
    prefect: FakePrefect, context: Context
) -> None:
    """A client whose clock is ahead does not hide the ends of all others."""
    collector = TaskRunCollector(context.settings)
    poll(collector, context)
    put(prefect, task_run(1, 9 * 3600))
    at(prefect, 15)
    poll(collector, context)
    put(prefect, task_run(2, 16))
    at(prefect, 30)
    poll(collector, context)

    assert 2.0 == total(context, TASKS_FINISHED.name)
    assert prefect.now_us >= cursor(context, "task_runs").high_us


def test_late_row_within_the_overlap_counts(prefect: FakePrefect, context: Context) -> None:
    """A row that shows after newer ones were read is counted with the next poll."""
    poll_rows(context)
    put(prefect, ended(1, 5), ended(2, 100))
    prefect.visible_us[run_id(1)] = START_US + 110 * SECOND
    for seconds in (105, 120):
        at(prefect, seconds)
        poll_rows(context)

    assert 2.0 == total(context, FINISHED.name)


def test_row_counts_once_however_often_it_is_read(prefect: FakePrefect, context: Context) -> None:
    """The overlap reads rows again and counts none of them again."""
    poll_rows(context)
    put(prefect, *(ended(number, number) for number in range(10)))
    for seconds in (15, 30, 45):
        at(prefect, seconds)
        poll_rows(context)

    assert 10.0 == total(context, FINISHED.name)


def test_manual_retry_is_one_more_end(prefect: FakePrefect, context: Context) -> None:
    """A run that ends again is counted again, by how it ended then."""
    poll_rows(context)
    put(prefect, ended(1, 5, "FAILED"))
    at(prefect, 15)
    poll_rows(context)
    put(prefect, ended(1, 20, run_count=2))
    at(prefect, 30)
    poll_rows(context)

    by_outcome = {labels[-1]: value for labels, value in counts(context, FINISHED.name).items()}
    assert {"failed": 1.0, "completed": 1.0} == by_outcome


def test_overridden_state_is_the_same_end(prefect: FakePrefect, context: Context) -> None:
    """A terminal state that is forced over another keeps the end: nothing is counted again."""
    poll_rows(context)
    put(prefect, ended(1, 5, "FAILED"))
    at(prefect, 15)
    poll_rows(context)
    put(prefect, ended(1, 5, "COMPLETED"))
    poll_rows(context)

    assert {("etl", "", "false", "failed"): 1.0} == counts(context, FINISHED.name)


def test_row_with_an_end_that_is_not_terminal_does_not_count(
    prefect: FakePrefect, context: Context
) -> None:
    """An end time alone makes no completion."""
    poll_rows(context)
    put(prefect, ended(1, 5, "RUNNING"))
    at(prefect, 15)
    poll_rows(context)

    assert 0.0 == total(context, FINISHED.name)


@pytest.mark.parametrize("page_size", [1, 2, 3, 5, 200])
@pytest.mark.parametrize("times", [[5] * 7, [1, 2, 2, 2, 2, 2, 3], [1, 1, 2, 2, 3, 3, 4]], ids=str)
def test_scan_yields_each_row_once(page_size: int, times: list[int], tmp_path: Path) -> None:
    """Pages may break anywhere, also inside rows of one time: each row comes once."""
    prefect = prefect_of(page_size=page_size)
    put(prefect, *(ended(number, seconds) for number, seconds in enumerate(times)))
    with collecting(tmp_path, prefect) as context:
        yielded = run(_scanned(context, None))

    assert sorted(prefect.flow_rows) == sorted(yielded)


async def _scanned(context: Context, high_us: int | None) -> list[UUID]:
    return [row.id async for rows in scan(feed(context), 0, high_us) for row in rows]


@pytest.mark.parametrize("high", [1, 2, 3])
def test_scan_keeps_to_its_end(tmp_path: Path, high: int) -> None:
    """A scan up to a time has that time's rows, and no later ones."""
    prefect = prefect_of(page_size=2)
    times = [1, 2, 2, 2, 3]
    put(prefect, *(ended(number, seconds) for number, seconds in enumerate(times)))
    with collecting(tmp_path, prefect) as context:
        yielded = run(_scanned(context, START_US + high * SECOND))

    assert sum(seconds <= high for seconds in times) == len(yielded)


def test_rows_that_leave_meanwhile_hide_no_others(tmp_path: Path) -> None:
    """A row that is deleted between two pages shifts nothing."""
    prefect = prefect_of(page_size=2)
    put(prefect, *(ended(number, number) for number in range(8)))
    gone = iter([7, 6, 5, 4])

    def leave(route: str) -> None:
        if route == "flow_runs/filter" and len(prefect.asked) > 1:
            prefect.flow_rows.pop(run_id(next(gone, 99)), None)

    prefect.fail = leave
    with collecting(tmp_path, prefect) as context:
        yielded = run(_scanned(context, None))

    assert {run_id(number) for number in range(4)} <= set(yielded)
    assert len(set(yielded)) == len(yielded)


@pytest.mark.parametrize("page_size", [1, 3])
def test_failed_page_keeps_the_mark(page_size: int, tmp_path: Path) -> None:
    """Where a page fails, the next poll reads all of it again, and counts the rest."""
    prefect = prefect_of(page_size=page_size)
    with collecting(tmp_path, prefect) as context:
        poll_rows(context)
        put(prefect, *(ended(number, number) for number in range(10)))
        at(prefect, 15)
        mark = cursor(context).high_us
        calls = iter(range(3))

        def fail(_route: str) -> None:
            if next(calls, None) is None:
                raise DOWN

        prefect.fail = fail
        with pytest.raises(Unreachable):
            poll_rows(context)
        between = total(context, FINISHED.name), cursor(context).high_us
        prefect.up()
        poll_rows(context)

        assert between[0] < 10
        assert mark == between[1]
        assert 10.0 == total(context, FINISHED.name)


def backlog(prefect: FakePrefect, hours: int, number: int = FEW_ROWS + 100) -> list[FlowRun]:
    """Let Prefect have more rows than are read at once, over some hours."""
    rows = [ended(n, 60 + n * (hours * 3600 - 120) / number) for n in range(number)]
    put(prefect, *rows)
    return rows


@pytest.mark.timeout(20)
def test_backlog_is_counted_whole(prefect: FakePrefect, context: Context) -> None:
    """After a long outage everything that ended in it is counted."""
    poll_rows(context)
    rows = backlog(prefect, 3)
    at(prefect, 3 * 3600)
    poll_rows(context)

    assert len(rows) == total(context, FINISHED.name)


@pytest.mark.timeout(20)
def test_backlog_that_is_cut_off_keeps_what_was_read(
    prefect: FakePrefect, context: Context
) -> None:
    """A long backlog is read in stretches: what one poll read, the next need not read again."""
    poll_rows(context)
    rows = backlog(prefect, 3, 4 * FEW_ROWS)
    at(prefect, 3 * 3600)
    marks = []
    for _ in range(2):
        calls = iter(range(25))

        def fail(_route: str, calls: Iterator[int] = calls) -> None:
            if next(calls, None) is None:
                raise DOWN

        prefect.fail = fail
        with pytest.raises(Unreachable):
            poll_rows(context)
        marks.append(cursor(context).high_us)
    prefect.up()
    poll_rows(context)

    assert sorted(set(marks)) == marks
    assert START_US < marks[0]
    assert len(rows) == total(context, FINISHED.name)


@given(
    st.integers(0, 10 * DAY),
    st.integers(0, 9000 * DAY),
    st.lists(st.tuples(st.integers(0, 9000 * DAY), st.integers(0, 50_000)), max_size=5),
)
def test_stretches_leave_no_gap(low: int, length: int, crowds: list[tuple[int, int]]) -> None:
    """Stretches follow each other without a gap, always move on, and the last one is open."""

    async def count(within: Interval) -> int:
        assert within.after is not None
        assert within.before is not None
        first, last = micros(within.after), micros(within.before)
        return sum(number for at_us, number in crowds if first <= low + at_us <= last)

    async def collect() -> list[tuple[int, int | None]]:
        feed = cast("Feed[FlowRun]", SimpleNamespace(count=count))
        return [bounds async for bounds in stretches(feed, low, low + length)]

    bounds = asyncio.run(collect())

    assert (low, None) == (bounds[0][0], bounds[-1][1])
    assert len(bounds) < 300
    for (first, high), (after, _) in pairwise(bounds):
        assert high is not None
        assert first < after <= high


@given(st.integers(0, 10 * DAY), st.integers(0, 10 * DAY))
def test_scan_starts_on_a_minute(origin_us: int, age_us: int) -> None:
    """A scan goes back by its overlap at least, to a whole minute, never behind the origin."""
    high_us, overlap_us = origin_us + age_us, 120 * SECOND
    start = scan_start(Cursor(origin_us, high_us), overlap_us)

    assert origin_us <= start
    assert start == origin_us or (start % MINUTE == 0 and start <= high_us - overlap_us)


def test_counts_survive_a_restart(tmp_path: Path, prefect: FakePrefect) -> None:
    """A new process goes on where the old one was killed: nothing twice, nothing lost."""
    with collecting(tmp_path, prefect) as context:
        poll_rows(context)
        put(prefect, ended(1, 5))
        at(prefect, 15)
        poll_rows(context)
    put(prefect, ended(2, 20), ended(3, 400))
    at(prefect, 600)
    with collecting(tmp_path, prefect) as context:
        poll_rows(context)

        assert 3.0 == total(context, FINISHED.name)


def test_placeholders_of_subflows_do_not_count(prefect: FakePrefect, context: Context) -> None:
    """A task run that only stands for a subflow is none."""
    collector = TaskRunCollector(context.settings)
    poll(collector, context)
    put(prefect, task_run(1, 5), task_run(2, 6))
    prefect.placeholders.add(run_id(2))
    at(prefect, 15)
    poll(collector, context)

    assert 1.0 == total(context, TASKS_FINISHED.name)


def test_placeholder_of_a_deleted_subflow_does_not_count(
    prefect: FakePrefect, context: Context
) -> None:
    """A placeholder is told by its state, since the filter forgets it with its subflow."""
    collector = TaskRunCollector(context.settings)
    poll(collector, context)
    state = TaskState(TaskStateDetails(child_flow_run_id=run_id(9)))
    put(prefect, task_run(1, 5, state=state), task_run(2, 6, state=TaskState()))
    at(prefect, 15)
    poll(collector, context)

    assert 1.0 == total(context, TASKS_FINISHED.name)


def test_starts_are_forgotten_too(prefect: FakePrefect, context: Context) -> None:
    """The keys of starts are kept as long as a scan may go back, and no longer."""
    collector = FlowRunStartCollector(context.settings)
    poll(collector, context)
    times = range(0, 4 * 3600, 900)
    for number, seconds in enumerate(times):
        row = ended(
            number,
            seconds + 1,
            deployment_id=UUID(int=5),
            start_time=after_seconds(seconds),
            expected_start_time=after_seconds(seconds),
        )
        put(prefect, row)
        at(prefect, seconds + 15)
        poll(collector, context)
    keys = [(run_id(n), micros(after_seconds(seconds))) for n, seconds in enumerate(times)]
    forgotten = context.store.ledger.unseen("test", "flow_run_starts", keys)

    assert KEPT_US == HOUR
    assert {at_us for _, at_us in forgotten} <= {
        at_us for _, at_us in keys if at_us < prefect.now_us - HOUR
    }
    assert len(forgotten) >= len(keys) - 7


def test_rows_that_were_not_asked_for_are_not_believed(
    prefect: FakePrefect, context: Context
) -> None:
    """Where something ignores the filter, rows of other times are refused and not counted."""
    poll_rows(context)
    put(prefect, ended(1, -7 * 86_400))
    asked = replace(
        feed(context),
        page=lambda _within, offset: prefect.flow_runs(RunFilter(), "ID_DESC", offset),
    )

    with pytest.raises(Malformed, match="not asked for"):
        run(follow(asked, context.store, prefect.now_us))
    assert 0.0 == total(context, FINISHED.name)


def test_time_from_the_future_moves_nothing_later(prefect: FakePrefect, context: Context) -> None:
    """A row of a clock that runs ahead leaves the mark with the others, also at later polls."""
    poll_rows(context)
    put(prefect, ended(1, 5), ended(2, 90_000))
    for seconds in (15, 600):
        at(prefect, seconds)
        poll_rows(context)

    assert START_US + 5 * SECOND == cursor(context).high_us
    assert 2.0 == total(context, FINISHED.name)


def test_first_start_is_not_moved_by_a_time_from_the_future(
    prefect: FakePrefect, context: Context
) -> None:
    """Where the newest row is dated ahead, the one before it tells where history ends."""
    put(prefect, ended(1, -60), ended(2, 90_000))
    poll_rows(context)
    put(prefect, ended(3, -30))
    poll_rows(context)

    assert 2.0 == total(context, FINISHED.name)
