"""The count audit: what arrives after the overlap is found, and nothing is counted again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import START_US, FakePrefect
from prefect_exporter.collectors.audits import Audits, FlowRunAudit, TaskRunAudit
from prefect_exporter.collectors.base import Context
from prefect_exporter.collectors.flow_runs import FINISHED, FlowRunCollector
from prefect_exporter.collectors.task_runs import FINISHED as TASKS_FINISHED
from prefect_exporter.collectors.task_runs import TaskRunCollector
from prefect_exporter.errors import Unreachable, Waiting
from prefect_exporter.feeds.audit import MAX_RESCANS, segments
from prefect_exporter.moments import SECOND
from worlds import collecting, ended, poll, prefect_of, put, run_id, task_run, total


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


def audit(context: Context, previous: Audits | None = None) -> Audits:
    """Audit the flow runs."""
    return poll(FlowRunAudit(context.settings), context, previous)


def at(prefect: FakePrefect, seconds: float) -> None:
    """Let it be so long after the first moment."""
    prefect.now_us = START_US + round(seconds * SECOND)


def arrives(prefect: FakePrefect, number: int, seconds: float, late: float) -> None:
    """Let a run end, and its row show so much later."""
    put(prefect, ended(number, seconds))
    prefect.visible_us[run_id(number)] = START_US + round((seconds + late) * SECOND)


def test_late_row_is_found(prefect: FakePrefect, context: Context) -> None:
    """A row that shows long after the overlap has passed it is counted, and told of."""
    arrives(prefect, 1, 30, late=600)
    put(prefect, ended(2, 500))
    at(prefect, 510)
    poll_rows(context)
    before = audit(context)
    at(prefect, 640)
    poll_rows(context)
    after = audit(context, before)

    assert (0, 1) == (before.corrections, after.corrections)
    assert 2.0 == total(context, FINISHED.name)


def test_late_task_run_is_found(prefect: FakePrefect, context: Context) -> None:
    """Task runs are audited too, without the rows that stand for subflows."""
    rows = TaskRunCollector(context.settings)
    poll(rows, context)
    put(prefect, task_run(1, 30), task_run(2, 31), task_run(3, 900))
    prefect.placeholders.add(run_id(2))
    prefect.visible_us[run_id(1)] = START_US + 910 * SECOND
    for seconds in (905, 915):
        at(prefect, seconds)
        poll(rows, context)
    audited = poll(TaskRunAudit(context.settings), context)

    assert 1 == audited.corrections
    assert 2.0 == total(context, TASKS_FINISHED.name)


def test_clean_audit_asks_for_counts_alone(prefect: FakePrefect, context: Context) -> None:
    """Where nothing differs no row is read, and a whole day costs a handful of counts."""
    put(prefect, *(ended(number, number * 60) for number in range(60)))
    at(prefect, 3600)
    poll_rows(context)
    prefect.asked.clear()
    audited = audit(context)

    assert (0, False) == (audited.corrections, audited.truncated)
    assert {"flow_runs/count"} == set(prefect.asked)
    assert len(prefect.asked) <= 8


def test_removed_row_is_no_correction(prefect: FakePrefect, context: Context) -> None:
    """A minute that has lost a row is read again once, and counts nothing."""
    put(prefect, ended(1, 30), ended(2, 31), ended(3, 500))
    at(prefect, 510)
    poll_rows(context)
    del prefect.flow_rows[run_id(1)]
    first = audit(context)
    prefect.asked.clear()
    audit(context, first)

    assert 0 == first.corrections
    assert "flow_runs/filter" not in prefect.asked
    assert 3.0 == total(context, FINISHED.name)


def test_retry_does_not_hide_a_late_row(prefect: FakePrefect, context: Context) -> None:
    """Where an audit lies between a retry and a late row of one minute, the row is found."""
    put(prefect, ended(1, 30), ended(2, 500))
    arrives(prefect, 3, 31, late=600)
    at(prefect, 510)
    poll_rows(context)
    put(prefect, ended(1, 505, run_count=2))
    first = audit(context)
    at(prefect, 640)
    second = audit(context, first)

    assert (0, 1) == (first.corrections, second.corrections)


def test_row_that_came_before_the_origin_is_history(prefect: FakePrefect, tmp_path: Path) -> None:
    """What ended before the first start stays out, however late it shows."""
    put(prefect, ended(1, -10))
    with collecting(tmp_path, prefect) as context:
        poll_rows(context)
        arrives(prefect, 2, -15, late=600)
        put(prefect, ended(3, 500))
        at(prefect, 700)
        poll_rows(context)
        audited = audit(context)

        assert 0 == audited.corrections
        assert 1.0 == total(context, FINISHED.name)


def test_rescans_have_a_budget(prefect: FakePrefect, context: Context) -> None:
    """One audit reads so many minutes again and says that there are more; the next goes on."""
    minutes = MAX_RESCANS + 20
    for number in range(minutes):
        arrives(prefect, number, number * 60 + 5, late=9000)
    put(prefect, ended(999, minutes * 60 + 300))
    at(prefect, minutes * 60 + 310)
    poll_rows(context)
    audit(context)
    at(prefect, minutes * 60 + 9000)
    poll_rows(context)
    first = audit(context)
    second = audit(context, first)

    assert (MAX_RESCANS, True) == (first.corrections, first.truncated)
    assert (minutes, False) == (second.corrections, second.truncated)


def test_failed_audit_keeps_what_it_found(prefect: FakePrefect, context: Context) -> None:
    """Minutes that were read again before a failure stay counted, and are not counted again."""
    for number in range(3):
        arrives(prefect, number, number * 120, late=900)
    put(prefect, ended(9, 700))
    at(prefect, 710)
    poll_rows(context)
    at(prefect, 1200)
    poll_rows(context)
    calls = iter(range(7))

    def fail(_route: str) -> None:
        if next(calls, None) is None:
            raise Unreachable("flow_runs/count", "connection refused")

    prefect.fail = fail
    with pytest.raises(Unreachable):
        audit(context)
    prefect.up()
    between = total(context, FINISHED.name)
    audit(context)

    assert between < 4.0 == total(context, FINISHED.name)


def test_audit_waits_for_the_rows(tmp_path: Path, prefect: FakePrefect) -> None:
    """Before the rows were read once there is nothing to compare with."""
    with collecting(tmp_path, prefect) as context, pytest.raises(Waiting, match="flow_runs"):
        audit(context)


def long_run(context: Context, prefect: FakePrefect, hours: int, clock: int = 0) -> int:
    """Let a run end every five minutes, poll and audit; return how many there were."""
    ends = range(60, hours * 3600, 300)
    state = None
    for number, seconds in enumerate(ends):
        put(prefect, ended(number, seconds))
        at(prefect, seconds + 1 + clock)
        poll_rows(context)
        state = audit(context, state)
    return len(ends)


def test_longer_horizon_counts_nothing_again(tmp_path: Path, prefect: FakePrefect) -> None:
    """After a restart with a longer horizon, ends whose keys are forgotten stay counted once."""
    with collecting(tmp_path, prefect, AUDIT_HORIZON="10m") as context:
        poll_rows(context)
        number = long_run(context, prefect, 2)
    with collecting(tmp_path, prefect, AUDIT_HORIZON="24h") as context:
        poll_rows(context)
        audited = audit(context)

        assert 0 == audited.corrections
        assert number == total(context, FINISHED.name)


@pytest.mark.parametrize("clock", [-3600, 3600], ids=["behind", "ahead"])
def test_wrong_clock_counts_nothing_again(tmp_path: Path, prefect: FakePrefect, clock: int) -> None:
    """A clock of ours that is an hour off does not make the audit count twice."""
    at(prefect, clock)
    with collecting(tmp_path, prefect, AUDIT_HORIZON="10m") as context:
        poll_rows(context)
        number = long_run(context, prefect, 3, clock)

        assert number == total(context, FINISHED.name)


def test_clock_that_jumps_back_counts_nothing_again(tmp_path: Path, prefect: FakePrefect) -> None:
    """A clock of ours that is set back does not make the audit count twice."""
    with collecting(tmp_path, prefect, AUDIT_HORIZON="10m") as context:
        poll_rows(context)
        number = long_run(context, prefect, 2)
        at(prefect, 3000)
        for _ in range(2):
            poll_rows(context)
            audit(context)

        assert number == total(context, FINISHED.name)


@pytest.mark.parametrize("late", [150, 1200, 3400])
def test_keys_are_kept_for_the_horizon(tmp_path: Path, prefect: FakePrefect, late: int) -> None:
    """Whatever arrives within the horizon is found, after hours of forgetting."""
    with collecting(tmp_path, prefect, AUDIT_HORIZON="1h") as context:
        poll_rows(context)
        arrives(prefect, 5000, 2 * 3600 + 100, late=late)
        number = long_run(context, prefect, 4)

        assert number + 1 == total(context, FINISHED.name)


@given(st.integers(0, 10**8), st.integers(0, 20_000))
def test_segments_are_a_partition(first: int, length: int) -> None:
    """Every minute stands in one stretch, from the newest to the oldest."""
    stretches = list(segments(first, first + length))

    assert [first, *(stop for _, stop in reversed(stretches))] == [
        *(start for start, _ in reversed(stretches)),
        first + length,
    ]


@given(st.integers(0, 10**8), st.integers(0, 20_000))
def test_segments_grow_with_age(first: int, length: int) -> None:
    """Stretches grow fourfold, so a day costs a handful of counts."""
    lengths = [stop - start for start, stop in segments(first, first + length)]

    assert [4 * 4**number for number in range(len(lengths) - 1)] == lengths[:-1]
    assert len(lengths) <= 8


def test_open_minutes_are_left_to_the_rows(prefect: FakePrefect, context: Context) -> None:
    """Minutes that the next scan reads anyway are not audited."""
    put(prefect, ended(1, 600))
    at(prefect, 610)
    poll_rows(context)
    put(prefect, ended(2, 550))
    audited = audit(context)

    assert 0 == audited.corrections
    assert 1.0 == total(context, FINISHED.name)
