"""Flows that pods of a Kubernetes pool run, for the tests of their end."""

# ruff: noqa: D103 - their names are those of their deployments

from __future__ import annotations

import time
from pathlib import Path

from prefect import flow, task


@task
def step(value: int) -> int:
    return value


@task
def busy(marker: str) -> None:
    """Say that it has begun, then be busy until somebody ends it."""
    Path(marker).touch()
    time.sleep(300)


@flow
def evictable(marker: str) -> int:
    """Be busy in the first pod; end well in the next."""
    from prefect.runtime import flow_run  # noqa: PLC0415 - it is asked at run time

    step(1)
    if flow_run.run_count == 1:
        busy(marker)
    return step(2)


@flow
def threaded(marker: str) -> None:
    """Be busy in a thread, which no signal interrupts."""
    step(1)
    busy.submit(marker).result()
