"""Traced generators behave as untraced ones, and their spans stay within their bodies."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from prefect_instrumentation import current_trace, traced
from traces import Refused, attributes, current_span_id, names, only, span_id


def test_generator_span_is_current_in_its_body_alone(spans: InMemorySpanExporter) -> None:
    """The consumer's span is current between yields, and one span covers all steps."""

    @traced
    def pages() -> Generator[str, None, str]:
        yield current_span_id()
        yield current_span_id()
        return current_span_id()

    steps = pages()
    seen = []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as stop:
            seen.append(stop.value)
            break
        assert current_trace() is None
        assert [] == names(spans)

    assert [span_id(only(spans))] * 3 == seen


def test_async_generator_span_is_current_in_its_body_alone(spans: InMemorySpanExporter) -> None:
    """The same holds for an asynchronous one."""

    @traced
    async def pages() -> AsyncGenerator[str, None]:
        yield current_span_id()
        await asyncio.sleep(0)
        yield current_span_id()

    async def consume() -> list[str]:
        seen = []
        async for item in pages():
            seen.append(item)
            assert current_trace() is None
            assert [] == names(spans)
        return seen

    seen = asyncio.run(consume())

    assert [span_id(only(spans))] * 2 == seen


@pytest.mark.parametrize("how", ["close", "collect"])
def test_abandoned_generator_ends(spans: InMemorySpanExporter, how: str) -> None:
    """A generator that is closed or forgotten ends its span once, without an error."""

    @traced
    def pages() -> Generator[int, None, None]:
        yield 1

    steps = pages()
    next(steps)
    if how == "close":
        steps.close()
    del steps
    gc.collect()

    assert StatusCode.UNSET == only(spans).status.status_code


def test_generator_that_is_never_started_has_no_span(spans: InMemorySpanExporter) -> None:
    """There is no span where nothing ran."""

    @traced
    def pages() -> Generator[int, None, None]:
        yield 1

    pages().close()

    assert [] == names(spans)


def test_abandoned_async_generator_ends(
    spans: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """The event loop closes a forgotten generator, whose span ends and whose clean-up runs once."""
    cleaned = []

    @traced
    async def pages() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            cleaned.append(current_span_id())

    async def forget() -> AsyncGenerator[int, None]:
        steps = pages()
        await anext(steps)
        return steps

    asyncio.run(forget())

    assert StatusCode.UNSET == only(spans).status.status_code
    assert [span_id(only(spans))] == cleaned
    assert [] == caplog.records


def test_generator_keeps_what_its_body_makes_current(spans: InMemorySpanExporter) -> None:
    """A span that the body opens around a yield is current when it goes on, and not outside."""
    tracer = trace.get_tracer("user")

    @traced(name="pages")
    def pages() -> Generator[str, None, None]:
        with tracer.start_as_current_span("inner"):
            yield current_span_id()
            yield current_span_id()
        yield current_span_id()

    steps = pages()
    inner, again = next(steps), next(steps)
    outside = current_trace()
    outer = next(steps)
    steps.close()
    by_name = {span.name: span_id(span) for span in spans.get_finished_spans()}

    assert outside is None
    assert {"inner": inner, "pages": outer} == by_name
    assert inner == again


def test_generator_may_change_threads(
    spans: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """Steps in different contexts work, as Prefect's threads may take them."""

    @traced
    def pages() -> Generator[str, None, None]:
        yield current_span_id()
        yield current_span_id()

    steps = pages()
    seen = [contextvars.Context().run(next, steps) for _ in range(2)]
    steps.close()

    assert [span_id(only(spans))] * 2 == seen
    assert [] == caplog.records


class Table:
    """Something large that counts how many there are."""

    alive = 0

    def __init__(self) -> None:
        Table.alive += 1

    def __del__(self) -> None:
        Table.alive -= 1


def test_generator_lets_go_of_what_it_has_yielded() -> None:
    """An item is free as soon as the next is asked for, since it may be all of a table."""

    @traced
    def pages() -> Generator[int | Table, None, None]:
        yield Table()
        yield Table.alive

    steps = pages()
    next(steps)

    assert 0 == next(steps)


def test_async_generator_lets_go_of_what_it_has_yielded() -> None:
    """The same holds for an asynchronous one."""

    @traced
    async def pages() -> AsyncGenerator[int | Table, None]:
        yield Table()
        yield Table.alive

    async def consume() -> object:
        steps = pages()
        await anext(steps)
        left = await anext(steps)
        await steps.aclose()
        return left

    assert 0 == asyncio.run(consume())


def test_generator_lets_go_of_errors() -> None:
    """An error is free when it has been handled, without a collection of cycles."""

    @traced
    def pages() -> Generator[int, None, None]:
        yield 1

    def throw() -> weakref.ref[Refused]:
        steps = pages()
        next(steps)
        try:
            steps.throw(Refused())
        except Refused as error:
            return weakref.ref(error)
        raise AssertionError

    gc.disable()
    try:
        error = throw()()
    finally:
        gc.enable()

    assert error is None


def test_error_of_generator_is_told_once(spans: InMemorySpanExporter) -> None:
    """What the body handles is no error of its span; what leaves the body is one."""

    @traced
    def pages() -> Generator[int, None, None]:
        with suppress(LookupError):
            yield 1
        yield 2
        raise Refused

    steps = pages()
    next(steps)
    steps.throw(LookupError())
    with pytest.raises(Refused):
        next(steps)
    span = only(spans)

    assert StatusCode.ERROR == span.status.status_code
    assert ["exception"] == [event.name for event in span.events]
    assert f"{Refused.__module__}.Refused" == attributes(span)["error.type"]


ON_VALUE = ("go", "return", "raise")
ON_ERROR = ("swallow", "forget", "reraise", "replace", "return")
CALLS = ("next", "send", "error", "stop", "exit", "close")

bodies = st.lists(st.tuples(st.sampled_from(ON_VALUE), st.sampled_from(ON_ERROR)), max_size=5)

consumers = st.lists(st.sampled_from(CALLS), max_size=7).map(lambda calls: [*calls, "close"])


def react(reaction: str, error: BaseException) -> None:
    """Do what a body does about what is thrown into it."""
    match reaction:
        case "reraise":
            raise error
        case "replace":
            raise LookupError("instead")


def scripted(
    body: list[tuple[str, str]], log: list[object]
) -> Callable[[], Generator[object, object, str]]:
    """Return a generator function that follows a script and logs what comes in."""

    def generator() -> Generator[object, object, str]:
        for number, (on_value, on_error) in enumerate(body):
            failed = False
            try:
                log.append((yield number))
            except GeneratorExit:
                log.append(GeneratorExit)
                if on_error == "return":
                    return "closed"
                raise
            except Exception as error:  # noqa: BLE001 - all kinds are thrown in
                log.append(type(error))
                failed = True
                react(on_error, error)
            if failed and on_error == "return":
                return "early"
            if on_value == "return":
                return "done"
            if on_value == "raise":
                raise Refused(number)
        return "end"

    return generator


def async_scripted(
    body: list[tuple[str, str]], log: list[object]
) -> Callable[[], AsyncGenerator[object, object]]:
    """Return the same as an asynchronous generator function."""

    async def generator() -> AsyncGenerator[object, object]:
        for number, (on_value, on_error) in enumerate(body):
            failed = False
            try:
                log.append((yield number))
            except GeneratorExit:
                log.append(GeneratorExit)
                if on_error == "return":
                    return
                raise
            except Exception as error:  # noqa: BLE001 - all kinds are thrown in
                log.append(type(error))
                failed = True
                react(on_error, error)
            if failed and on_error == "return":
                return
            if on_value == "return":
                return
            if on_value == "raise":
                raise Refused(number)
            await asyncio.sleep(0)

    return generator


THROWN: Mapping[str, Callable[[], BaseException]] = {
    "error": lambda: ValueError("thrown"),
    "stop": lambda: StopIteration("thrown"),
    "exit": GeneratorExit,
}


def chain(error: BaseException | None) -> list[object]:
    """Return an error and what it came from, as far as it goes."""
    found: list[object] = []
    while error is not None:
        found.append((type(error), str(error), error.__suppress_context__))
        error = error.__cause__ or error.__context__
    return found


def consume(generator: Generator[object, object, object], calls: list[str]) -> list[object]:
    """Return what each call on a generator answers."""
    answers: list[object] = []
    for call in calls:
        try:
            match call:
                case "next":
                    answers.append(next(generator))
                case "send":
                    answers.append(generator.send("sent"))
                case "close":
                    generator.close()
                case _:
                    answers.append(generator.throw(THROWN[call]()))
        except BaseException as error:  # noqa: BLE001 - whatever it is, it has to be the same
            answers.append([*chain(error), getattr(error, "value", None)])
    return answers


async def async_consume(
    generator: AsyncGenerator[object, object], calls: list[str]
) -> list[object]:
    """Return what each call on an asynchronous generator answers."""
    answers: list[object] = []
    for call in calls:
        try:
            match call:
                case "next":
                    answers.append(await anext(generator))
                case "send":
                    answers.append(await generator.asend("sent"))
                case "close":
                    await generator.aclose()
                case _:
                    answers.append(await generator.athrow(THROWN[call]()))
        except BaseException as error:  # noqa: BLE001 - as above
            answers.append(chain(error))
    return answers


@given(body=bodies, calls=consumers)
def test_generator_behaves_as_untraced(body: list[tuple[str, str]], calls: list[str]) -> None:
    """Whatever is sent and thrown, body and consumer see what they would without a span."""
    log: list[object] = []
    traced_log: list[object] = []

    expected = consume(scripted(body, log)(), calls)
    actual = consume(traced(scripted(body, traced_log))(), calls)

    assert expected == actual
    assert log == traced_log


@given(body=bodies, calls=consumers)
def test_async_generator_behaves_as_untraced(body: list[tuple[str, str]], calls: list[str]) -> None:
    """The same holds for an asynchronous one."""
    log: list[object] = []
    traced_log: list[object] = []

    expected = asyncio.run(async_consume(async_scripted(body, log)(), calls))
    actual = asyncio.run(async_consume(traced(async_scripted(body, traced_log))(), calls))

    assert expected == actual
    assert log == traced_log
