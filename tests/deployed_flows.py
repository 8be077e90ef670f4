"""Flows that workers and other processes run, for the tests of traces between processes."""

# ruff: noqa: D103 - their names are those of their deployments

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import httpx
from prefect import flow, get_client, task
from prefect.deployments import run_deployment
from prefect.flow_runs import suspend_flow_run
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from prefect_instrumentation import CorrelationMiddleware, setup


@task
def step(value: int = 1) -> int:
    return value


@task
def long_step(seconds: float) -> None:
    time.sleep(seconds)


@flow
def child(value: int = 1) -> int:
    return step(value)


@flow
def sleeper(pid_file: str, seconds: float = 120) -> None:
    """Say who runs it, then be busy until somebody ends it."""
    step(1)
    Path(pid_file).write_text(str(os.getpid()), encoding="ascii")
    long_step(seconds)


@flow
def parent() -> None:
    run_deployment("child/traced", timeout=60, poll_interval=1)


@task
def asks_for_child() -> None:
    run_deployment("child/traced", timeout=60, poll_interval=1)


@flow
def parent_task() -> None:
    asks_for_child()


@flow
def suspended() -> int:
    """Leave at its first start; at the next, go on."""
    from prefect.runtime import flow_run  # noqa: PLC0415 - it is asked at run time

    step(1)
    if flow_run.run_count == 1:
        suspend_flow_run(timeout=120)
    return step(2)


@task
def background(value: int) -> int:
    return step(value)


@task
def background_without_parameters() -> int:
    return step(0)


@flow
def delays() -> None:
    background.delay(1)
    background_without_parameters.delay()


def start_by_client(_request: Request) -> Response:
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("child/traced")
        client.create_flow_run_from_deployment(deployment.id)
    return Response(status_code=202)


def start_by_function(_request: Request) -> Response:
    run_deployment("child/traced", timeout=0)
    return Response(status_code=202)


def delay(_request: Request) -> Response:
    background.delay(1)
    return Response(status_code=202)


START = {"client": start_by_client, "function": start_by_function, "delay": delay}


async def trigger(how: str) -> None:
    """Be a service that starts a run of a deployment, and its one request."""
    setup()
    app = Starlette(routes=[Route("/orders", START[how], methods=["POST"])])
    app.add_middleware(CorrelationMiddleware)
    headers = {"X-Correlation-ID": "ord-42", "baggage": "tenant=acme"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as client:
        response = await client.post("/orders", headers=headers)
    response.raise_for_status()


def main(what: str, *how: str) -> None:
    """Serve a flow, or tasks, until a signal comes; or run a flow here."""
    match what:
        case "trigger":
            asyncio.run(trigger(*how))
        case "serve-flow":
            child.serve(name="served", pause_on_shutdown=False)
        case "serve-tasks":
            from prefect.task_worker import serve  # noqa: PLC0415 - of the one process alone

            serve(background, background_without_parameters)
        case "delays":
            delays()


if __name__ == "__main__":
    main(*sys.argv[1:])
