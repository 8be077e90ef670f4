"""One flow a case of docs/tracing.md, to be run by `python -m traced_flows CASE ...`.

Each case ends as it should whatever its run does, so that one process can run them all.
"""

# ruff: noqa: D103 - the name of a flow is that of its case in the docs

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any
from uuid import UUID

import httpx

if os.environ.get("TRACED_BY") == "setup":
    from prefect_instrumentation import setup

    setup()

from prefect import flow, get_client, task
from prefect.cache_policies import INPUTS
from prefect.client.schemas import State
from prefect.flow_runs import pause_flow_run, resume_flow_run
from prefect.futures import wait
from prefect.runtime import flow_run as current_flow_run
from prefect.states import Failed
from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner
from prefect.transactions import transaction

from prefect_instrumentation import annotate, record_io, traced

CASES: dict[str, Callable[[], object]] = {}


def case(body: Callable[[], object]) -> Callable[[], object]:
    """Keep a case under its flow's name, which is written with hyphens."""
    name = getattr(body, "name", None) or body.__name__.replace("_", "-")
    CASES[name] = body
    return body


@task
def step(value: int = 1) -> int:
    return value


@task
async def async_step(value: int = 1) -> int:
    await asyncio.sleep(0)
    return value


@task
def outer(value: int = 1) -> int:
    return step(value) + 1


@task
def broken() -> int:
    raise ValueError("no such customer")


@case
@flow
def sync_flow() -> int:
    return step(1)


@flow(name="async-flow")
async def async_flow() -> None:
    await asyncio.gather(async_step(1), async_step(2))


@case
def async_flow_case() -> None:
    asyncio.run(async_flow())


CASES["async-flow"] = CASES.pop("async-flow-case")


@case
@flow
def task_submit() -> None:
    first = step.submit(1)
    second = outer.submit(first)  # type: ignore[call-overload]  # Prefect takes it for its result
    wait([second])


@case
@flow
def task_map() -> None:
    wait(step.map([1, 2, 3]))


@case
@flow
def task_nested() -> None:
    outer(1)


@case
@flow
def task_wait_for() -> None:
    first = step.submit(1)
    # The span of a task that waits begins before it waits: side by side, either may be the first.
    wait([first])
    wait([outer.submit(2, wait_for=[first])])  # type: ignore[call-overload]  # it has that option


@flow
def child(value: int = 1) -> int:
    return step(value)


@case
@flow
def subflow() -> None:
    child(1)


@task
def numbers() -> Generator[int, None, None]:
    step(0)
    yield 1
    step(0)
    yield 2


@case
@flow
def generator_task() -> None:
    for number in numbers():
        outer(number)


@task
async def async_numbers() -> AsyncGenerator[int, None]:
    await async_step(0)
    yield 1
    yield 2


@flow(name="async-generator-task")
async def async_generator_task() -> None:
    async for number in async_numbers():
        await async_step(number)


@case
def async_generator_case() -> None:
    asyncio.run(async_generator_task())


CASES["async-generator-task"] = CASES.pop("async-generator-case")


@flow
def generator_flow() -> Generator[int, None, None]:
    yield step(1)
    yield step(2)


CASES["generator-flow"] = lambda: list(generator_flow())


@case
@flow
def generator_subflow() -> None:
    for number in generator_flow():
        outer(number)


@flow(name="async-generator-flow")
async def async_generator_flow() -> AsyncGenerator[int, None]:
    yield await async_step(1)
    yield await async_step(2)


async def _consume() -> None:
    async for _ in async_generator_flow():
        pass


CASES["async-generator-flow"] = lambda: asyncio.run(_consume())


@case
@flow
def committed_transaction() -> None:
    with transaction():
        step(1)
        outer(2)


@case
@flow
def rolled_back_transaction() -> None:
    with transaction():
        step(1)
        broken(return_state=True)


@task(cache_policy=INPUTS, persist_result=True)
def remembered(value: str) -> str:
    return value


@case
@flow
def cached() -> None:
    value = str(time.time_ns())
    remembered(value)
    remembered(value)


_attempts: dict[str, int] = {}


def _succeeds_at(attempt: int, of: str) -> None:
    _attempts[of] = _attempts.get(of, 0) + 1
    if _attempts[of] < attempt:
        raise ConnectionError(f"attempt {_attempts[of]}")


@task(retries=2)
def flaky() -> None:
    _succeeds_at(3, "flaky")


@case
@flow
def task_retries() -> None:
    flaky()


@task(retries=2)
async def async_flaky() -> None:
    _succeeds_at(3, "async_flaky")


@flow(name="async-task-retries")
async def async_task_retries() -> None:
    await async_flaky()


CASES["async-task-retries"] = lambda: asyncio.run(async_task_retries())


@case
@flow(retries=2)
def flow_retries() -> None:
    step(1)
    _succeeds_at(3, "flow")


@task(timeout_seconds=0.5)
def slow() -> None:
    time.sleep(10)


@task(timeout_seconds=0.5)
async def async_slow() -> None:
    await asyncio.sleep(10)


@case
@flow
def task_timeout() -> str:
    slow(return_state=True)
    return "done"


@flow(name="async-task-timeout")
async def async_task_timeout() -> str:
    await async_slow(return_state=True)  # type: ignore[misc]  # Prefect says State, not awaitable
    return "done"


CASES["async-task-timeout"] = lambda: asyncio.run(async_task_timeout())


@case
@flow(timeout_seconds=1)
def flow_timeout() -> None:
    time.sleep(10)


@flow(name="async-flow-timeout", timeout_seconds=1)
async def async_flow_timeout() -> None:
    await asyncio.sleep(10)


CASES["async-flow-timeout"] = lambda: asyncio.run(async_flow_timeout())


@case
@flow
def not_ready() -> str:
    failed = broken.submit()
    wait([failed])
    wait([step.submit(failed)])  # type: ignore[call-overload]  # as above
    return "done"


@case
@flow
def failed_flow() -> None:
    broken()


@case
@flow
def failed_state() -> State[Any]:
    return Failed(message="nothing to load")


@task
def leaves() -> None:
    sys.exit(3)


@case
@flow
def system_exit() -> None:
    leaves()


@case
@flow
def keyboard_interrupt() -> None:
    step(1)
    raise KeyboardInterrupt


@case
@flow(task_runner=ThreadPoolTaskRunner(max_workers=2))  # type: ignore[arg-type]  # Prefect's types
def threads() -> None:
    wait(step.map([1, 2]))
    wait([outer.submit(3)])


@case
@flow(task_runner=ProcessPoolTaskRunner(max_workers=1))  # type: ignore[arg-type]  # as above
def processes() -> None:
    wait([step.submit(1)])
    wait([outer.submit(2)])


@case
def dask() -> None:
    from prefect_dask.task_runners import DaskTaskRunner  # noqa: PLC0415 - of this case alone

    cluster = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}
    runner = DaskTaskRunner(cluster_kwargs=cluster)
    _in_another_process.with_options(name="dask", task_runner=runner)()  # type: ignore[arg-type]


@case
def ray() -> None:
    from prefect_ray import RayTaskRunner  # type: ignore[import-untyped]  # noqa: PLC0415 - as above

    runner = RayTaskRunner(init_kwargs={"num_cpus": 1, "include_dashboard": False})
    _in_another_process.with_options(name="ray", task_runner=runner)()


@flow
def _in_another_process() -> None:
    wait([step.submit(1)])
    wait([outer.submit(2)])


def _resume_when_paused(run_id: str) -> None:
    with get_client(sync_client=True) as client:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            run = client.read_flow_run(UUID(run_id))
            if run.state and run.state.is_paused():
                break
            time.sleep(0.1)
    resume_flow_run(UUID(run_id))


@case
@flow
def paused() -> None:
    step(1)
    helper = threading.Thread(target=_resume_when_paused, args=(current_flow_run.id,))
    helper.start()
    pause_flow_run(timeout=60, poll_interval=1)
    helper.join()
    step(2)


@case
@flow(flow_run_name="day-{day}")
def named(day: str = "monday") -> None:  # noqa: ARG001 - the run's name has it
    step.with_options(name="load", task_run_name="load-{value}", tags=["nightly"])(1)


@task
def asks() -> None:
    httpx.get(f"{os.environ['PREFECT_API_URL']}/health").raise_for_status()


@case
@flow
def http() -> None:
    asks()


@traced(source="redis://orders", record=["day"])
@task
def extract(day: str, secret: str) -> int:
    record_io(records=2, bytes=64)
    record_io(records=1)
    annotate(cursor=7)
    return len(day + secret)


@task
@traced(destination="s3://lake")
def load(rows: int) -> None:
    check(rows)


@traced
def check(rows: int) -> int:
    return rows


@case
@traced(attributes={"tier": "gold"})
@flow
def decorated() -> None:
    load(extract("monday", "hunter2"))


def main(names: list[str]) -> None:
    """Run the cases that are named, or all."""
    for name in names or list(CASES):
        try:
            CASES[name]()
        except BaseException as error:  # noqa: BLE001 - how it ends is what the trace shows
            print(f"{name} raised {type(error).__name__}", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
