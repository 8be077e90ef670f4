"""The simulated day: its runs are lazily made, and all of them are counted."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from bench.day import measure_day
from bench.day_clock import Clock, JumpingLoop
from bench.day_prefect import Question, SimulatedPrefect
from bench.day_runs import AHEAD, BEGIN_US, FLOWS, LATEST_US, Pace, Runs
from prefect_exporter.api import Interval, Page, RunFilter
from prefect_exporter.moments import HOUR, MINUTE, moment
from prefect_exporter.wire import FlowRun, TaskRun

BEGIN = BEGIN_US // MINUTE
PACE = Pace(flow_runs=40_000, hours=1.0)
LATER_US = BEGIN_US + HOUR


def task_runs(prefect: SimulatedPrefect, now_us: int, ended: Interval) -> list[TaskRun]:
    """Return one page of ended task runs."""
    question = Question("task_runs", now_us, RunFilter(ended=ended))
    return [*msgspec.json.decode(prefect.answer(question), type=Page[TaskRun]).rows]


def test_a_million_end_each_day() -> None:
    """The days' numbers are exact, and nothing ends after the last hour."""
    pace = Pace(flow_runs=1_000_000, hours=36)
    days = [pace.ended_by(BEGIN + AHEAD + hours * 60) for hours in (0, 24, 36, 99)]

    assert [0, 1_000_000] == days[:2]
    assert days[2] == days[3]


def test_the_peak_is_four_times_the_mean() -> None:
    """At nine in the morning runs end four times as often as on average."""
    pace = Pace(flow_runs=1_440_000)
    nine = BEGIN + AHEAD + 9 * 60

    assert pytest.approx(4000, rel=0.01) == pace.ended_by(nine + 1) - pace.ended_by(nine)


def test_a_minute_is_the_same_each_time_it_is_made() -> None:
    """Rows that were forgotten come back equal, and count only once as truth."""
    runs = Runs(PACE)
    minute = BEGIN + AHEAD + 30
    before = runs.task_runs(minute), runs.flow_runs(minute)
    truth = runs.truth.task_runs.total()
    runs.task_runs.cache_clear()
    runs.flow_runs.cache_clear()

    assert before == (runs.task_runs(minute), runs.flow_runs(minute))
    assert truth == runs.truth.task_runs.total()


def test_a_task_run_shows_when_it_has_arrived() -> None:
    """A late row is not in an answer, nor in a count, before its time."""
    prefect = SimulatedPrefect(PACE)
    minute = BEGIN + AHEAD + 30
    late = next(r for r in prefect.runs.task_runs(minute) if r.visible_us - r.end_us > MINUTE)
    at = Interval(moment(late.end_us), moment(late.end_us))

    assert [] == task_runs(prefect, late.visible_us - 1, at)
    assert [UUID(late.id)] == [row.id for row in task_runs(prefect, late.visible_us, at)]


@pytest.mark.parametrize("after_us", [0, 1, LATEST_US, HOUR], ids=str)
def test_counts_agree_with_rows(after_us: int) -> None:
    """The count of an interval is the number of its rows, late ones and part minutes included."""
    prefect = SimulatedPrefect(Pace(flow_runs=4000, hours=1.0))
    low_us = BEGIN_US + (AHEAD + 20) * MINUTE + 17_000_000
    ended = Interval(moment(low_us), moment(low_us + 5 * MINUTE))
    now_us = low_us + 5 * MINUTE + after_us
    question = Question("count_task_runs", now_us, RunFilter(ended=ended))

    assert len(task_runs(prefect, now_us, ended)) == int(prefect.answer(question))


def test_a_flow_run_is_found_by_its_id() -> None:
    """The parent of a task run is asked for by id, and is of the flow of that task."""
    prefect = SimulatedPrefect(PACE)
    child = prefect.runs.task_runs(BEGIN + AHEAD + 30)[0]
    question = Question("flow_runs", LATER_US, RunFilter(ids=(UUID(child.flow_run),)))
    (row,) = msgspec.json.decode(prefect.answer(question), type=Page[FlowRun]).rows

    assert UUID(child.flow_run) == row.id
    assert child.task % FLOWS == row.flow_id.int & 0xFFFF


def test_the_clock_jumps_over_waiting() -> None:
    """An hour of sleep takes no time, and the clock says that it has passed."""
    clock = Clock()
    began = time.perf_counter()
    with asyncio.Runner(loop_factory=lambda: JumpingLoop(clock)) as runner:
        runner.run(asyncio.sleep(3600))

    assert 3600 <= clock.seconds() < 3660
    assert time.perf_counter() - began < 600


def test_the_clock_does_not_jump_over_a_thread() -> None:
    """What is given to a thread is done at once, while timers of others wait."""
    clock = Clock()

    async def both() -> tuple[int, float]:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.sleep(3600))
            return await asyncio.to_thread(lambda: 7), clock.seconds()

    with asyncio.Runner(loop_factory=lambda: JumpingLoop(clock)) as runner:
        result, at = runner.run(both())

    assert 7 == result
    assert at < 60


@pytest.mark.timeout(300)
def test_every_run_of_a_small_day_is_counted(tmp_path: Path) -> None:
    """Late rows, retries, every outcome: the ledger holds what Prefect had, each run once."""
    day = measure_day(
        tmp_path,
        Pace(flow_runs=30_000, first_hour=9, hours=0.1, deployments=50),
        lambda _line: None,
        PREFECT_EXPORTER_POLL_INTERVAL="60s",
    )

    assert day.counted.corrections > 0
    assert day.exact
