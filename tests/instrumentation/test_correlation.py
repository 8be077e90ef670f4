"""The correlation id: what is accepted from outside, and which context has which."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage, propagate
from prefect import flow

from exporting import run
from prefect_instrumentation import _correlation, copy_context, correlation


@pytest.mark.parametrize(
    "value",
    ["ord-42", "a", "A" * 128, "0af7651916cd43dd8448eb211c80319c", "urn:x/y+z=@host.example_1"],
)
def test_ordinary_ids_are_accepted_unchanged(value: str) -> None:
    """An id of letters, digits and the usual marks passes as it is."""
    assert value == _correlation.accept(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "A" * 129,
        "two words",
        "tab\t",
        "line\r\nSet-Cookie: stolen=1",
        "ord-42\n",
        "nul\x00",
        "a,b",
        "<script>",
        '"quoted"',
        "%0d%0a",
        "ärger",
        "\u0661\u0662",  # digits, but not ASCII ones
    ],
)
def test_what_could_inject_is_refused(value: str) -> None:
    """An id that is empty, too long or could end a header, a log line or a quote is refused."""
    assert _correlation.accept(value) is None


@given(st.text(max_size=200))
def test_an_accepted_id_is_printable_ascii_and_bounded(value: str) -> None:
    """Whatever comes, what is accepted is short, printable ASCII without blanks."""
    accepted = _correlation.accept(value)

    assert accepted is None or (
        accepted == value
        and 1 <= len(accepted) <= 128
        and all("!" <= character <= "~" for character in accepted)
    )


def test_a_new_id_is_made_of_the_randomness_given() -> None:
    """A new id is the 32 hex digits of a UUID, which `accept` lets pass."""
    made = _correlation.new(lambda: uuid.UUID(int=0xABC))

    assert f"{0xABC:032x}" == made == _correlation.accept(made)


def test_new_ids_differ() -> None:
    """Two new ids are not the same."""
    assert _correlation.new() != _correlation.new()


def test_bound_id_is_current_until_it_is_unbound() -> None:
    """Binding nests: each unbinding brings back what was there before."""
    assert _correlation.current() is None
    outer = _correlation.bind("outer")
    inner = _correlation.bind("inner")
    assert _correlation.current() == "inner"

    _correlation.unbind(inner)
    assert _correlation.current() == "outer"

    _correlation.unbind(outer)
    assert _correlation.current() is None


def test_concurrent_tasks_do_not_see_each_others_id() -> None:
    """Each asyncio task has its own id, and a bare thread has none."""

    async def handle(name: str) -> str | None:
        _correlation.bind(name)
        await asyncio.sleep(0)
        return _correlation.current()

    async def both() -> list[str | None]:
        return list(await asyncio.gather(handle("one"), handle("two")))

    in_thread: list[str | None] = []
    token = _correlation.bind("mine")
    thread = threading.Thread(target=lambda: in_thread.append(_correlation.current()))
    thread.start()
    thread.join()
    _correlation.unbind(token)

    assert ["one", "two"] == asyncio.run(both())
    assert [None] == in_thread


def test_correlation_is_current_inside_and_gone_after() -> None:
    """The manager's value is the id; inside, it is this context's and in baggage; then no more."""
    with correlation("ord-42") as given:
        inside = _correlation.current(), baggage.get_baggage("correlation_id")

    assert ("ord-42", ("ord-42", "ord-42")) == (given, inside)
    assert (None, None) == (_correlation.current(), baggage.get_baggage("correlation_id"))


def test_correlations_nest_also_of_one_manager() -> None:
    """The inner id is current inside; a manager that is entered again keeps its id."""
    outer = correlation()
    with outer as first, correlation("inner"):
        assert "inner" == _correlation.current()
        with outer as again:
            assert first == again == _correlation.current()
        assert "inner" == _correlation.current()

    assert _correlation.current() is None


def test_leaving_in_another_context_is_harmless(caplog: pytest.LogCaptureFixture) -> None:
    """As a generator does whose steps run in copies of a context: nobody is disturbed."""

    def dependency() -> Iterator[None]:
        with correlation("ord-42"):
            yield

    steps = dependency()
    contextvars.copy_context().run(next, steps)
    left = contextvars.copy_context().run(next, steps, "left")

    assert ("left", [], None) == (left, caplog.messages, _correlation.current())


@pytest.mark.parametrize("value", ["two words", "", "A" * 129, "line\n"])
def test_bad_id_is_replaced_and_never_reaches_a_log(
    value: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In place of an id that could do harm a new one is used, and none of it is logged."""
    with correlation(value) as given:
        pass

    assert _correlation.accept(given)
    assert not value or value not in caplog.text


def test_bad_id_is_told_of_once() -> None:
    """One line says what an id may be, however many are none; to want a new one is not bad."""
    process = run(
        """
        import sys
        with correlation():
            print("so far", file=sys.stderr)
        for value in ("two words", "line\\n"):
            with correlation(value):
                pass
        """,
        prelude="from prefect_instrumentation import correlation\n",
    )
    before, told = process.complaints

    assert "so far" == before
    assert told.startswith("correlation() takes 1 to 128 ASCII letters, digits and ._:/+=@-")


def test_id_ends_with_an_exception() -> None:
    """What is raised inside passes, and the id is gone."""
    with pytest.raises(KeyError), correlation("ord-42"):
        raise KeyError

    assert _correlation.current() is None


def plain() -> list[str | None]:
    """Return the current id."""
    return [_correlation.current()]


async def asynchronous() -> list[str | None]:
    """Return the current id before and after a pause."""
    before = _correlation.current()
    await asyncio.sleep(0)
    return [before, _correlation.current()]


def generator() -> Iterator[str | None]:
    """Yield the current id twice."""
    yield _correlation.current()
    yield _correlation.current()


async def async_generator() -> AsyncIterator[str | None]:
    """Yield the current id twice."""
    yield _correlation.current()
    await asyncio.sleep(0)
    yield _correlation.current()


class Shop:
    """Has a method."""

    def method(self) -> list[str | None]:
        """Return the current id."""
        return plain()


def ids_of(function: Callable[[], object]) -> list[object]:
    """Call a function of any kind; return what it saw, its consumer's own id in between."""
    made = function()
    if inspect.isasyncgen(made):

        async def consume() -> list[object]:
            return [each async for item in made for each in (item, _correlation.current())]

        return asyncio.run(consume())
    if inspect.iscoroutine(made):
        return list(asyncio.run(made))
    if inspect.isgenerator(made):
        return [each for item in made for each in (item, _correlation.current())]
    assert isinstance(made, list)
    return made


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (plain, ["ord-42"]),
        (asynchronous, ["ord-42", "ord-42"]),
        (generator, ["ord-42", None, "ord-42", None]),
        (async_generator, ["ord-42", None, "ord-42", None]),
        (Shop().method, ["ord-42"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_decorated_function_keeps_its_kind_and_has_the_id(
    function: Callable[[], object], expected: list[str | None]
) -> None:
    """Functions of each kind run with the id; the consumer of a generator does not."""
    decorated = correlation("ord-42")(function)

    assert expected == ids_of(decorated)
    assert [inspect.iscoroutinefunction(function), inspect.isgeneratorfunction(function)] == [
        inspect.iscoroutinefunction(decorated),
        inspect.isgeneratorfunction(decorated),
    ]


def test_each_call_has_a_new_id_where_none_is_named() -> None:
    """Two calls have two ids, and all steps of one generator the same."""
    decorated = correlation()(generator)

    first, second = (list(decorated()) for _ in range(2))

    assert first[0] == first[1] != second[0] == second[1]


def test_decorating_a_flow_says_where_to_put_it() -> None:
    """A flow is no function: one line says what to do instead."""
    with pytest.raises(TypeError, match=r"put it below @flow or @task, or write `with correlat"):
        correlation("ord-42")(flow(plain))


def test_thread_has_the_context_that_was_copied() -> None:
    """A bare thread knows the id by `copy_context`, whenever it starts; without it, it does not."""
    seen: list[object] = []
    with correlation("ord-42"):
        with_context = copy_context(lambda: seen.append(_correlation.current()))
    without = lambda: seen.append(_correlation.current())  # noqa: E731 - as above

    for target in (with_context, with_context, without):
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()

    assert ["ord-42", "ord-42", None] == seen


def test_copied_context_is_for_many_threads_at_once() -> None:
    """A function that several threads call at the same time runs in each."""
    together = threading.Barrier(3, timeout=10)
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)
    seen: list[tuple[int, str | None]] = []

    def work(number: int) -> None:
        variable.set(number)
        together.wait()
        seen.append((variable.get(), _correlation.current()))

    with correlation("ord-42"):
        copied = copy_context(work)
    threads = [threading.Thread(target=copied, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [(number, "ord-42") for number in range(3)] == sorted(seen)


def test_request_carries_the_id_as_baggage() -> None:
    """What OpenTelemetry's instrumentations inject into a request has the id."""
    headers: dict[str, str] = {}
    with correlation("ord-42"):
        propagate.inject(headers)

    assert "correlation_id=ord-42" == httpx.Headers(headers)["baggage"]
