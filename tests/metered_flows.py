"""Flows whose meters tests know: they run in one process, which then prints the points."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path

from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from prefect import flow, task
from prefect.client.schemas.objects import State
from prefect.states import Failed
from prefect.task_runners import ProcessPoolTaskRunner

import metered
from prefect_instrumentation import measured, record_io, setup, traced


@task
@measured
@traced(source="s3://raw", destination="s3://lake")
def move(rows: int) -> int:
    """Read and write."""
    record_io(records=rows, bytes=10 * rows)
    return rows


@task
async def wait() -> None:
    """Be asynchronous."""
    await asyncio.sleep(0)


@task(retries=2)
def flaky(failures: list[int]) -> None:
    """Fail as often as it is told to."""
    if failures:
        failures.pop()
        raise ValueError


@task(timeout_seconds=0.1)
async def slow() -> None:
    """Take too long."""
    await asyncio.sleep(30)


@task
def pages() -> Generator[int]:
    """Yield."""
    yield 1
    yield 2


@task
def refuse() -> State:
    """Fail without raising."""
    return Failed(message="no eggs")


@flow
def child() -> None:
    """Be enclosed."""


@flow
def good() -> None:
    """Run tasks of all kinds."""
    move(2)
    move.submit(3).result()
    asyncio.run(wait())
    list(pages())
    child()


@flow(retries=1)
def retried(failures: list[int]) -> None:
    """Fail at first."""
    if failures:
        failures.pop()
        raise KeyError


@flow
def bad() -> State:
    """Let tasks fail, and return the state itself."""
    flaky([1, 1])
    refuse(return_state=True)
    return Failed(message="as intended")


@flow
async def timing_out() -> None:
    """Have a task that takes too long."""
    await slow(return_state=True)  # type: ignore[misc]  # as Prefect types it, a State


@flow(task_runner=ProcessPoolTaskRunner(max_workers=1))  # type: ignore[arg-type]  # as Prefect has it
def pooled() -> None:
    """Run a task in another process."""
    move.submit(5).result()


def main() -> None:
    """Run all, and print what was recorded by this process."""
    reader = metered.delta_reader()
    metrics.set_meter_provider(MeterProvider([reader]))
    setup(meters=True)
    good()
    retried([1])
    bad(return_state=True)
    asyncio.run(timing_out())
    pooled()
    points = [asdict(point) for point in metered.read(reader)]
    Path(os.environ["POINTS"]).write_text(json.dumps(points))


if __name__ == "__main__":
    main()
