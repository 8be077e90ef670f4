"""`examples/prefect.yaml` deploys what it says, and bulk does not delay what is urgent."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prefect.flows import Flow, load_flow_from_entrypoint

from demo.api import ask
from demo.prefect_server import PrefectServer, start_prefect_server
from demo.processes import wait_until
from demo.sandbox import Sandbox
from demo.worker import start_worker

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

EXAMPLES = Path(__file__).parents[2] / "examples"
FILE = EXAMPLES / "prefect.yaml"
DECLARED: list[Mapping[str, Any]] = yaml.safe_load(FILE.read_text())["deployments"]

POOL = "etl-process"
AT_ONCE = 2
BULK = 12
QUEUES = {"urgent": 1, "batch": 10}

Rows = list[dict[str, Any]]


@pytest.fixture(name="sandbox", scope="module")
def _sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture(name="server", scope="module")
def _server(sandbox: Sandbox) -> PrefectServer:
    """A server on which the commands at the head of the file were run."""
    server = start_prefect_server(sandbox)
    env = sandbox.prefect_environment("cli", PYTHONPATH=str(EXAMPLES), **server.client_environment)
    head = [line.removeprefix("#").strip() for line in FILE.read_text().splitlines()]
    for command in (line for line in head if line.startswith("prefect ")):
        argv = [sys.executable, "-m", *shlex.split(command)]
        subprocess.run(argv, env=env, cwd=EXAMPLES, check=True, capture_output=True)
    return server


@pytest.fixture(name="api", scope="module")
def _api(server: PrefectServer) -> Iterator[httpx.Client]:
    with server.client() as api:
        yield api


@pytest.mark.parametrize("declared", DECLARED, ids=lambda one: f"{one['entrypoint']}-{one['name']}")
def test_deployment_is_as_declared(api: httpx.Client, declared: Mapping[str, Any]) -> None:
    """The server has it with its owner, queue and schedules, of a flow that can be loaded."""
    flow: Flow[..., Any] = load_flow_from_entrypoint(declared["entrypoint"])

    made = api.get(f"/deployments/name/{flow.name}/{declared['name']}").raise_for_status().json()

    assert sorted(declared["tags"]) == sorted(made["tags"])
    assert declared["work_pool"] == {
        "name": made["work_pool_name"],
        "work_queue_name": made["work_queue_name"],
    }
    crons = [each["schedule"]["cron"] for each in made["schedules"]]
    assert [each["cron"] for each in declared.get("schedules", [])] == crons
    assert declared.get("parameters", {}) == made["parameters"]
    assert any(tag.startswith("team:") for tag in made["tags"])


def test_queues_have_their_priorities(api: httpx.Client) -> None:
    """Prefect's own default comes first unless told; ours say who goes before whom."""
    queues = ask(api, f"/work_pools/{POOL}/queues/filter")

    assert QUEUES == {each["name"]: each["priority"] for each in queues if each["name"] in QUEUES}


def test_bulk_does_not_delay_what_is_urgent(
    sandbox: Sandbox, server: PrefectServer, api: httpx.Client
) -> None:
    """An urgent run takes the next slot that is free, whatever waits in the other queue."""
    ids = {queue: _deploy(api, queue) for queue in QUEUES}
    bulk = [_start(api, ids["batch"]) for _ in range(BULK)]
    worker = start_worker(
        sandbox,
        server,
        pool=POOL,
        limit=AT_ONCE,
        PREFECT_WORKER_QUERY_SECONDS="1",
        PYTHONPATH=f"{EXAMPLES}:{Path(__file__).parents[1]}",
    )
    wait_until(lambda: bool(_begun(api, bulk)), within=120, what="a bulk run")
    urgent = _start(api, ids["urgent"])
    wait_until(lambda: bool(_begun(api, [urgent])), within=120, what="the urgent run")
    worker.stop()

    (began,) = (each["start_time"] for each in _begun(api, [urgent]))
    asked = api.get(f"/flow_runs/{urgent}").raise_for_status().json()["created"]
    overtook = [each for each in _begun(api, bulk) if asked < each["start_time"] < began]
    # Those that the worker had already taken go before it, and no other.
    assert len(overtook) <= AT_ONCE
    assert BULK - len(_begun(api, bulk)) >= BULK // 2


def _deploy(api: httpx.Client, queue: str) -> str:
    flow = ask(api, "/flows/", name="short")["id"]
    made = ask(
        api,
        "/deployments/",
        name=queue,
        flow_id=flow,
        entrypoint="queued_flows.short",
        work_pool_name=POOL,
        work_queue_name=queue,
    )
    return str(made["id"])


def _start(api: httpx.Client, deployment: str) -> str:
    return str(ask(api, f"/deployments/{deployment}/create_flow_run")["id"])


def _begun(api: httpx.Client, runs: list[str]) -> Rows:
    rows: Rows = ask(api, "/flow_runs/filter", flow_runs={"id": {"any_": runs}})
    return [each for each in rows if each["start_time"]]
