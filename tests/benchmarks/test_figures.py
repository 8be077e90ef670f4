"""How the benchmark reads, sums up and prints what it measures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.ledger_size import measure_ledger
from bench.machine import Spread, percentile, spread
from bench.report import Results, show
from bench.scraping import Values
from bench.work import Work

METRICS = """\
# HELP runs_total Runs.
# TYPE runs_total counter
runs_total{flow="a b",outcome="failed"} 2.0
runs_total{flow="c",outcome="completed"} 3.0
runs_total_of_others{flow="c"} 7.0
up 1.0
"""


@pytest.mark.parametrize(
    ("percent", "expected"), [(50, 100), (99, 198), (100, 200), (0, 1)], ids=str
)
def test_percentile_is_a_measured_value(percent: float, expected: int) -> None:
    """The percentile is the least value that so many percent do not exceed."""
    values = [*range(200, 0, -1)]

    assert expected == percentile(values, percent)


def test_spread_keeps_both_ends() -> None:
    """A spread is the median with the least and the most."""
    assert Spread(2.5, 1.0, 9.0) == spread([9.0, 1.0, 2.0, 3.0])


def test_values_are_read_by_whole_name() -> None:
    """A name takes the series of exactly that name, with or without labels."""
    values = Values(METRICS)

    assert 5.0 == values.total("runs_total")
    assert [3.0] == [*values.of("runs_total", 'outcome="completed"')]
    assert 1.0 == values.total("up")
    assert 4 == values.series


def test_values_are_summed_by_a_label() -> None:
    """A label's values each have the sum of their series; labels are told apart by whole name."""
    text = 'polls_total{route="a",subroute="x"} 1.0\npolls_total{route="a"} 2.0\n'
    more = 'polls_total{subroute="z",route="b"} 4.0\npolls_total_of_others{route="c"} 8.0\n'

    assert {"a": 3.0, "b": 4.0} == Values(text + more).by("polls_total", "route")


def test_idle_work_is_taken_off_by_time() -> None:
    """CPU time of idling counts by the second; requests and bytes are the exporter's own."""
    idle = Work(seconds=10, requests=0, bytes=0, server_cpu=1.0, database_cpu=0.5)
    work = Work(seconds=20, requests=4, bytes=400, server_cpu=3.0, database_cpu=2.0)

    assert Work(20, 4, 400, 1.0, 1.0) == work.without(idle)


def test_ledger_simulation_counts_every_completion(tmp_path: Path) -> None:
    """The simulated completions are all committed, to a file that is measured."""
    size = measure_ledger(tmp_path, 24_000, lambda _line: None, hours=(1, 2))

    assert pytest.approx(2000, abs=2) == size.completions
    assert 0 < size.full_bytes <= size.end_bytes


def test_report_prints_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Parts that were not measured are left out."""
    show(Results("a machine", "today"))

    assert ["today on a machine", "Load average 0.0 before, 0.0 after."] == (
        capsys.readouterr().out.split("\n")[1:-1]
    )


def test_unknown_part_is_named() -> None:
    """A part that does not exist ends the program with code 2 and its name."""
    ended = subprocess.run(
        [sys.executable, "-m", "bench", "--parts", "polling,speed"],
        env={"PYTHONPATH": "deploy:examples:benchmarks"},
        cwd=Path(__file__).resolve().parents[2],
        check=False,
        capture_output=True,
        text=True,
    )

    assert 2 == ended.returncode
    assert ended.stderr.endswith("unknown: speed\n")
