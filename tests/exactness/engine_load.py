"""Load by Prefect's own engine, so that task runs come by the websocket that real ones come by.

A program of its own: ``python -m exactness.engine_load FOLDER``; ends once ``stop`` is there.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path

from prefect import flow, task
from prefect.cache_policies import INPUTS

STOP = "stop"


@task
def load(rows: int) -> int:
    """Pretend to load so many rows."""
    time.sleep(rows / 1000)
    return rows


@task(cache_policy=INPUTS, persist_result=True)
def lookup(key: str) -> str:
    """Be computed once, and then come from the cache."""
    return key.upper()


@task(retries=2, retry_delay_seconds=0.2)
def fetch(attempts: list[int]) -> None:
    """Succeed at the second attempt."""
    attempts.append(1)
    if len(attempts) == 1:
        raise ConnectionError("the upstream did not answer")


@task
def broken() -> None:
    """Fail."""
    raise ValueError("the numbers do not add up")


@flow(name="engine-steady")
def steady() -> None:
    """Map a task, look up, and try again."""
    load.map([10, 20, 30]).wait()
    lookup("customer")
    fetch([])


@flow(name="engine-part")
def part(number: int) -> int:
    """Be a subflow."""
    return load(number)


@flow(name="engine-parent")
def parent() -> None:
    """Run two subflows inline."""
    part(10)
    part(20)


@flow(name="engine-failing")
def failing() -> None:
    """Fail with a failed task."""
    load(10)
    broken()


_failed_before = False


@flow(name="engine-flaky", retries=1, retry_delay_seconds=0)
def flaky() -> None:
    """Fail at the first attempt, after a task that the second one runs again."""
    global _failed_before  # noqa: PLW0603  # the attempts share nothing else
    load(10)
    _failed_before = not _failed_before
    if _failed_before:
        raise ConnectionError("the connection broke")


@flow(name="engine-crashing")
def crashing() -> None:
    """End as on Ctrl-C, in the middle of a task."""
    interrupted()


@task
def interrupted() -> None:
    """Be interrupted."""
    raise KeyboardInterrupt


@flow(name="engine-slow", timeout_seconds=0.5)
def slow() -> None:
    """Take longer than is allowed."""
    for _ in range(20):
        time.sleep(0.1)


ROUND: tuple[Callable[[], object], ...] = (
    steady,
    parent,
    failing,
    flaky,
    crashing,
    slow,
)
"""What is run, in turn."""


def main() -> None:
    """Run one flow after the other, whatever becomes of it."""
    stop = Path(sys.argv[1]) / STOP
    for run in itertools.cycle(ROUND):
        if stop.exists():
            return
        try:
            run()
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # bad ends are its purpose
            print(type(error).__name__, flush=True)
        time.sleep(0.2)


if __name__ == "__main__":
    main()
