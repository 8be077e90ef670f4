"""Meters of the user's own: timed calls, counters, timers and what is read at each collection."""

from __future__ import annotations

import asyncio
import inspect
import os
import pickle
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import suppress
from enum import Enum
from typing import Any

import cloudpickle  # type: ignore[import-untyped]  # it has no stubs
import pytest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prefect import flow, task

from metered import Point, global_reader, read
from prefect_instrumentation import traced
from prefect_instrumentation._calls import running
from prefect_instrumentation._meters import gauges
from prefect_instrumentation._meters.definitions import ALL, Definition
from prefect_instrumentation._meters.gauges import Gauge, dead_letters, letters_points
from prefect_instrumentation._meters.labels import MAX_VALUES
from prefect_instrumentation._meters.public import (
    Counter,
    counter,
    measured,
    register_circuit_breaker,
    register_dead_letters,
    timer,
)
from traces import Hostile, Refused, printed

DURATION = "prefect_sdk_function_duration_seconds"
BREAKER = "prefect_sdk_circuit_breaker_state"
LETTERS = "prefect_sdk_dead_letters"

HANG = 30.0
"""Seconds that a callable keeps its answer back."""


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give who answers the time that a busy machine needs, of which one who hangs has all."""
    monkeypatch.setattr(gauges, "PATIENCE", 3.0)


@pytest.fixture(name="reader")
def _reader() -> InMemoryMetricReader:
    reader = global_reader()
    reader.get_metrics_data()
    return reader


@pytest.fixture(name="registered")
def _registered() -> Iterator[list[Callable[[], None]]]:
    """Give a list of what ends registrations, which is done after the test."""
    ends: list[Callable[[], None]] = []
    yield ends
    for each in ends:
        each()


def points(reader: InMemoryMetricReader, metric: str) -> list[Point]:
    """Return a metric's new points."""
    return [point for point in read(reader) if point.metric == metric]


def calls(reader: InMemoryMetricReader, metric: str = DURATION) -> dict[tuple[str, str], int]:
    """Return how often functions were called, by their own name and outcome."""
    return {
        (str(p.labels.get("function", "")).rpartition(".")[2], str(p.labels["outcome"])): p.count
        for p in points(reader, metric)
    }


@measured
def plain(day: str) -> int:
    """Measure a function."""
    return len(day)


@measured
async def asynchronous(day: str) -> int:
    """Measure a coroutine function."""
    await asyncio.sleep(0)
    return len(day)


@measured
def generator(day: str) -> Generator[int, int, str]:
    """Measure a generator function."""
    sent = yield 1
    yield sent
    return day


@measured
async def asynchronous_generator(day: str) -> AsyncGenerator[int]:
    """Measure an asynchronous generator function."""
    yield len(day)


@measured
def failing() -> None:
    """Raise."""
    raise Refused


@measured
async def cancelled() -> None:
    """End as a cancelled coroutine does."""
    raise asyncio.CancelledError


def test_calls_of_every_kind_of_function_are_timed(reader: InMemoryMetricReader) -> None:
    """A call is a call, and its result what it was."""

    async def collect() -> list[int]:
        return [item async for item in asynchronous_generator("abc")]

    def consume() -> Generator[int, int, str]:
        return (yield from generator("abc"))

    steps = consume()
    assert (3, 3, [3]) == (plain("abc"), asyncio.run(asynchronous("abc")), asyncio.run(collect()))
    assert (1, 7) == (next(steps), steps.send(7))
    with pytest.raises(StopIteration) as stop:
        next(steps)
    names = ("plain", "asynchronous", "generator", "asynchronous_generator")

    assert "abc" == stop.value.value
    assert {(name, "success"): 1 for name in names} == calls(reader)


def test_kind_of_function_is_kept() -> None:
    """Prefect and others look at it, and at the name, the place and the parameters."""
    assert inspect.isfunction(plain)
    assert inspect.iscoroutinefunction(asynchronous)
    assert inspect.isgeneratorfunction(generator)
    assert inspect.isasyncgenfunction(asynchronous_generator)
    assert __file__ == plain.__code__.co_filename
    assert ["day"] == list(inspect.signature(plain).parameters)


def test_outcome_says_how_a_call_ended(reader: InMemoryMetricReader) -> None:
    """What is raised goes on, and is told apart from what was cancelled."""
    with pytest.raises(Refused):
        failing()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
    unfinished = generator("abc")
    next(unfinished)
    unfinished.close()

    assert {
        ("failing", "failure"): 1,
        ("cancelled", "cancelled"): 1,
        ("generator", "success"): 1,
    } == calls(reader)


def test_function_is_named_in_full(reader: InMemoryMetricReader) -> None:
    """Two modules may have a function of the same name."""
    plain("abc")
    (point,) = points(reader, DURATION)

    assert f"{__name__}.plain" == point.labels["function"]


def test_consumer_of_a_generator_is_not_timed(reader: InMemoryMetricReader) -> None:
    """Only the steps of its own body count."""
    start = time.perf_counter()
    steps = generator("abc")
    next(steps)
    time.sleep(0.05)
    steps.close()
    elapsed = time.perf_counter() - start
    (point,) = points(reader, DURATION)

    assert point.value <= elapsed - 0.05


class Shop:
    """Methods of all kinds."""

    @measured
    def method(self) -> str:
        """Be bound."""
        return type(self).__name__

    @measured
    @classmethod
    def above(cls) -> str:
        """Be bound to the class."""
        return cls.__name__

    @classmethod
    @measured
    def below(cls) -> str:
        """Be bound to the class."""
        return cls.__name__

    @measured
    @staticmethod
    def static() -> str:
        """Not be bound."""
        return "Shop"


def test_methods_are_bound_as_before(reader: InMemoryMetricReader) -> None:
    """Whatever stands above or below."""
    shop = Shop()

    assert ["Shop"] * 4 == [shop.method(), shop.above(), shop.below(), shop.static()]
    assert {"method", "above", "below", "static"} == {name for name, _ in calls(reader)}


@pytest.mark.parametrize("bad", [1, "name", Shop, None])
def test_only_what_can_be_called_is_measured(bad: Any) -> None:  # noqa: ANN401 - what is wrong
    """A class is no function, nor is a name."""
    with pytest.raises(TypeError, match="takes a function, flow or task, not"):
        measured(bad)


@pytest.mark.parametrize("make", [flow, task], ids=["flow", "task"])
def test_flows_and_tasks_stay_what_they_are(
    reader: InMemoryMetricReader, make: Callable[..., Any]
) -> None:
    """Above or below, the function that the engine calls is timed once."""

    def above(day: str) -> int:
        return len(day)

    def below(day: str) -> int:
        return len(day)

    one, two = measured(make(above)), make(measured(below))

    assert type(make(above)) is type(one) is type(two)
    assert (3, 3) == (one.fn("abc"), two.fn("abc"))
    assert {("above", "success"): 1, ("below", "success"): 1} == calls(reader)


def test_measured_and_traced_stand_together(reader: InMemoryMetricReader) -> None:
    """A function's span and its time do not disturb each other."""

    @measured
    @traced(name="loads")
    def one() -> None:
        pass

    @traced(name="loads")
    @measured
    def two() -> None:
        pass

    for function in (one, two):
        token = running.set(function)
        function()
        running.reset(token)

    assert {("one", "success"): 1, ("two", "success"): 1} == calls(reader)


def test_measured_functions_are_pickled() -> None:
    """A task runner sends tasks to other processes, by value where nobody can import them."""

    @measured
    def local(day: str) -> int:
        return len(day)

    local.__module__ = "__main__"

    assert plain is pickle.loads(pickle.dumps(plain))  # noqa: S301 - our own
    assert 3 == cloudpickle.loads(cloudpickle.dumps(local))("abc")
    assert 3 == cloudpickle.loads(cloudpickle.dumps(timer("test_pickled")(local)))("abc")


def test_counter_adds_up_by_labels(reader: InMemoryMetricReader) -> None:
    """What is added with the same labels is one series."""
    orders = counter("test_orders_total", description="Orders.", unit="{order}")
    orders.add()
    orders.add(2, shop="berlin")
    orders.add(0.5, shop="berlin")

    assert {"": 1, "berlin": 2.5} == {
        p.labels.get("shop", ""): p.value for p in points(reader, "test_orders_total")
    }


@pytest.mark.parametrize("bad", [-1, float("nan"), "many", None, Hostile()])
def test_counter_ignores_what_is_no_amount(reader: InMemoryMetricReader, bad: object) -> None:
    """A flow does not end for the sake of a number."""
    counter("test_bad_total").add(bad)  # type: ignore[arg-type]  # users pass anything

    assert [] == points(reader, "test_bad_total")


def test_counter_is_pickled() -> None:
    """A task that uses it may be sent to another process."""
    orders = counter("test_orders_total")

    assert orders == cloudpickle.loads(cloudpickle.dumps(orders))
    assert isinstance(orders, Counter)


@pytest.mark.parametrize("make", [counter, timer])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("prefect_orders", "names that begin with 'prefect_' are taken"),
        ("Prefect_SDK_x", "names that begin with 'prefect_' are taken"),
        ("", "is no metric's name"),
        ("orders-total", "is no metric's name"),
        ("1st", "is no metric's name"),
        ("orders\n", "is no metric's name"),
        ("x" * 201, "is no metric's name"),
        (None, "is no metric's name"),
    ],
)
def test_bad_name_is_refused_where_it_is_defined(
    make: Callable[[Any], object], name: object, message: str
) -> None:
    """Not where something is recorded, in the midst of a run."""
    with pytest.raises(ValueError, match=message):
        make(name)


def test_names_are_of_one_kind() -> None:
    """Prometheus has one type for a name."""
    counter("test_kind")

    with pytest.raises(ValueError, match="'test_kind' is a counter already"):
        timer("test_kind")
    with pytest.raises(ValueError, match="a unit is at most 63 ASCII characters"):
        counter("test_unit", unit="a b")
    with pytest.raises(ValueError, match="'outcome' says how the timed code ended"):
        timer("test_outcome", labels={"outcome": "good"})


def test_timer_times_blocks_and_calls(reader: InMemoryMetricReader) -> None:
    """One and the same timer may be entered, nested, and decorate functions of all kinds."""
    loading = timer("test_loading", labels={"table": "orders"})
    with loading, loading:
        time.sleep(0.01)
    with pytest.raises(Refused), loading:
        raise Refused

    @loading
    async def load() -> int:
        await asyncio.sleep(0.01)
        return 3

    assert 3 == asyncio.run(load())
    found = {p.labels["outcome"]: p for p in points(reader, "test_loading")}

    assert {"success": 3, "failure": 1} == {key: point.count for key, point in found.items()}
    assert {"table": "orders", "outcome": "success"} == found["success"].labels
    assert 0.03 <= found["success"].value < 10


def test_timer_keeps_threads_and_coroutines_apart(reader: InMemoryMetricReader) -> None:
    """Blocks that overlap in time are each timed from their own start."""
    waiting = timer("test_waiting")

    async def both() -> None:
        late, inside, gone = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def first() -> None:
            with waiting:
                await asyncio.sleep(0.05)
                late.set()
                await inside.wait()
            gone.set()

        async def second() -> None:
            await late.wait()
            with suppress(Refused), waiting:
                inside.set()
                await gone.wait()
                raise Refused

        await asyncio.gather(first(), second())

    asyncio.run(both())
    found = {p.labels["outcome"]: p for p in points(reader, "test_waiting")}

    assert {"success": 1, "failure": 1} == {key: point.count for key, point in found.items()}
    assert 0.05 <= found["success"].value


def test_timer_of_a_suspended_generator_is_its_own(reader: InMemoryMetricReader) -> None:
    """A generator that stops amid a block does not take the end of another's for its own."""
    inner, outer = timer("test_inner"), timer("test_outer")

    def steps() -> Generator[None]:
        with inner:
            yield

    suspended = steps()
    with outer:
        time.sleep(0.05)
        start = time.perf_counter()
        next(suspended)
    suspended.close()
    elapsed = time.perf_counter() - start
    seconds = {p.metric: p.value for p in read(reader)}

    assert seconds["test_inner"] <= elapsed
    assert 0.05 <= seconds["test_outer"]


class State(Enum):
    """As a library may have it."""

    HALF = "half-open"


@pytest.mark.parametrize(
    ("state", "shown"),
    [("open", "open"), ("HALF-OPEN", "half_open"), (State.HALF, "half_open"), ("closed", "closed")],
)
def test_breaker_is_in_one_of_three_states(
    reader: InMemoryMetricReader,
    registered: list[Callable[[], None]],
    state: object,
    shown: str,
) -> None:
    """Libraries spell them differently; each has a series, which is 1 or 0."""
    registered.append(register_circuit_breaker("bank", lambda: state))
    found = {p.labels["state"]: p.value for p in points(reader, BREAKER)}

    assert {name: int(name == shown) for name in ("closed", "open", "half_open")} == found


def _hang() -> object:
    return threading.Event().wait(HANG)


def _raise() -> object:
    raise Refused


def _exit() -> object:
    raise SystemExit


@pytest.mark.parametrize("bad", [_hang, _raise, _exit, Hostile, lambda: -1, lambda: None])
def test_bad_answer_costs_its_point_alone(
    reader: InMemoryMetricReader,
    registered: list[Callable[[], None]],
    bad: Callable[[], object],
) -> None:
    """One who raises, hangs or answers nonsense does not delay or hide the others."""
    asked: list[str] = []

    def ask() -> object:
        asked.append("bad")
        return bad()

    registered += [
        register_dead_letters("bad", ask),
        register_dead_letters("good", lambda: 3),
        register_circuit_breaker("bad", ask),
        register_circuit_breaker("good", lambda: "open"),
    ]
    start = time.monotonic()
    found = read(reader)
    read(reader)
    elapsed = time.monotonic() - start

    assert [({"queue": "good"}, 3)] == [(p.labels, p.value) for p in found if p.metric == LETTERS]
    assert {"good"} == {p.labels["breaker"] for p in found if p.metric == BREAKER}
    assert elapsed < HANG / 2
    assert (2 if bad is _hang else 4) == len(asked), "who hangs is not asked again"


def test_last_one_registered_is_read_until_it_ends(reader: InMemoryMetricReader) -> None:
    """A module that is imported twice registers twice: to end the first does not end the last."""
    first = register_dead_letters("orders", lambda: 1)
    second = register_dead_letters("orders", lambda: 2)
    first()
    found = [p.value for p in points(reader, LETTERS)]
    second()

    assert ([2], []) == (found, points(reader, LETTERS))


def test_names_that_are_read_are_bounded(reader: InMemoryMetricReader) -> None:
    """Those beyond the limit would all be called the same."""
    gauge = Gauge(Definition("test_depth", "gauge", "", ""), letters_points)
    for n in range(MAX_VALUES + 5):
        gauge.register(f"queue {n}", lambda: 1)

    assert MAX_VALUES == len(points(reader, "test_depth"))


def test_only_callables_are_registered() -> None:
    """A state that never changes is a mistake."""
    with pytest.raises(TypeError, match="'bank' is asked of a callable, not str"):
        register_circuit_breaker("bank", "open")  # type: ignore[arg-type]  # the mistake


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only POSIX forks")
def test_forked_child_asks_anew(
    reader: InMemoryMetricReader, registered: list[Callable[[], None]]
) -> None:
    """An answer that its parent waits for never comes in the child."""
    event = threading.Event()
    registered.append(register_dead_letters("slow", lambda: event.wait(30) and 7))
    read(reader)
    back, out = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            event.set()
            os.write(out, str(dead_letters.read()[0][0]).encode())
        finally:
            os._exit(0)
    event.set()
    os.waitpid(pid, 0)
    answer = os.read(back, 100)
    os.close(back)
    os.close(out)

    assert b"7" == answer


@pytest.mark.parametrize(
    ("use", "brings"),
    [
        ("register_dead_letters('orders', lambda: 3)", False),
        ("counter('orders')", False),
        ("counter('orders').add()", True),
    ],
)
def test_sdk_is_set_up_when_something_is_recorded(use: str, *, brings: bool) -> None:
    """A command that merely imports a module with meters, as `prefect deploy` does, needs none."""
    output, complaints = printed(
        "import os, sys\n"
        "os.environ['OTEL_TRACES_EXPORTER'] = 'none'\n"
        "from prefect_instrumentation import _provider, counter, register_dead_letters\n"
        "from prefect_instrumentation._settings import Settings\n"
        f"_provider.ask(Settings())\n{use}\n"
        "print('opentelemetry.sdk.trace' in sys.modules)\n"
    )

    assert (str(brings), "") == (output.strip(), complaints)


def test_our_own_names_are_reserved() -> None:
    """Nobody's counter can be taken for one of ours."""
    assert all(each.name.startswith("prefect_sdk_") for each in ALL)
