"""What log records cost: how it is measured, summed up and printed."""

from __future__ import annotations

from operator import attrgetter

import pytest

from bench.active_runs import Memory
from bench.log_records import WAYS, Logging, measure_logging
from bench.logged_lines import WARM_UP, Lines
from bench.machine import Spread
from bench.report import Results, show

RECORDS = 20
RUNS = 2
CPU = attrgetter("thread_cpu")


def lines(thread_cpu: float) -> Lines:
    """Return a measurement of which the rest does not matter."""
    return Lines(thread_cpu, process_cpu=1.0, peak_memory=1)


@pytest.fixture(scope="module")
def measured() -> Logging:
    """Write a few lines in each way, on a real server."""
    return measure_logging(RECORDS, 1, RUNS, lambda _line: None)


def test_figures_are_compared_within_a_round() -> None:
    """A machine that slows down between rounds changes neither ratios nor their spread."""
    rounds = [
        {"prefect": lines(4.0), "ours": lines(1.0)},
        {"prefect": lines(16.0), "ours": lines(4.0)},
    ]
    found = Logging(8, rounds, (0, 0), 2, {"ours": [Memory(100, 140), Memory(100, 160)]})

    assert Spread(0.25, 0.25, 0.25) == found.ratio("ours", "prefect", CPU)
    assert Spread(0.3125, 0.125, 0.5) == found.a_record("ours", CPU)
    assert Spread(25.0, 20.0, 30.0) == found.a_run("ours")


@pytest.mark.real
@pytest.mark.timeout(900)
def test_each_way_is_measured_in_each_round(measured: Logging) -> None:
    """Every figure of every process is there."""
    (found,) = measured.rounds

    assert set(WAYS) == found.keys()
    for each in found.values():
        assert 0 < each.thread_cpu <= each.process_cpu
        assert 2**20 < each.peak_memory
    for (memory,) in measured.memory.values():
        assert 2**20 < min(memory.before, memory.during)


@pytest.mark.real
@pytest.mark.timeout(900)
def test_records_arrive_by_otlp_in_one_way_alone(measured: Logging) -> None:
    """Every line of that way is sent, those of warming up among it, and none of another."""
    arrived, due = measured.arrived

    assert due == WARM_UP + RECORDS
    # Prefect's own lines of the flow and the task arrive as well.
    assert due <= arrived < due + 10


@pytest.mark.real
@pytest.mark.timeout(900)
def test_report_prints_lines_and_runs(
    measured: Logging, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tables name every way."""
    show(Results("a machine", "today", logging=measured))

    printed = capsys.readouterr().out
    for way in WAYS:
        assert way in printed
    assert "thread CPU, us" in printed
    assert "kB a run" in printed
