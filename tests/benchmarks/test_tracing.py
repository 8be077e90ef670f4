"""What tracing costs: how it is measured, summed up and printed."""

from __future__ import annotations

from operator import attrgetter

import pytest

from bench.imports import packages_of
from bench.machine import Spread
from bench.programs import answer
from bench.report import Results, show
from bench.traced_tasks import MODES, WARM_UP, Loop
from bench.tracing import Tracing, measure_tracing
from demo.processes import NotReadyError
from demo.sandbox import Sandbox

TASKS = 3
DEAR = {"opentelemetry.sdk", "opentelemetry.exporter", "grpc", "requests"}
CPU = attrgetter("thread_cpu")


def loop(thread_cpu: float) -> Loop:
    """Return a measurement of which the rest does not matter."""
    return Loop(thread_cpu, process_cpu=1.0, wall=1.0, peak_memory=1)


@pytest.fixture(scope="module")
def measured() -> Tracing:
    """Measure a few tasks on a real server."""
    return measure_tracing(TASKS, 1, lambda _line: None)


def test_figures_are_compared_within_a_round() -> None:
    """A machine that slows down between rounds changes neither ratios nor their spread."""
    fast = {"off": loop(1.0), "native": loop(2.0), "ours": loop(1.5)}
    slow = {"off": loop(8.0), "native": loop(16.0), "ours": loop(12.0)}
    tracing = Tracing(8, [fast, slow], {}, [])

    assert Spread(0.75, 0.75, 0.75) == tracing.ratio("ours", "native", CPU)
    assert Spread(0.28125, 0.0625, 0.5) == tracing.over_off("ours", CPU)
    assert Spread(0.5625, 0.125, 1.0) == tracing.a_task("off", CPU)


def test_packages_are_told_apart_where_they_share_a_name() -> None:
    """Modules count by package, and those of OpenTelemetry and Prefect by the part below."""
    modules = ["opentelemetry", "opentelemetry.sdk.trace", "prefect.flow_engine", "wrapt.wrappers"]

    assert packages_of(modules) == {
        "opentelemetry",
        "opentelemetry.sdk",
        "prefect.flow_engine",
        "wrapt",
    }


def test_failing_program_says_why() -> None:
    """The end of what a program said is in the error."""
    with Sandbox() as sandbox, pytest.raises(NotReadyError, match=r"code 1:\nno server here$"):
        answer(sandbox, "-c", "raise SystemExit('no server here')")


@pytest.mark.real
@pytest.mark.timeout(900)
def test_every_span_arrives_and_no_other(measured: Tracing) -> None:
    """Each way of tracing sends one span a task and one for the flow; without, there is none."""
    due = 1 + WARM_UP + TASKS

    assert measured.spans == {"off": (0, 0), "native": (due, due), "ours": (due, due)}


@pytest.mark.real
@pytest.mark.timeout(900)
def test_each_mode_is_measured_in_each_round(measured: Tracing) -> None:
    """Every figure of every process is there."""
    (loops,) = measured.rounds

    assert loops.keys() == MODES.keys()
    for each in loops.values():
        assert 0 < each.thread_cpu <= each.process_cpu
        assert 0 < each.wall
        assert 2**20 < each.peak_memory


@pytest.mark.real
@pytest.mark.timeout(900)
def test_nothing_is_imported_before_it_is_used(measured: Tracing) -> None:
    """Our package and its plugin bring no SDK and no exporter; a call of `setup` does."""
    packages = {each.what: {*each.packages} for each in measured.imports}

    assert packages["then setup(), or the plugin's first run"] >= DEAR - {"grpc"}
    assert packages["then prefect_instrumentation.setup"].isdisjoint(DEAR)
    assert packages["our plugin besides"].isdisjoint(DEAR)


@pytest.mark.real
@pytest.mark.timeout(900)
def test_report_prints_costs_and_imports(
    measured: Tracing, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tables name every mode, and tell which spans arrived."""
    show(Results("a machine", "today", tracing=measured))

    printed = capsys.readouterr().out
    assert "thread CPU over off, us a task" in printed
    assert "spans arrived" in printed
    assert "import prefect" in printed
