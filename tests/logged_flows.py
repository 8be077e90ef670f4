"""Flows that log in all ways, run by `python -m logged_flows CASE ...` and by workers.

What a line says names the place that it comes from, so that it is found again in any output.
"""

# ruff: noqa: D103 - the name of a flow is that of its case

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

if os.environ.get("TRACED_BY") == "setup":
    from prefect_instrumentation import setup

    setup(logs="WITH_LOGS" in os.environ or None)

import structlog
from prefect import flow, get_run_logger, task
from prefect.futures import wait
from prefect.runtime import flow_run
from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner

from prefect_instrumentation import copy_context, correlation, error_context

CUSTOMERS: dict[int, str] = {}

WAYS = ("Prefect", "logging", "print", "structlog")


def say(place: str) -> None:
    """Write a line in each way."""
    get_run_logger().info("%s by Prefect", place, extra={"order": 7})
    logging.getLogger("shop").info("%s by logging", place, extra={"order": 7})
    print(f"{place} by print")
    structlog.get_logger("shop.orders").info(f"{place} by structlog", order=7)


@task(log_prints=True)
def step(place: str) -> None:
    say(place)


@task
def linger() -> None:
    time.sleep(1)


@task(log_prints=True)
async def async_step(place: str) -> None:
    await asyncio.sleep(0)
    say(place)


@flow(log_prints=True)
def child(place: str) -> None:
    say(place)
    step(f"{place}-task")


@flow(log_prints=True)
def everywhere() -> None:
    """Log in a flow, in tasks of threads, and in a nested flow."""
    say("flow")
    step("task")
    wait([step.submit("submitted"), *step.map(["mapped-1", "mapped-2"])])
    child("subflow")


@flow(name="asynchronous", log_prints=True)
async def asynchronous_flow() -> None:
    await asyncio.gather(async_step("async-1"), async_step("async-2"))
    say("async-flow")


def asynchronous() -> None:
    asyncio.run(asynchronous_flow())


# Without `log_prints` of its own, Prefect forgets that of tasks that end beside each other.
@flow(log_prints=True, task_runner=ThreadPoolTaskRunner(max_workers=2))  # type: ignore[arg-type]  # Prefect's types
def threads() -> None:
    wait(step.map(["thread-1", "thread-2", "thread-3"]))


@flow(task_runner=ProcessPoolTaskRunner(max_workers=1))  # type: ignore[arg-type]  # as above
def processes() -> None:
    wait([step.submit("process")])


@flow
def in_cluster(place: str) -> None:
    wait([step.submit(place)])


def dask() -> None:
    from prefect_dask.task_runners import DaskTaskRunner  # noqa: PLC0415 - of this case alone

    cluster = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}
    runner = DaskTaskRunner(cluster_kwargs=cluster)
    in_cluster.with_options(name="dask", task_runner=runner)("dask")  # type: ignore[arg-type]


@flow
def in_ray() -> None:
    """Keep the worker busy while it sends the first task's span: Ray kills it when all is done."""
    wait([step.submit("ray")])
    wait([linger.submit()])


def ray() -> None:
    """Have Ray keep its workers' output: what it copies here has the worker before each line."""
    from prefect_ray import RayTaskRunner  # type: ignore[import-untyped]  # noqa: PLC0415 - as above

    how = {"num_cpus": 1, "include_dashboard": False, "log_to_driver": False}
    in_ray.with_options(name="ray", task_runner=RayTaskRunner(init_kwargs=how))()


@flow
def bare_threads() -> None:
    for target in (copy_context(partial(_alone, "copied")), partial(_alone, "bare")):
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()


def _alone(place: str) -> None:
    logging.getLogger("shop").info("%s by logging", place)
    structlog.get_logger("shop.orders").info(f"{place} by structlog")


@task(retries=2)
def flaky() -> None:
    attempts = _attempts["flaky"] = _attempts.get("flaky", 0) + 1
    logging.getLogger("shop").info("task's attempt %d", attempts)
    if attempts < len(("first", "second", "third")):
        raise ConnectionError("not yet")


_attempts: dict[str, int] = {}


@flow(retries=1)
def retried() -> None:
    count = flow_run.run_count
    logging.getLogger("shop").info("flow's attempt %d", count)
    if count == 1:
        flaky()
        raise ConnectionError("not yet")


@task
def broken(order: int) -> None:
    try:
        CUSTOMERS[order]
    except KeyError as error:
        with error_context(order=order, step="charge"):
            raise ValueError("no such customer") from error


@flow
def failing() -> None:
    try:
        CUSTOMERS[0]
    except KeyError:
        get_run_logger().exception("handled")
    broken(7)


@flow
def correlated() -> None:
    logging.getLogger("shop").info("correlated by logging")


def with_correlation() -> None:
    with correlation("ord-42"):
        correlated()


@flow
def levels() -> None:
    for name in ("shop", "shop.orders", "other"):
        for level in ("debug", "info", "warning"):
            getattr(logging.getLogger(name), level)("%s %s", name, level)


@flow(log_prints=True)
def beside_others(kept: str) -> None:
    """Log where a handler of the user's is on the root logger."""
    handler = logging.FileHandler(kept)
    handler.setFormatter(logging.Formatter("KEPT %(message)s"))
    logging.getLogger().addHandler(handler)
    say("beside")
    logging.getLogger().removeHandler(handler)
    handler.close()


CASES: dict[str, Callable[[], object]] = {
    "everywhere": everywhere,
    "asynchronous": asynchronous,
    "threads": threads,
    "processes": processes,
    "dask": dask,
    "ray": ray,
    "bare-threads": bare_threads,
    "retried": retried,
    "failing": failing,
    "correlated": with_correlation,
    "levels": levels,
    "beside-others": lambda: beside_others(str(Path(os.environ["KEPT"]))),
}


def main(names: list[str]) -> None:
    """Run the cases that are named, or all; what they raise is in their lines."""
    for name in names or list(CASES):
        try:
            CASES[name]()
        except Exception as error:  # noqa: BLE001 - as above
            print(f"{name} raised {type(error).__name__}", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
