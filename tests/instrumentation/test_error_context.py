"""Facts that travel with an error, to its span and its log line."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
import traceback
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failing_child import fail_elsewhere
from prefect_instrumentation._errors.context import error_context, facts_of
from prefect_instrumentation._span_attributes import exception
from traces import Hostile


def caught(function: Callable[[], object]) -> Exception:
    """Return what a function raises."""
    with pytest.raises(Exception) as raised:  # noqa: PT011 - whichever it is
        function()
    return raised.value


def refuse(error: BaseException) -> None:
    """Raise an error from within two contexts."""
    with error_context(order=1, step="outer"), error_context(order=2):
        raise error


def test_inner_facts_win() -> None:
    """Of one name the fact nearest to the failure counts; the others add up."""
    error = caught(lambda: refuse(ValueError("no")))

    assert {"order": 2, "step": "outer"} == facts_of(error)


def test_error_itself_is_unchanged() -> None:
    """Type, arguments, text and traceback stay as they were."""
    plain = ValueError("no", 7)
    error = caught(lambda: refuse(plain))

    assert plain is error
    assert ("no", 7) == error.args
    assert "('no', 7)" == str(error)
    assert "ValueError('no', 7)" == repr(error)
    assert "order" not in "".join(traceback.format_exception_only(error))
    assert {} == {name: value for name, value in vars(error).items() if not name.startswith("__")}


def test_success_and_the_ends_of_generators_pass() -> None:
    """Nothing is done where nothing fails, not even with the values."""
    with error_context(value=Hostile()):
        pass
    with pytest.raises(StopIteration) as stop, error_context(order=1):
        raise StopIteration

    assert {} == facts_of(stop.value)


def test_facts_survive_pickling() -> None:
    """They go with the error into another process, and with a copy of it."""
    error = caught(lambda: refuse(ValueError("no")))

    assert facts_of(error) == facts_of(pickle.loads(pickle.dumps(error)))  # noqa: S301 - our own
    assert facts_of(error) == facts_of(copy.copy(error))


def test_facts_come_out_of_a_pool_of_processes() -> None:
    """What is known in a child is known where its result is asked for."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool, error_context(day="monday"):
        error = caught(lambda: pool.submit(fail_elsewhere, 7).result())

    assert {"order": 7} == facts_of(error)


def test_facts_of_causes_are_gathered() -> None:
    """The error that is told of has the facts of what caused it, and those come first."""

    def load() -> None:
        with error_context(step="load", order=1):
            try:
                refuse(KeyError())
            except KeyError as error:
                raise LookupError from error

    facts = facts_of(caught(load))

    assert {"order": 2, "step": "outer"} == facts
    assert ["order", "step"] == list(facts)


def test_facts_of_what_is_hidden_are_not_told() -> None:
    """`from None` hides an error, and so its facts."""

    def load() -> None:
        try:
            refuse(KeyError())
        except KeyError:
            raise LookupError from None

    assert {} == facts_of(caught(load))


def test_facts_of_members_are_gathered() -> None:
    """A group has its members' facts, and a member keeps those of a group that was taken apart."""
    first, second = caught(lambda: refuse(ValueError())), caught(lambda: refuse(KeyError()))

    def split() -> None:
        try:
            with error_context(batch=3):
                raise ExceptionGroup("some", [first, second])
        except* KeyError:
            pass

    assert {"order": 2, "step": "outer", "batch": 3} == facts_of(caught(split))


def test_loops_of_causes_end() -> None:
    """Errors that caused each other are read once."""
    one, other = ValueError(), KeyError()
    one.__cause__, other.__cause__ = other, one

    assert {"order": 2, "step": "outer"} == facts_of(caught(lambda: refuse(one)))


def test_facts_are_bounded() -> None:
    """At most 16 facts, names of 64 characters, texts of 256; outer ones give way."""
    many = {f"{'n' * 100}{number}": 1 for number in range(100)}

    def load() -> None:
        outer = error_context(**{f"outer{number}": "x" for number in range(100)})
        with outer, error_context(text="x" * 100_000, number=10**100, inner=1):
            raise ValueError

    def named() -> None:
        with error_context(**many):
            raise ValueError

    facts = facts_of(caught(load))

    assert 16 == len(facts)
    assert ["text", "number", "inner", "outer0"] == list(facts)[:4]
    assert 256 == len(str(facts["text"])) == len(str(facts["text"]).strip())
    assert "1" + "0" * 100 == facts["number"]
    assert ["n" * 64] == list(facts_of(caught(named)))


@given(st.dictionaries(st.text(), st.one_of(st.none(), st.floats(), st.binary(), st.integers())))
def test_facts_are_scalars(facts: dict[str, object]) -> None:
    """Whatever is given, numbers, booleans and texts come out, with valid characters."""

    def load() -> None:
        with error_context(**facts):
            raise ValueError

    found = facts_of(caught(load))

    assert {type(value) for value in found.values()} <= {bool, int, float, str}
    assert all(f"{name}{value}".encode() is not None for name, value in found.items())


def test_secrets_are_hidden() -> None:
    """A password is hidden by its name, and a URL's within a text, even where that is cut."""
    dsn = "postgresql://shop:hunter2hunter2@db/shop"

    def load() -> None:
        with error_context(password="hunter2hunter2", at=dsn, cut="x" * 225 + " " + dsn):  # noqa: S106 - none
            raise ValueError

    error = caught(load)
    told = repr(facts_of(error)) + repr(exception(error))

    assert "hunter2" not in told
    assert "[redacted]" == facts_of(error)["password"]


def test_facts_are_on_the_event_of_the_exception() -> None:
    """A span tells them by name, as what every exporter takes."""
    event = exception(caught(lambda: refuse(ValueError("no"))))

    assert 2 == event["prefect.error.context.order"]
    assert "outer" == event["prefect.error.context.step"]


@dataclass(frozen=True)
class Frozen(Exception):
    """Takes no attributes."""

    number: int


class Slotted(Exception):
    """Likewise."""

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


class Bare(Exception):
    """Hides its dictionary."""

    @property
    def __dict__(self) -> dict[str, object]:  # type: ignore[override]  # as the test wants it
        raise LookupError


@pytest.mark.parametrize(
    "error", [Frozen(1), Slotted(), Bare(), KeyboardInterrupt(), SystemExit(1)]
)
def test_errors_that_take_no_attributes_pass(error: BaseException) -> None:
    """They come out as they went in, and with their facts."""
    with pytest.raises(type(error)) as raised:
        refuse(error)

    assert error is raised.value
    assert 2 == facts_of(error)["order"]


def test_what_others_have_put_there_is_harmless() -> None:
    """An error that was unpickled may hold anything where the facts are."""
    refused = caught(lambda: refuse(ValueError()))
    (name,) = vars(refused)
    for value in (None, 7, {"a": Hostile()}, {7: 8}, {"x" * 1000: "y" * 100_000}):
        vars(refused)[name] = value

        assert len(repr(facts_of(refused))) < 1000


@error_context(kind="sync")
def plain(order: int) -> int:
    """Fail for 7."""
    if order == 7:
        raise ValueError(order)
    return order


@error_context(kind="async")
async def later(order: int) -> int:
    """Fail for 7."""
    return plain(order)


@error_context(kind="generator")
def pages(*orders: int) -> Generator[int, str, str]:
    """Fail for 7."""
    for order in orders:
        yield plain(order)
    return "done"


@error_context(kind="asynchronous generator")
async def streams(*orders: int) -> AsyncGenerator[int, None]:
    """Fail for 7."""
    for order in orders:
        yield plain(order)


def test_decorated_functions_keep_their_kind() -> None:
    """Prefect looks at what kind of function it is given."""
    assert inspect.iscoroutinefunction(later)
    assert inspect.isgeneratorfunction(pages)
    assert inspect.isasyncgenfunction(streams)
    assert "plain" == plain.__name__
    assert ["order"] == list(inspect.signature(plain).parameters)


def test_decorated_functions_do_as_before() -> None:
    """They return, yield and fail as they did, and errors have the innermost facts."""

    async def stream(*orders: int) -> list[int]:
        return [order async for order in streams(*orders)]

    assert 1 == plain(1) == asyncio.run(later(1))
    assert [1, 2] == list(pages(1, 2)) == asyncio.run(stream(1, 2))
    for call in (
        lambda: plain(7),
        lambda: asyncio.run(later(7)),
        lambda: list(pages(1, 7)),
        lambda: asyncio.run(stream(1, 7)),
    ):
        assert {"kind": "sync"} == facts_of(caught(call))


def test_generators_give_facts_to_what_their_bodies_raise() -> None:
    """Also to an error of their own, and not to what their consumer raises."""

    @error_context(kind="generator")
    def broken() -> Generator[int, None, None]:
        yield 1
        raise ValueError

    def consume() -> None:
        for _ in broken():
            raise KeyError

    assert {"kind": "generator"} == facts_of(caught(lambda: list(broken())))
    assert {} == facts_of(caught(consume))


def test_decorating_a_flow_is_refused_with_the_mend() -> None:
    """The decorator belongs below `@flow` and `@task`, and says so."""
    from prefect import flow  # noqa: PLC0415 - dear, for this test alone

    with pytest.raises(TypeError, match="below @flow"):
        error_context(order=1)(flow(plain))


def test_nothing_is_left_of_the_decorator_in_a_fingerprint() -> None:
    """A function fails as the same failure with and without it."""
    from prefect_instrumentation import _errors  # noqa: PLC0415 - the two are of one mind

    bare = inspect.unwrap(plain)

    assert _errors.fingerprint(caught(lambda: plain(7))) == _errors.fingerprint(
        caught(lambda: bare(7))
    )
