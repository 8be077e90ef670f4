"""Flows that do nothing but behave as flows do: well, badly, slowly, or not at all."""

from __future__ import annotations

import os
import random
import signal
import time

from prefect import flow, task
from prefect.deployments import run_deployment

from prefect_instrumentation import counter, record_io

_FAILS = 0.4
_REJECTED = 0.01

_ROWS = counter("demo_rows", description="Rows read, by what became of them.", unit="{row}")


@task(tags=["warehouse"])
def load(rows: int) -> int:
    """Pretend to load so many rows."""
    time.sleep(rows / 1000)
    rejected = sum(random.random() < _REJECTED for _ in range(rows))
    _ROWS.add(rejected, outcome="rejected")
    _ROWS.add(rows - rejected, outcome="accepted")
    record_io(records=rows)
    return rows


@task(retries=3, retry_delay_seconds=0.5)
def fetch() -> None:
    """Fail at two of five attempts."""
    if random.random() < _FAILS:
        raise ConnectionError("the upstream did not answer")


@flow
def steady() -> None:
    """Always succeed."""
    load(random.randint(50, 500))


@flow(retries=2, retry_delay_seconds=1)
def flaky() -> None:
    """Succeed in the end, mostly: tasks are tried again, and so is the whole flow."""
    fetch()
    if random.random() < _FAILS:
        raise ConnectionError("the connection broke")


@flow
def failing() -> None:
    """Always fail."""
    raise ValueError("the numbers do not add up")


@flow
def slow() -> None:
    """Take a while."""
    time.sleep(random.uniform(15, 30))


@flow(name="timing-out", timeout_seconds=1)
def timing_out() -> None:
    """Take longer than is allowed."""
    time.sleep(3)


@flow
def crashing() -> None:
    """End as if the machine ran out of memory."""
    os.kill(os.getpid(), signal.SIGKILL)


@flow
def part(number: int) -> int:
    """Do one part of the parent's work, within its process."""
    return load(number * 50)


@flow
def child() -> None:
    """Do the parent's work as a deployment of its own."""
    load(200)


@flow
def parent() -> None:
    """Run subflows, map a task, and start a deployment without waiting for it."""
    for number in (1, 2):
        part(number)
    load.map([50, 100, 150]).wait()
    run_deployment("child/child", timeout=0)


@flow(name="every-minute")
def every_minute() -> None:
    """Keep to a cron schedule."""
    load(100)


@flow
def unattended() -> None:
    """Wait for ever for a worker that nobody has started."""
