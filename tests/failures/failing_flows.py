"""Flows that fail in all ways, run by `python -m failures.failing_flows CASE ...`.

What each raises is read in its span, and in the logs of Prefect's API.
"""

# ruff: noqa: D103 - the name of a flow is that of its case

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx
from prefect import flow, task
from prefect.states import Failed

ORDERS: dict[str, int] = {}


class Refused(Exception):
    """The shop's own error."""


def check(order: int) -> None:
    if order:
        raise Refused(f"order {order} is refused\nline two: no\n  File of order {order}")


@flow
def plain() -> None:
    check(7)


@task
def load() -> None:
    check(8)


@flow
def of_a_task() -> None:
    load()


@flow
def of_a_submitted_task() -> None:
    load.submit().result()


@task(retries=1)
def flaky() -> None:
    check(9)


@flow(retries=1)
def retried() -> None:
    flaky()


@flow
def with_a_cause() -> None:
    try:
        json.loads("{")
    except ValueError as error:
        raise LookupError("the orders are no JSON") from error


@flow
def in_a_handler() -> None:
    try:
        ORDERS["orders"]
    except KeyError:
        check(10)


def deep(depth: int) -> None:
    if depth:
        deep(depth - 1)
    check(11)


@flow
def recursive() -> None:
    deep(30)


def _raised(error: Exception) -> Exception:
    try:
        raise error  # noqa: TRY301 - it gets a traceback by that
    except Exception as raised:  # noqa: BLE001 - whichever it is
        return raised


@flow
def grouped() -> None:
    inner = ExceptionGroup("inner", [_raised(ValueError("a\nb")), _raised(KeyError("c"))])
    try:
        check(12)
    except Refused as error:
        raise ExceptionGroup("some failed", [error, inner]) from error


@flow
def of_bad_code() -> None:
    compile("x = = 1", "made.py", "exec")


@flow
def of_a_client() -> None:
    httpx.get("http://127.0.0.1:9/")


@flow(timeout_seconds=0.5)
def too_slow() -> None:
    time.sleep(3)


@flow
def returned() -> Any:  # noqa: ANN401 - a state of Prefect's
    return Failed(message="the shop is closed")


@task
async def fetch(order: int) -> None:
    await asyncio.sleep(0)
    check(order)


@flow
async def asynchronous() -> None:
    await asyncio.gather(fetch(13), fetch(14))


@flow
async def in_a_task_group() -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fetch(15))
        tasks.create_task(fetch(16))


@flow
def child() -> None:
    check(17)


@flow
def of_a_subflow() -> None:
    child()


@flow
def of_a_variable() -> None:
    os.environ["SHOP_TOKEN_FILE"]


@flow
def of_parameters(day: int) -> None:
    print(day)


@flow
def hidden_cause() -> None:
    try:
        ORDERS["orders"]
    except KeyError:
        raise Refused("") from None


@flow
def exits() -> None:
    sys.exit(3)


@flow
def noted() -> None:
    error = ValueError("bad orders")
    error.add_note("seen in the shop")
    error.add_note('  File "/srv/fake.py", line 1, in fake')
    raise error


@flow
def interrupted() -> None:
    raise KeyboardInterrupt


CASES: dict[str, Callable[[], object]] = {
    "plain": plain,
    "of-a-task": of_a_task,
    "of-a-submitted-task": of_a_submitted_task,
    "retried": retried,
    "with-a-cause": with_a_cause,
    "in-a-handler": in_a_handler,
    "recursive": recursive,
    "grouped": grouped,
    "of-bad-code": of_bad_code,
    "of-a-client": of_a_client,
    "of-a-subflow": of_a_subflow,
    "of-a-variable": of_a_variable,
    "hidden-cause": hidden_cause,
    "noted": noted,
    "asynchronous": lambda: asyncio.run(asynchronous()),
    "in-a-task-group": lambda: asyncio.run(in_a_task_group()),
    "exits": exits,
    "interrupted": interrupted,
    "too-slow": too_slow,
    "returned": returned,
    "of-parameters": lambda: of_parameters(day="monday"),  # type: ignore[call-overload]  # what fails
}


def main(names: list[str]) -> None:
    """Run the cases that are named, or all."""
    for name in names or list(CASES):
        try:
            CASES[name]()
        except BaseException as error:  # noqa: BLE001 - whatever a case raises is what it is for
            print(f"{name} raised {type(error).__name__}", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
