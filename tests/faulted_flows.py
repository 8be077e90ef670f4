"""Flows for processes whose collector fails: `python -m faulted_flows CASE`.

Each case prints, as its last line, the clock's seconds when its own code was done.
"""

# ruff: noqa: D103 - the names say it

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
import time
import weakref
from collections.abc import Callable

if os.environ.get("TRACED_BY") == "setup":
    from prefect_instrumentation import setup

    setup()

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from prefect_instrumentation import traced


@task
def step(value: int) -> int:
    return value


@task
def long_step() -> None:
    print("begun", flush=True)
    time.sleep(120)


@traced
def piece(name: str) -> None:
    print(name, flush=True)


@flow
def works() -> int:
    return step(1) + step(2)


@flow
def waits() -> int:
    """Go on when told so."""
    first = step(1)
    print("begun", flush=True)
    input()
    return first + step(2)


@flow
def sleeps() -> None:
    long_step()


@flow
def leaves() -> None:
    step(1)
    done()
    sys.exit(3)


@flow
def fails() -> None:
    step(1)
    done()
    raise ValueError("no such customer")


@flow
def forks() -> int:
    """Have a child that does a piece of work, and ends at once."""
    child = os.fork()
    if child == 0:
        piece("forked")
        os._exit(0)
    os.waitpid(child, 0)
    return step(1)


@task
def has_children() -> list[int | None]:
    codes = []
    for context in (multiprocessing.get_context("spawn"), multiprocessing.get_context("fork")):
        method = context.get_start_method()
        child = context.Process(target=piece, args=(method,))
        child.start()
        child.join()
        codes.append(child.exitcode)
    return codes


@flow
def multiplies() -> list[int | None]:
    return has_children()


class Parameter:
    """Something large."""


@task(cache_policy=NO_CACHE)
def takes(value: Parameter) -> None:
    """Let go of it."""


def forgets() -> int:
    """Count the parameters that outlive their run, though nobody needs them.

    In a flow Prefect itself keeps them until a garbage collection.
    """
    gc.disable()
    references = []
    for _ in range(20):
        parameter = Parameter()
        references.append(weakref.ref(parameter))
        takes(parameter)
        del parameter
    return sum(reference() is not None for reference in references)


def done() -> None:
    """Tell when."""
    print(time.monotonic(), flush=True)


CASES: dict[str, Callable[[], object]] = {
    each.fn.__name__: each for each in (works, waits, sleeps, leaves, fails, forks, multiplies)
}
CASES["forgets"] = forgets

if __name__ == "__main__":
    print(CASES[sys.argv[1]]())
    done()
