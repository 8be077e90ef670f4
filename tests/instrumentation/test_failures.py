"""The line of a failed run: there once, and with what somebody who is woken needs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import pytest
from opentelemetry.sdk.trace import TracerProvider

from observed import COMPLETED, FAILED, FLOW
from prefect_instrumentation import error_context
from prefect_instrumentation._failures import FailureObserver
from prefect_instrumentation._log_settings import LogSettings
from prefect_instrumentation._runs import Outcome, Run, StateChange
from traces import Hostile

TIMED_OUT = StateChange("FAILED", "TimedOut", "Task run exceeded timeout of 3.0 second(s)")
NOT_READY = StateChange("PENDING", "NotReady", "Upstream task run did not reach a COMPLETED state.")
CRASHED = StateChange("CRASHED", "Crashed", "Execution was aborted by a termination signal.")
CANCELLED = StateChange("CANCELLED", "Cancelled", "Flow run was cancelled.")
CANCELLING = StateChange("CANCELLING", "Cancelling", "")
TASK = replace(FLOW, kind="task", id="run-2", name="load-0", task="load")
URL = "https://prefect.example.com/runs/flow-run/run-1"


@error_context(order=42)
def fail() -> None:
    """Raise."""
    raise ValueError("no eggs")


def failing() -> ValueError:
    """Return an error that was raised by the user's code."""
    with pytest.raises(ValueError, match="no eggs") as raised:
        fail()
    return raised.value


def record_of(
    caplog: pytest.LogCaptureFixture,
    outcome: Outcome | None,
    run: Run = FLOW,
    settings: LogSettings | None = None,
) -> logging.LogRecord | None:
    """Return what is logged of a run that took 2.5 s and ended so."""
    caplog.clear()
    now = iter([10.0, 12.5])
    observer = FailureObserver(lambda: settings or LogSettings(), lambda: next(now))
    with caplog.at_level(logging.DEBUG):
        observer.started(run).ended(outcome)
    assert len(caplog.records) <= 1
    return caplog.records[0] if caplog.records else None


def keys(record: logging.LogRecord | None) -> dict[str, object]:
    """Return what a record says beside its text."""
    assert record
    ordinary = set(vars(logging.makeLogRecord({}))) | {"message"}
    return {name: value for name, value in vars(record).items() if name not in ordinary}


@pytest.mark.parametrize(
    ("state", "run", "told"),
    [
        (FAILED, FLOW, ("ERROR", "Flow run failed", "user_code")),
        (FAILED, TASK, ("ERROR", "Task run failed", "user_code")),
        (TIMED_OUT, TASK, ("ERROR", "Task run timed out", "timeout")),
        (NOT_READY, TASK, ("ERROR", "Task run could not start", "upstream")),
        (CRASHED, FLOW, ("ERROR", "Flow run crashed", "infrastructure")),
        (CANCELLED, FLOW, ("WARNING", "Flow run was cancelled", "cancelled")),
        (CANCELLING, FLOW, ("WARNING", "Flow run was cancelled", "cancelled")),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_line_says_what_happened(
    caplog: pytest.LogCaptureFixture, state: StateChange, run: Run, told: tuple[str, ...]
) -> None:
    """Each way to fail has its words, its level and its category, also without an exception."""
    record = record_of(caplog, Outcome(state, 1, None), run)

    found = keys(record)
    assert record
    assert told == (record.levelname, record.getMessage(), found["prefect.error.category"])
    assert (state.name, state.message) == (found["state"], found["state_message"])


def test_line_says_where_and_with_which_input(caplog: pytest.LogCaptureFixture) -> None:
    """The place in the user's code, the facts, the input, the seconds and the links are there."""
    run = replace(FLOW, parameters={"day": "monday", "rows": [1]}, url=URL)

    found = keys(record_of(caplog, Outcome(FAILED, 1, failing()), run))

    line = fail.__wrapped__.__code__.co_firstlineno + 3  # type: ignore[attr-defined]  # decorated
    assert f"test_failures.py:{line} in fail" == found["where"]
    assert {"day": "monday", "rows": "list of 1"} == found["input"]
    assert {"order": 42} == found["error_context"]
    assert (2.5, URL, "ValueError") == (
        found["seconds"],
        found["flow_run_url"],
        found["error.type"],
    )


def test_error_without_a_place_is_the_runs(caplog: pytest.LogCaptureFixture) -> None:
    """Of an error that has no traceback, as one of another process, the run's function is told."""
    found = keys(record_of(caplog, Outcome(FAILED, 1, ValueError("no eggs"))))

    assert ("observed.load", "ValueError") == (found["where"], found["error.type"])


def test_occurrences_count_the_same_failure(caplog: pytest.LogCaptureFixture) -> None:
    """The first failure of its kind is the first; a flow does not count its task's again."""

    def occurrence(run: Run, make: Callable[[], ValueError]) -> object:
        return keys(record_of(caplog, Outcome(FAILED, 1, make()), run))["occurrence"]

    def another() -> ValueError:
        with pytest.raises(ValueError, match="seven") as raised:
            int("seven")
        return raised.value

    runs = (TASK, TASK, FLOW)
    assert [1, 2, 1] == [occurrence(run, another) for run in runs]


def test_trace_is_linked_where_its_address_is_known(caplog: pytest.LogCaptureFixture) -> None:
    """The address has the trace's id in it; outside of a trace there is none."""
    settings = LogSettings(trace_url="https://jaeger.example.com/trace/{trace_id}")
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    with tracer.start_as_current_span("flow etl") as span:
        within = keys(record_of(caplog, Outcome(FAILED, 1, None), settings=settings))
    outside = keys(record_of(caplog, Outcome(FAILED, 1, None), settings=settings))

    trace_id = f"{span.get_span_context().trace_id:032x}"
    assert f"https://jaeger.example.com/trace/{trace_id}" == within["trace_url"]
    assert "trace_url" not in outside


def test_nothing_is_told_of_runs_that_did_not_fail(caplog: pytest.LogCaptureFixture) -> None:
    """Success, a pause and an end that nobody knows make no line."""
    paused = StateChange("PAUSED", "Suspended", "")

    assert [None] * 3 == [
        record_of(caplog, end)
        for end in (Outcome(COMPLETED, 1, None), Outcome(paused, 1, None), None)
    ]


def test_nothing_is_told_while_no_lines_are_written(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever keeps Prefect's own logging gets no lines of ours in it."""
    observer = FailureObserver(lambda: None)
    with caplog.at_level(logging.DEBUG):
        observer.started(FLOW).ended(Outcome(FAILED, 1, failing()))

    assert [] == caplog.records


def test_hostile_input_costs_no_line(caplog: pytest.LogCaptureFixture) -> None:
    """Parameters without a text do not keep the line from being written."""
    run = replace(FLOW, parameters={"h": Hostile(), "x" * 10_000: "y" * 10_000})

    assert record_of(caplog, Outcome(FAILED, 1, failing()), run)
