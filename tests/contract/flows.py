"""Flows whose spans Prefect's own telemetry loses, breaks or separates; run by `contract_runs`.

The argument says which: `zero-code` all of them, under whatever the environment has set up;
`uninstrumented` and `seamless` a plain one, before and after what their names say.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Iterator

import prefect.task_engine
import structlog
from opentelemetry import trace
from prefect import flow, get_run_logger, task
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.task_runners import ProcessPoolTaskRunner
from pydantic import SecretStr

from prefect_instrumentation.instrumentor import PrefectInstrumentor

_attempts = iter(range(3))


@task
def step(number: int = 0) -> int:
    """Succeed."""
    return number


@task(task_run_name="stride-{number}")
async def stride(number: int) -> int:
    """Succeed, asynchronously."""
    return number


@task
def count(numbers: int) -> Iterator[int]:
    """Yield, and call a task between."""
    for number in range(numbers):
        yield step(number)


@task
def broken() -> int:
    """Fail."""
    raise ValueError("broken")


@task(timeout_seconds=0.2)
def overslept() -> None:
    """Take longer than is allowed."""
    time.sleep(2)


@task
def starved(number: int) -> int:
    """Never start, for what it needs has failed."""
    return number


@flow
def plain() -> None:
    """Call a task."""
    step()


@flow
def native() -> None:
    """Be told of by Prefect itself."""
    step()


@flow
def failing() -> None:
    """Fail."""
    raise LookupError("nothing there")


@flow(retries=2)
def retried() -> None:
    """Succeed the third time."""
    step(attempt := next(_attempts))
    if attempt < 2:
        raise ConnectionError("not yet")


@flow
def late() -> None:
    """Bear with a task that takes too long."""
    overslept(return_state=True)


@flow
def starving() -> None:
    """Bear with a task whose upstream has failed."""
    starved.submit(broken.submit(), return_state=False).wait()


@flow
def nesting() -> None:
    """Call a flow, map a task, and read from one that yields."""
    plain()
    step.map([1, 2]).result()
    list(count(2))


@flow(flow_run_name="walk")
async def striding() -> None:
    """Do two things at once."""
    await asyncio.gather(stride(1), stride(2))


@flow(task_runner=ProcessPoolTaskRunner(max_workers=2))  # type: ignore[arg-type]  # theirs
def pooling() -> None:
    """Let other processes work."""
    step.map([1, 2]).result()


@flow(log_prints=True)
def talking() -> None:
    """Write by all the ways there are, and give a secret away."""
    secret: Secret[str] = Secret(value=SecretStr("hunter2-of-the-block"))
    get_run_logger().info("order taken", extra={"order": 7})
    get_run_logger().info("paid by %s", secret.get())
    logging.getLogger("shop").info("order packed")
    structlog.get_logger("shop").info("order sent", order=7)
    print("order printed")


@flow
def sending() -> None:
    """Create a run of a deployment, and keep what its labels say of this one."""
    with get_client(sync_client=True) as client:
        flow_id = client.create_flow_from_name("received")
        deployment_id = client.create_deployment(flow_id, "received")
        created = client.create_flow_run_from_deployment(deployment_id, labels={"team": "data"})
        labels = client.read_flow_run(created.id).labels
    here = trace.get_current_span()
    here.set_attribute("sent.traceparent", str(labels.get("__OTEL_TRACEPARENT")))
    here.set_attribute("sent.team", str(labels.get("team")))


def zero_code() -> None:
    """Run all of them."""
    for each in (failing, retried, late, starving, nesting, pooling, talking, sending):
        each(return_state=True)
    asyncio.run(striding())


def uninstrumented() -> None:
    """Run one flow with our spans, and one without."""
    instrumentor = PrefectInstrumentor()
    instrumentor.instrument()
    plain()
    instrumentor.uninstrument()
    native()


def seamless() -> None:
    """Run a flow under a Prefect whose task engine is not what it was."""
    del prefect.task_engine.run_generator_task_sync
    PrefectInstrumentor().instrument()
    plain()
    plain()


if __name__ == "__main__":
    {"zero-code": zero_code, "uninstrumented": uninstrumented, "seamless": seamless}[sys.argv[1]]()
