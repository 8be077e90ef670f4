"""What type checkers make of decorated things; never run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import Any, assert_type

from prefect import Flow, Task, flow, task

from prefect_instrumentation import (
    Trace,
    annotate,
    counter,
    current_trace,
    measured,
    record_io,
    register_circuit_breaker,
    register_dead_letters,
    timer,
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


@measured
def measured_function(day: str) -> int:
    """Measured function."""
    return len(day)


@timer("loads", labels={"table": "orders"})
async def timed_function(day: str) -> int:
    """Timed coroutine function."""
    return len(day)


@measured
@task
def measured_task(day: str, /) -> int:
    """Decorator above `@task`."""
    return len(day)


@flow
@measured
def measured_flow(day: str, /) -> int:
    """Decorator below `@flow`."""
    return len(day)


class MeasuredShop:
    """Measured methods."""

    @measured
    def method(self, day: str) -> int:
        """Plain method."""
        return len(day)

    @measured
    @classmethod
    def of_class(cls, day: str) -> int:
        """Decorator above `classmethod`."""
        return len(day)


async def meters() -> None:
    """What is measured keeps its type, and meters take what they should."""
    assert_type(measured_function(day="monday"), int)
    assert_type(await timed_function("monday"), int)
    assert_type(measured_task, Task[[str], int])
    assert_type(measured_flow, Flow[[str], int])
    assert_type(MeasuredShop().method("monday"), int)
    assert_type(MeasuredShop.of_class("monday"), int)
    measured_function(1)  # type: ignore[arg-type]  # parameters are checked as before
    measured("loads")  # type: ignore[type-var]  # a name is no function
    orders = counter("orders", description="Orders.", unit="{order}")
    orders.add(1, shop="berlin", table=3)
    orders.add(0.5)
    orders.add("one")  # type: ignore[arg-type]  # an amount is a number
    counter("orders", "Orders.")  # type: ignore[call-arg]  # nobody could tell it from a unit
    with timer("loads"):
        pass
    end: Callable[[], None] = register_circuit_breaker("bank", lambda: "open")
    end()
    register_dead_letters("orders", lambda: 3)
    register_dead_letters("orders", 3)  # type: ignore[arg-type]  # it is asked again and again
