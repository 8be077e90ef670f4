"""What the meters of a run record, and that their labels stay few and clean."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import sys
import threading
import time
import weakref
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import replace

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from metered import Meters, Point
from observed import AWAITING_RETRY, COMPLETED, FAILED, FLOW, RETRYING, RUNNING
from prefect_instrumentation import record_io, traced
from prefect_instrumentation._meters.instruments import MAX_AMOUNT, amount_of
from prefect_instrumentation._meters.labels import (
    FEWER_VALUES,
    MAX_LABELS,
    MAX_LENGTH,
    MAX_VALUES,
    OTHER,
    Bounds,
)
from prefect_instrumentation._meters.observer import MeterObserver
from prefect_instrumentation._meters.usage import ThreadClock, peak_memory
from prefect_instrumentation._runs import Outcome, Run, RunObserver, StateChange
from prefect_instrumentation._secrets import learn
from prefect_instrumentation._spans import SpanObserver
from traces import Hostile, Refused, printed

TIMED_OUT = StateChange("FAILED", "TimedOut", "")
CRASHED = StateChange("CRASHED", "Crashed", "")
CANCELLED = StateChange("CANCELLED", "Cancelled", "")
NOT_READY = StateChange("PENDING", "NotReady", "")
PAUSED = StateChange("PAUSED", "Suspended", "")
DONE = Outcome(COMPLETED, 1, None)


def load() -> None:
    """Do what a task does."""


TASK = replace(FLOW, kind="task", id="run-2", name="load-0", task="load", function=load)
FLOW_LABELS = {"flow": FLOW.flow, "task": "", "deployment": FLOW.deployment}
TASK_LABELS = {**FLOW_LABELS, "task": "load"}


@pytest.fixture(name="meters")
def _meters() -> Meters:
    return Meters()


def start(meters: Meters, run: Run) -> RunObserver:
    """Start a run, whose code goes on."""
    watch = MeterObserver(meters.instruments).started(run)
    watch.resumed()
    return watch


def end(watch: RunObserver, outcome: Outcome | None = DONE) -> None:
    """End a run as an engine does."""
    watch.ended(outcome)
    watch.suspended()


def burn(seconds: float) -> None:
    """Use the CPU of this thread."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def _raise(kind: type[BaseException]) -> None:
    raise kind


def raised(kind: type[BaseException] = Refused) -> BaseException:
    """Return an error that has been raised."""
    with pytest.raises(kind) as caught:
        _raise(kind)
    return caught.value


def values(points: list[Point], label: str) -> list[str]:
    """Return what a label says, of each point as often as it counted."""
    return sorted(str(point.labels[label]) for point in points for _ in range(int(point.value)))


def errors(meters: Meters) -> list[str]:
    """Return the categories of the errors that were counted."""
    return values(meters.read("prefect_sdk_errors_total"), "category")


def test_outermost_run_counts_the_cpu_time_of_all_threads(meters: Meters) -> None:
    """What a thread of the process uses while the run lasts is the run's."""
    watch = start(meters, FLOW)
    thread = threading.Thread(target=burn, args=(0.05,))
    thread.start()
    thread.join()
    end(watch)
    (point,) = meters.read("prefect_sdk_process_cpu_seconds_total")

    assert FLOW_LABELS == point.labels
    assert 0.05 <= point.value < 1


def test_enclosed_runs_leave_the_process_to_the_outermost(meters: Meters) -> None:
    """The process' time and memory are counted once, however deep its runs are nested."""
    flow = start(meters, FLOW)
    for run in (TASK, replace(FLOW, id="run-3", flow="child")):
        end(start(meters, run))
    end(flow)
    end(start(meters, TASK))

    points = meters.read()
    for metric in (
        "prefect_sdk_process_cpu_seconds_total",
        "prefect_sdk_process_peak_memory_bytes",
    ):
        found = [point.labels for point in points if point.metric == metric]
        assert [FLOW_LABELS, TASK_LABELS] == found


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only POSIX forks")
def test_run_of_a_forked_child_is_its_outermost(meters: Meters) -> None:
    """A child that was forked within a run does not take its parent's run for its own."""
    watch = start(meters, FLOW)
    meters.read()
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            end(start(meters, TASK))
            names = {point.metric for point in meters.read()}
            os.write(writer, str("prefect_sdk_process_cpu_seconds_total" in names).encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    answer = os.read(reader, 100)
    os.close(reader)
    os.close(writer)
    end(watch)

    assert b"True" == answer


def test_peak_memory_is_the_process_own() -> None:
    """A small child of a large process has a small peak."""
    large = bytearray(os.urandom(1024)) * (200 * 1024)
    output, complaints = printed(
        "from prefect_instrumentation._meters.usage import peak_memory; print(peak_memory())"
    )

    assert "" == complaints
    assert len(large) <= (peak_memory() or 0)
    if sys.platform == "linux":
        assert 1024**2 < int(output) < len(large)


def test_peak_memory_is_observed_in_bytes(meters: Meters) -> None:
    """The histogram has the process' peak, once a run."""
    end(start(meters, FLOW))
    (point,) = meters.read("prefect_sdk_process_peak_memory_bytes")

    assert (1, FLOW_LABELS) == (point.count, point.labels)
    assert 10 * 1024**2 < point.value <= (peak_memory() or 0)


def test_task_counts_the_time_of_its_thread(meters: Meters) -> None:
    """What other threads do meanwhile is not the task's."""
    watch = start(meters, TASK)
    other = threading.Thread(target=burn, args=(0.2,))
    other.start()
    burn(0.05)
    other.join()
    end(watch)
    (point,) = meters.read("prefect_sdk_task_run_cpu_seconds_total")

    assert TASK_LABELS == point.labels
    assert 0.05 <= point.value < 0.2


def test_suspended_task_uses_no_time(meters: Meters) -> None:
    """Between two steps of a generator its consumer works, and pays for it."""
    watch = start(meters, TASK)
    burn(0.03)
    watch.suspended()
    burn(0.1)
    watch.resumed()
    burn(0.03)
    end(watch)
    (point,) = meters.read("prefect_sdk_task_run_cpu_seconds_total")

    assert 0.06 <= point.value < 0.16


def test_steps_may_be_on_different_threads() -> None:
    """Time of one thread is never subtracted from that of another."""
    clock = ThreadClock()
    clock.start()
    thread = threading.Thread(target=clock.stop)
    thread.start()
    thread.join()
    clock.stop()

    assert 0.0 == clock.seconds


async def _coroutine() -> None:
    """Be asynchronous."""


async def _async_generator() -> AsyncGenerator[int]:
    """Be both."""
    yield 1


@pytest.mark.parametrize("function", [_coroutine, _async_generator])
def test_asynchronous_tasks_have_no_thread_time(
    meters: Meters, function: Callable[..., object]
) -> None:
    """They share their thread with others."""
    end(start(meters, replace(TASK, function=function)))

    assert [] == meters.read("prefect_sdk_task_run_cpu_seconds_total")


def test_every_attempt_counts(meters: Meters) -> None:
    """A run that is tried three times has three attempts."""
    watch = start(meters, TASK)
    for state in (RUNNING, AWAITING_RETRY, RETRYING, RETRYING):
        watch.changed(state)
    watch.changed(COMPLETED)
    end(watch)
    (point,) = meters.read("prefect_sdk_attempts_total")

    assert (3, TASK_LABELS) == (point.value, point.labels)


def test_error_of_a_task_counts_once_an_attempt(meters: Meters) -> None:
    """An engine tells of an error before the state that explains it, and at the end again."""
    first, last = raised(), raised()
    watch = start(meters, TASK)
    for state, error in ((RUNNING, first), (RETRYING, last)):
        watch.changed(state)
        watch.raised(error)
    watch.changed(TIMED_OUT)
    end(watch, Outcome(TIMED_OUT, 2, last))

    assert ["timeout", "user_code"] == errors(meters)


def test_error_of_a_flow_counts_at_once(meters: Meters) -> None:
    """A flow's engine tells of an error when the next attempt has begun: it is not kept till then.

    The state of the next attempt's end says nothing of it.
    """
    first, last = raised(KeyError), raised(RuntimeError)
    watch = start(meters, FLOW)
    for state in (RUNNING, AWAITING_RETRY, RUNNING):
        watch.changed(state)
    watch.raised(first)
    at_once = len(errors(meters))
    watch.changed(TIMED_OUT)
    watch.raised(last)
    end(watch, Outcome(TIMED_OUT, 2, last))

    assert 1 == at_once
    assert ["timeout"] == errors(meters)


def test_same_error_of_two_attempts_counts_twice(meters: Meters) -> None:
    """A module may raise one and the same object again and again."""
    error = raised()
    watch = start(meters, TASK)
    for state in (RUNNING, RETRYING):
        watch.changed(state)
        watch.raised(error)
    watch.changed(FAILED)
    end(watch, Outcome(FAILED, 2, error))

    assert 2 == len(errors(meters))


def test_last_state_says_what_an_interruption_means(meters: Meters) -> None:
    """Of a cancelled run the engine tells as of any crash; its outcome knows better."""
    error = raised(SystemExit)
    watch = start(meters, FLOW)
    watch.changed(RUNNING)
    watch.raised(error)
    end(watch, Outcome(CANCELLED, 1, error))

    assert ["cancelled"] == errors(meters)


def test_crash_counts_once(meters: Meters) -> None:
    """Here the state comes before the error, and the error is no `Exception`."""
    error = raised(SystemExit)
    watch = start(meters, FLOW)
    watch.changed(CRASHED)
    watch.raised(error)
    end(watch, Outcome(CRASHED, 1, error))

    assert 1 == len(errors(meters))


@pytest.mark.parametrize("state", [FAILED, NOT_READY], ids=lambda state: state.name)
def test_failing_end_without_an_error_counts(meters: Meters, state: StateChange) -> None:
    """A run that returned a failed state, or never started, has failed all the same."""
    watch = start(meters, TASK)
    end(watch, Outcome(state, 1, None))

    assert 1 == len(errors(meters))


@pytest.mark.parametrize("outcome", [DONE, Outcome(PAUSED, 1, None), None])
def test_other_ends_are_no_errors(meters: Meters, outcome: Outcome | None) -> None:
    """Neither success nor a pause is one, nor an end of which nobody knows."""
    watch = start(meters, TASK)
    watch.changed(RUNNING)
    end(watch, outcome)

    assert [] == errors(meters)


@pytest.mark.parametrize("outcome", [DONE, None])
def test_error_whose_consequence_never_came_counts(meters: Meters, outcome: Outcome | None) -> None:
    """An attempt that raised is counted by the end at the latest."""
    watch = start(meters, TASK)
    watch.changed(RUNNING)
    watch.raised(raised())
    end(watch, outcome)

    assert 1 == len(errors(meters))


def test_same_failure_has_the_fingerprint_of_its_span(meters: Meters) -> None:
    """Metric and span name an error alike."""
    error = raised()
    for _ in range(2):
        watch = start(meters, TASK)
        watch.raised(error)
        watch.changed(FAILED)
        end(watch, Outcome(FAILED, 1, error))
    (point,) = meters.read("prefect_sdk_errors_total")

    assert 2 == point.value
    assert 16 == len(str(point.labels["fingerprint"]))
    assert {**TASK_LABELS, "category": "", "fingerprint": ""}.keys() == point.labels.keys()


def test_errors_are_let_go(meters: Meters) -> None:
    """What a traceback holds goes when the engine does, though somebody keeps the observer."""

    class Large(Exception):
        pass

    error = raised(Large)
    gone = weakref.ref(error)
    watch = start(meters, TASK)
    watch.raised(error)
    watch.changed(FAILED)
    end(watch, Outcome(FAILED, 1, error))
    del error
    gc.collect()

    assert gone() is None


def test_nothing_is_carried_on(meters: Meters) -> None:
    """Meters have no business in labels, ours or others'."""
    observer = MeterObserver(meters.instruments)
    watch = observer.started(FLOW)
    watch.renamed("other")

    assert ({}, {}, True) == (observer.outgoing(), watch.labels, observer.flush())


def test_points_lead_to_the_span_of_their_run(meters: Meters) -> None:
    """The SDK's exemplars have the run's span, though the run's code is suspended as it ends."""
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    span = tracer.start_span("flow etl")
    token = otel_context.attach(trace.set_span_in_context(span))
    watch = start(meters, FLOW)
    record_io(records=1)
    watch.suspended()
    otel_context.detach(token)
    watch.changed(RUNNING)
    watch.raised(raised())
    watch.ended(DONE)
    context = span.get_span_context()
    points = meters.read()

    assert len(points) == 5
    assert {((context.trace_id, context.span_id),)} == {point.traces for point in points}


@pytest.mark.parametrize("limit", ["value", "fingerprint"])
def test_values_beyond_the_limit_are_other(limit: str) -> None:
    """A label has so many values in a process, and one more for all the rest."""
    bounds, most = Bounds(), FEWER_VALUES.get(limit, MAX_VALUES)
    shown = [
        bounded[limit] for n in range(most + 10) if (bounded := bounds.bounded("m", {limit: n}))
    ]

    assert [str(n) for n in range(most)] + [OTHER] * 10 == shown
    assert {limit: "3"} == bounds.bounded("m", {limit: 3})
    assert {limit: ""} == bounds.bounded("m", {limit: ""})


def test_limits_hold_for_each_metric_and_label() -> None:
    """One label that overflows does not take the others with it."""
    bounds = Bounds()
    for n in range(MAX_VALUES):
        bounds.bounded("one", {"a": n})

    assert {"a": OTHER, "b": "new"} == bounds.bounded("one", {"a": "new", "b": "new"})
    assert {"a": "new"} == bounds.bounded("two", {"a": "new"})


def test_labels_are_few() -> None:
    """Names of labels that come too late are left out."""
    bounds = Bounds()
    many = {f"label{n}": "x" for n in range(MAX_LABELS + 5)}

    assert MAX_LABELS == len(bounds.bounded("m", many))
    assert {} == bounds.bounded("m", {"another": "x"})


@pytest.mark.parametrize("value", ["x" * 100_000, "\udcff", Hostile(), b"\xff", None, 1.5])
def test_any_value_is_a_short_text(value: object) -> None:
    """Whatever the user's code gives is text that OTLP takes."""
    (shown,) = Bounds().bounded("m", {"a": value}).values()

    assert len(shown.encode()) <= MAX_LENGTH


def test_secrets_stay_here() -> None:
    """A label hides what this process knows to be secret, and a URL's password."""
    learn("hunter2-is-secret")
    labels = {"a": "x hunter2-is-secret y", "b": "postgresql://shop:pa55-word@db/orders"}
    shown = str(Bounds().bounded("m", labels))

    assert "hunter2" not in shown
    assert "pa55" not in shown
    assert "orders" in shown


def test_amounts() -> None:
    """Only finite numbers from 0 up can be counted, and no larger ones than Prometheus counts."""
    bad = [-1, -0.5, float("nan"), float("inf"), "many", None, Hostile(), object()]

    assert [None] * len(bad) == [amount_of(value) for value in bad]
    assert [0, 1.5, MAX_AMOUNT] == [amount_of(value) for value in (0, 1.5, 10**40)]


def io_points(meters: Meters) -> dict[tuple[object, ...], float]:
    """Return what was read and written, by metric, task and places."""
    return {
        (p.metric.split("_")[3], p.labels["task"], p.labels["source"], p.labels["destination"]): (
            p.value
        )
        for p in meters.read()
        if p.metric.startswith("prefect_sdk_io_")
    }


def test_io_is_of_the_run_that_does_it(meters: Meters) -> None:
    """Records and bytes are added up by run and place; what follows the run is not the run's."""
    watch = start(meters, TASK)
    record_io(records=2, bytes=10, source="s3://raw")
    record_io(records=3, source="s3://raw")
    record_io(records=1, destination="db")
    end(watch)
    record_io(records=7)

    assert {
        ("records", "load", "s3://raw", ""): 5,
        ("bytes", "load", "s3://raw", ""): 10,
        ("records", "load", "", "db"): 1,
    } == io_points(meters)


@pytest.mark.parametrize("bad", [-1, 1.5, "many", float("nan")])
def test_io_takes_whole_numbers(meters: Meters, bad: object) -> None:
    """What the span ignores is not counted either."""
    watch = start(meters, TASK)
    record_io(records=bad)  # type: ignore[arg-type]  # users pass anything
    end(watch)

    assert {} == io_points(meters)


def test_io_has_the_places_of_the_innermost_traced_function(meters: Meters) -> None:
    """The call's own places win over those of the function, and these over those of the run."""

    @traced(source="helper's", destination="helper's too")
    def helper() -> None:
        record_io(records=1)
        record_io(records=1, source="call's")

    @traced(source="run's")
    def task_function() -> None:
        record_io(records=1)
        helper()

    spans = SpanObserver(lambda: None, lambda: True, lambda: None).started(
        replace(TASK, function=task_function)
    )
    spans.resumed()
    watch = start(meters, TASK)
    contextvars.copy_context().run(task_function)
    end(watch)
    spans.ended(None)
    spans.suspended()

    assert {
        ("records", "load", "run's", ""): 1,
        ("records", "load", "helper's", "helper's too"): 1,
        ("records", "load", "call's", "helper's too"): 1,
    } == io_points(meters)


def test_instruments_are_made_once_by_many_threads(
    meters: Meters, caplog: pytest.LogCaptureFixture
) -> None:
    """Threads that record first at the same time get one instrument; the SDK tells of a second."""
    barrier = threading.Barrier(8)

    def run() -> None:
        watch = MeterObserver(meters.instruments).started(TASK)
        barrier.wait()
        end(watch)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    peak = meters.read("prefect_sdk_process_peak_memory_bytes")

    assert [8] == [point.count for point in peak]
    assert "" == caplog.text


def test_without_an_sdk_nothing_is_imported_and_nothing_fails() -> None:
    """OpenTelemetry's API is all that meters need."""
    output, complaints = printed(
        "import sys\n"
        "from prefect_instrumentation._meters.observer import MeterObserver\n"
        "from prefect_instrumentation._meters.public import counter, measured, timer\n"
        "counter('orders').add(3, shop='berlin')\n"
        "with timer('orders_load'): pass\n"
        "measured(len)([])\n"
        "print([name for name in sys.modules if '.sdk' in name or name == 'prefect'])\n"
    )

    assert ("[]", "") == (output.strip(), complaints)


def _generator() -> Generator[int]:
    """Be a generator."""
    yield 1


def test_generator_has_thread_time(meters: Meters) -> None:
    """A synchronous generator has a thread in each of its steps."""
    end(start(meters, replace(TASK, function=_generator, generator=True)))

    assert 1 == len(meters.read("prefect_sdk_task_run_cpu_seconds_total"))


def test_runs_of_one_loop_each_have_their_labels(meters: Meters) -> None:
    """What coroutines record at the same time is not mixed up."""

    async def run(task: str) -> None:
        watch = start(meters, replace(TASK, task=task, function=_coroutine))
        await asyncio.sleep(0)
        record_io(records=1)
        end(watch)

    async def both() -> None:
        await asyncio.gather(run("one"), run("two"))

    asyncio.run(both())

    assert {("records", "one", "", ""): 1, ("records", "two", "", ""): 1} == io_points(meters)
