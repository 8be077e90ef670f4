"""Which calls and runs have spans, and that decorated functions stay what they are."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import traceback
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from typing import Any

import cloudpickle  # type: ignore[import-untyped]  # it has no stubs
import pytest
from opentelemetry import baggage, trace
from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from prefect import flow, task

from prefect_instrumentation import correlation
from prefect_instrumentation._calls import running
from prefect_instrumentation._spec import spec_of
from prefect_instrumentation._traced import current_trace, traced
from traces import (
    Hostile,
    Refused,
    attributes,
    context_of,
    current_span_id,
    names,
    only,
    printed,
    span_id,
)

WITHOUT_SDK = """
import sys
from prefect_instrumentation._traced import annotate, current_trace, record_io, traced

@traced(record=("day",))
def load(day):
    record_io(records=1, source="s3://raw")
    annotate(team="sales")
    return current_trace()

loaded = {name for name in sys.modules if name.partition(".")[0] == "prefect" or ".sdk" in name}
print(load("monday"), loaded)
"""

UNPICKLED = """
import sys, pickle
with open(sys.argv[1], "rb") as file:
    load, pages = pickle.load(file)
print(load("monday"), list(pages("monday")))
"""


def test_call_has_the_correlation_id_of_its_context(spans: InMemorySpanExporter) -> None:
    """A traced function's span has the id that its log lines have, and none where there is none."""

    @traced
    def load() -> None:
        """Load nothing."""

    with correlation("ord-42"):
        load()
    load()

    expected = ["ord-42", None]
    assert expected == [
        attributes(span).get("correlation_id") for span in spans.get_finished_spans()
    ]


def test_call_has_span(spans: InMemorySpanExporter) -> None:
    """A call's span is current in the function, is named after it, and has what was said."""

    @traced(attributes={"team": "sales"}, source="s3://raw", destination="table://orders")
    def load(day: str) -> str:
        return day + current_span_id()

    answer = load("monday")
    span = only(spans)

    assert "monday" + span_id(span) == answer
    assert load.__qualname__ == span.name
    assert SpanKind.INTERNAL == span.kind
    assert StatusCode.UNSET == span.status.status_code
    assert {
        "team": "sales",
        "prefect.source": "s3://raw",
        "prefect.destination": "table://orders",
        "code.function.name": f"{__name__}.{load.__qualname__}",
    } == attributes(span)


def test_baggage_reaches_the_function() -> None:
    """What is current around a call, such as baggage, is so inside."""

    @traced
    def load() -> object:
        return baggage.get_baggage("tenant")

    token = otel_context.attach(baggage.set_baggage("tenant", "acme"))
    try:
        found = load()
    finally:
        otel_context.detach(token)

    assert "acme" == found


def test_call_nests(spans: InMemorySpanExporter) -> None:
    """A traced function that another calls has a child span, and nothing is current afterwards."""

    @traced(name="inner")
    def inner() -> None:
        pass

    @traced(name="outer")
    def outer() -> None:
        inner()

    outer()
    child, parent = spans.get_finished_spans()

    assert ["inner", "outer"] == [child.name, parent.name]
    assert child.parent
    assert context_of(parent).span_id == child.parent.span_id
    assert current_trace() is None


def test_error_passes_unchanged(spans: InMemorySpanExporter) -> None:
    """The user's error arrives as the same object without a context; the span tells of it once."""
    error = Refused("no such day")

    @traced
    def load() -> None:
        raise error

    with pytest.raises(Refused) as raised:
        load()
    span = only(spans)
    (event,) = span.events

    assert raised.value is error
    assert None is error.__context__
    assert None is error.__cause__
    assert StatusCode.ERROR == span.status.status_code
    assert "no such day" == span.status.description
    assert f"{Refused.__module__}.Refused" == attributes(span)["error.type"]
    assert "user_code" == attributes(span)["prefect.error.category"]
    assert "exception" == event.name
    assert "no such day" == (event.attributes or {})["exception.message"]


def test_hostile_error_is_told(spans: InMemorySpanExporter) -> None:
    """An error without a text passes, and its span says its type."""

    class Mute(Hostile, Exception):
        pass

    error = Mute()

    @traced
    def load() -> None:
        raise error

    with pytest.raises(Mute) as raised:
        load()

    assert raised.value is error
    assert StatusCode.ERROR == only(spans).status.status_code
    assert "Mute" in str(attributes(only(spans))["error.type"])


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), asyncio.CancelledError()])
def test_interruption_is_an_error(spans: InMemorySpanExporter, error: BaseException) -> None:
    """What ends a call from outside passes, and the span says so."""

    @traced
    def load() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        load()

    assert raised.value is error
    assert StatusCode.ERROR == only(spans).status.status_code


def test_stop_iteration_is_no_error(spans: InMemorySpanExporter) -> None:
    """The end of an iteration is an answer, not a failure."""

    @traced
    def following() -> str:
        return next(iter(()))

    with pytest.raises(StopIteration):
        following()

    assert StatusCode.UNSET == only(spans).status.status_code
    assert () == only(spans).events


def test_async_call_has_span(spans: InMemorySpanExporter) -> None:
    """A span covers the awaiting, and concurrent calls do not see each other's."""

    @traced
    async def load(day: str) -> tuple[str, str, str]:
        before = current_span_id()
        await asyncio.sleep(0)
        return day, before, current_span_id()

    async def both() -> tuple[tuple[str, str, str], ...]:
        return await asyncio.gather(load("monday"), load("tuesday"))

    seen = asyncio.run(both())
    first, second = (span_id(span) for span in spans.get_finished_spans())

    assert [("monday", first, first), ("tuesday", second, second)] == list(seen)
    assert first != second


def test_cancelled_call_ends(spans: InMemorySpanExporter) -> None:
    """A cancelled coroutine's span ends, as cancelled."""

    @traced
    async def wait() -> None:
        await asyncio.Event().wait()

    async def cancel() -> None:
        waiting = asyncio.ensure_future(wait())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(cancel())

    assert "cancelled" == attributes(only(spans))["prefect.error.category"]


def test_coroutine_that_is_never_awaited_has_no_span(spans: InMemorySpanExporter) -> None:
    """There is no span where nothing ran."""

    @traced
    async def load() -> None:
        pass

    load().close()

    assert [] == names(spans)


def in_run(function: Callable[..., object], call: Callable[[], object]) -> object:
    """Return what a call answers within the run of a function."""

    def run() -> object:
        running.set(function)
        return call()

    return contextvars.copy_context().run(run)


def test_run_of_traced_function_has_no_second_span(spans: InMemorySpanExporter) -> None:
    """An engine's call of its run's function makes no span, whatever its kind."""

    @traced
    def plain() -> int:
        return 1

    @traced
    async def asynchronous() -> int:
        return 1

    @traced
    def generator() -> Generator[int, None, None]:
        yield 1

    @traced
    async def async_generator() -> AsyncGenerator[int, None]:
        yield 1

    async def first() -> int:
        return await anext(async_generator())

    assert 1 == in_run(plain, plain)
    assert 1 == in_run(asynchronous, lambda: asyncio.run(asynchronous()))
    assert [1] == in_run(generator, lambda: list(generator()))
    assert 1 == in_run(async_generator, lambda: asyncio.run(first()))
    assert [] == names(spans)


def test_decorator_in_between_makes_no_second_span(spans: InMemorySpanExporter) -> None:
    """The run is recognised where another decorator of the user's stands around `@traced`."""

    @traced
    def load() -> int:
        return 1

    @functools.wraps(load)
    def around() -> int:
        return load()

    assert 1 == in_run(around, around)
    assert [] == names(spans)


def test_other_function_in_run_has_span(spans: InMemorySpanExporter) -> None:
    """A helper has a span in a run, also one with the very same decorator as the run's function."""
    same = traced(name="same")

    @same
    def load() -> int:
        return 1

    @same
    def helper() -> int:
        return 2

    assert 2 == in_run(load, helper)
    assert 2 == in_run(test_other_function_in_run_has_span, helper)
    assert ["same", "same"] == names(spans)


# Decorated things


def plain_function(day: str = "monday") -> str:
    """Be decorated."""
    return day


async def async_function(day: str = "monday") -> str:
    """Be decorated."""
    return day


def generator_function(day: str = "monday") -> Generator[str, None, None]:
    """Be decorated."""
    yield day


async def async_generator_function(day: str = "monday") -> AsyncGenerator[str, None]:
    """Be decorated."""
    yield day


FUNCTIONS = [plain_function, async_function, generator_function, async_generator_function]

every_kind = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda each: each.__name__)


def kind(function: Callable[..., object]) -> tuple[object, ...]:
    """Return all that Prefect looks at in a function."""
    return (
        inspect.iscoroutinefunction(function),
        inspect.isgeneratorfunction(function),
        inspect.isasyncgenfunction(function),
        inspect.signature(function),
        inspect.getsource(function),
        inspect.getfile(function),
        inspect.getdoc(function),
        function.__name__,
        function.__qualname__,
        function.__module__,
    )


@every_kind
def test_wrapper_is_of_the_same_kind(function: Callable[..., object]) -> None:
    """Kind, signature, source, file and names stay."""
    wrapper = traced(function)

    assert wrapper is not function
    assert kind(function) == kind(wrapper)
    assert spec_of(function) is None


@every_kind
@pytest.mark.parametrize("decorate", [flow, task], ids=["flow", "task"])
def test_prefect_sees_the_same_below(
    decorate: Callable[..., Any], function: Callable[..., object]
) -> None:
    """Below `@flow` and `@task`, both are what they would be, and their function has the spec."""
    bare, decorated = decorate(function), decorate(traced(source="s3://raw")(function))
    spec = spec_of(decorated.fn)

    assert type(bare) is type(decorated)
    assert (bare.name, bare.isasync, bare.isgenerator, bare.description) == (
        decorated.name,
        decorated.isasync,
        decorated.isgenerator,
        decorated.description,
    )
    assert getattr(bare, "parameters", None) == getattr(decorated, "parameters", None)
    assert getattr(bare, "version", None) == getattr(decorated, "version", None)
    assert spec
    assert "s3://raw" == spec.source
    assert spec_of(decorated.with_options(name="other").fn) is spec


def made(source: str, line: int = 1) -> Callable[..., Any]:
    """Return the function `load` that a file of this source has from a line on."""
    scope: dict[str, Any] = {"traced": traced}
    exec(compile("\n" * line + source, "flows.py", "exec"), scope)  # noqa: S102 - it is ours
    load: Callable[..., Any] = scope["load"]
    return load


def test_tasks_of_one_name_keep_apart() -> None:
    """Traced tasks differ where their code does: else one would get the other's cached results."""
    source = "@traced\ndef load(day):\n    return day"

    key = task(made(source)).task_key

    assert key == task(made(source)).task_key
    assert key != task(made(source + " * 2")).task_key
    assert key != task(made(source, line=2)).task_key


def test_traceback_shows_the_decorator() -> None:
    """Between the caller and the function a traceback has one line of the user's own."""
    source = "@traced\ndef load(day):\n\n    return 1 / day"

    with pytest.raises(ZeroDivisionError) as raised:
        made(source)(0)
    _, *frames = traceback.extract_tb(raised.tb)

    assert [("flows.py", 2, "load"), ("flows.py", 5, "load")] == [
        (frame.filename, frame.lineno, frame.name) for frame in frames
    ]


@pytest.mark.parametrize("decorate", [flow, task], ids=["flow", "task"])
def test_same_object_above(decorate: Callable[..., Any]) -> None:
    """Above `@flow` and `@task` the object stays, and its function too: the run's span is its."""

    def load(day: str) -> str:
        return day

    decorated = decorate(load)
    spec = spec_of(traced(name="loads", record=("day",))(decorated).fn)

    assert traced(name="loads", record=("day",))(decorated) is decorated
    assert load is decorated.fn
    assert spec
    assert ("loads", ("day",)) == (spec.name, spec.record)


def test_last_word_is_of_the_one_above() -> None:
    """With one decorator below and one above, the run has what the upper one says."""

    @traced(name="upper")
    @task
    @traced(name="lower")
    def load() -> None:
        pass

    spec = spec_of(load.fn)

    assert spec
    assert "upper" == spec.name


def test_methods(spans: InMemorySpanExporter) -> None:
    """Methods of all kinds are bound as before, with either order of decorators."""

    class Shop:
        name = "shop"

        @traced
        def plain(self) -> str:
            return self.name

        @traced
        @classmethod
        def class_above(cls) -> str:
            return cls.name

        @classmethod
        @traced
        def class_below(cls) -> str:
            return cls.name

        @traced
        @staticmethod
        def static_above() -> str:
            return "shop"

        @staticmethod
        @traced
        def static_below() -> str:
            return "shop"

    shop = Shop()
    seen = {
        shop.plain(),
        *(shop.class_above(), Shop.class_above(), Shop.class_below()),
        *(shop.static_above(), Shop.static_above(), Shop.static_below()),
    }

    assert {"shop"} == seen
    assert 7 == len(spans.get_finished_spans())
    assert Shop.plain.__qualname__ == names(spans)[0]


def test_task_methods() -> None:
    """A task that is a method has its spec however it is bound."""

    class Shop:
        @traced(name="above")
        @task
        def above(self) -> None:
            pass

        @task
        @traced(name="below")
        def below(self) -> None:
            pass

        @task
        @traced(name="of class")
        @classmethod
        def of_class(cls) -> None:
            pass

    found = [spec_of(each.fn) for each in (Shop().above, Shop().below, Shop.of_class)]

    assert ["above", "below", "of class"] == [spec.name for spec in found if spec]


def test_task_of_bound_method() -> None:
    """A task that is made of a bound method has its spec too."""

    class Shop:
        def load(self) -> None:
            pass

    spec = spec_of(traced(name="load")(task(Shop().load)).fn)

    assert spec
    assert "load" == spec.name


def test_partial_is_traced(spans: InMemorySpanExporter) -> None:
    """What can be called and has no name of its own is called as its type."""
    assert "monday" == traced(functools.partial(plain_function, "monday"))()
    assert ["partial"] == names(spans)


@pytest.mark.parametrize("target", ["loads", 1, Refused, property(plain_function)], ids=repr)
def test_nonsense_is_refused(target: Any) -> None:  # noqa: ANN401 - types forbid it
    """What cannot be traced is said where it is decorated."""
    with pytest.raises(TypeError, match=r"^traced\(\) takes a function, flow or task, not \w+$"):
        traced(target)


@pytest.mark.parametrize("target", [plain_function, task(plain_function)], ids=["function", "task"])
def test_unknown_parameter_is_refused(target: Callable[..., object]) -> None:
    """A parameter that does not exist is said where it is decorated."""
    with pytest.raises(ValueError, match="customer") as raised:
        traced(record=("day", "customer"))(target)

    assert (
        "traced(record=...) names 'customer', which is no parameter of plain_function(day)"
        == str(raised.value)
    )


def test_traced_function_crosses_processes(tmp_path: Path) -> None:
    """A process that gets the function by cloudpickle can call it, without knowing its module."""

    @traced(name="load", attributes={"sizes": [1, 2]}, record=("day",))
    def load(day: str) -> str:
        return day

    @traced
    def pages(day: str) -> Generator[str, None, None]:
        yield day

    file = tmp_path / "functions"
    file.write_bytes(cloudpickle.dumps((load, pages)))

    assert ("monday ['monday']", "") == printed(UNPICKLED, str(file))


def test_pickled_task_is_its_runs_function(spans: InMemorySpanExporter) -> None:
    """In the other process as well a run's function has the spec, and no second span."""

    @task
    @traced(name="load", source="s3://raw")
    def load() -> int:
        return 1

    copied = cloudpickle.loads(cloudpickle.dumps(load))

    assert copied.fn is not load.fn
    assert spec_of(load.fn) == spec_of(copied.fn)
    assert 1 == in_run(copied.fn, copied.fn)
    assert [] == names(spans)
    assert 1 == copied.fn()
    assert ["load"] == names(spans)


class Failing(SpanProcessor):
    """Fails at what it is told to fail at."""

    def __init__(self) -> None:
        self.at = ""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Fail at the start."""
        if self.at == "start":
            raise Refused

    def on_end(self, span: ReadableSpan) -> None:
        """Fail at the end."""
        if self.at == "end":
            raise Refused


@pytest.fixture(scope="session", name="failing")
def _failing(_exporter: InMemorySpanExporter) -> Failing:
    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    processor = Failing()
    provider.add_span_processor(processor)
    return processor


@pytest.mark.parametrize("at", ["start", "end"])
def test_failing_telemetry_does_no_harm(failing: Failing, at: str) -> None:
    """Where spans cannot be begun or ended, functions answer and raise as before."""

    @traced
    def load(day: str) -> str:
        if not day:
            raise LookupError
        return day

    failing.at = at
    try:
        answer = load("monday")
        with pytest.raises(LookupError):
            load("")
    finally:
        failing.at = ""

    assert "monday" == answer
    assert current_trace() is None


def test_nothing_happens_without_sdk() -> None:
    """Without an SDK all is harmless and silent; neither it nor Prefect is imported."""
    assert ("None set()", "") == printed(WITHOUT_SDK)
