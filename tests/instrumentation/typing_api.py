"""What type checkers make of decorated things; never run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import Any, assert_type

from prefect import Flow, Task, flow, task

from prefect_instrumentation import (
    Trace,
    annotate,
    current_trace,
    record_io,
    traced,
)


@traced
def plain(day: str) -> int:
    """Bare decorator."""
    return len(day)


@traced(name="loads", attributes={"team": "sales", "sizes": [1, 2]}, record=("day",))
def with_options(day: str) -> int:
    """Decorator with options."""
    return len(day)


@traced
async def asynchronous(day: str) -> int:
    """Asynchronous function."""
    return len(day)


@traced(source="s3://raw")
def generator(day: str) -> Generator[int, str, bytes]:
    """Generator function."""
    yield len(day)
    return b""


@traced(destination="postgresql://shop", record=["day"])
async def asynchronous_generator(day: str) -> AsyncGenerator[int, str]:
    """Asynchronous generator function."""
    yield len(day)


class Shop:
    """Methods of all kinds."""

    @traced
    def method(self, day: str) -> int:
        """Plain method."""
        return len(day)

    @traced
    @classmethod
    def of_class_above(cls, day: str) -> int:
        """Decorator above `classmethod`."""
        return len(day)

    @classmethod
    @traced
    def of_class_below(cls, day: str) -> int:
        """Decorator below `classmethod`."""
        return len(day)

    @traced
    @staticmethod
    def static_above(day: str) -> int:
        """Decorator above `staticmethod`."""
        return len(day)

    @staticmethod
    @traced
    def static_below(day: str) -> int:
        """Decorator below `staticmethod`."""
        return len(day)


async def functions() -> None:
    """Functions keep their parameters and results."""
    assert_type(plain(day="monday"), int)
    assert_type(with_options("monday"), int)
    assert_type(await asynchronous("monday"), int)
    assert_type(generator("monday"), Generator[int, str, bytes])
    assert_type(asynchronous_generator("monday"), AsyncGenerator[int, str])
    plain(1)  # type: ignore[arg-type]  # parameters are checked as before
    with_options()  # type: ignore[call-arg]  # as above


def methods() -> None:
    """Methods keep theirs, and are bound as before."""
    shop = Shop()
    assert_type(shop.method("monday"), int)
    assert_type(Shop.of_class_above("monday"), int)
    assert_type(Shop.of_class_below("monday"), int)
    assert_type(Shop.static_above("monday"), int)
    assert_type(Shop.static_below("monday"), int)
    shop.method(1)  # type: ignore[arg-type]  # parameters are checked as before


@traced
@flow
def flow_below(day: str, /) -> int:
    """Decorator above `@flow`."""
    return len(day)


@flow(retries=1)
@traced(record=("day",))
def flow_above(day: str, /) -> int:
    """Decorator below `@flow`."""
    return len(day)


@traced(source="s3://raw")
@flow
async def async_flow_below(day: str, /) -> int:
    """Decorator above an asynchronous flow."""
    return len(day)


@traced(name="loads")
@task(retries=1)
def task_below(day: str, /) -> int:
    """Decorator above `@task`."""
    return len(day)


@task
@traced
def task_above(day: str, /) -> int:
    """Decorator below `@task`."""
    return len(day)


def runs() -> None:
    """Flows and tasks stay what they are, and so do their results."""
    assert_type(flow_below, Flow[[str], int])
    assert_type(flow_above, Flow[[str], int])
    assert_type(async_flow_below, Flow[[str], Coroutine[Any, Any, int]])
    assert_type(task_below, Task[[str], int])
    assert_type(task_above, Task[[str], int])
    assert_type(flow_below("monday"), int)
    assert_type(task_above.submit("monday").result(), int)


def decorators() -> None:
    """A decorator with options can be kept and used more than once."""
    keep: Callable[[Callable[[str], int]], Callable[[str], int]] = traced(name="loads")
    assert_type(keep(len), Callable[[str], int])
    traced("loads")  # type: ignore[call-overload]  # a name is given by its keyword
    traced(record="day")  # type: ignore[call-overload]  # one text is not a list of names


def inside() -> None:
    """What is called inside takes what it should, and nothing else."""
    record_io(records=1, bytes=2, source="s3://raw", destination="postgresql://shop")
    record_io(records=1.5)  # type: ignore[arg-type]  # records are whole
    record_io(1)  # type: ignore[call-arg]  # nobody could tell records from bytes
    annotate(customer="acme", parts=[1, 2], anything=object())
    assert_type(current_trace(), Trace | None)
