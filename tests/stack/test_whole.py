"""Profiles server and demo: a production-shaped Prefect, with everything about it wired."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from stack.asking import arrives, eventually, get, log_lines, spans
from stack.compose import Stack, docker_run

pytestmark = pytest.mark.stack


@dataclass(frozen=True, slots=True)
class Order:
    """What the web service was asked to start, and what it said."""

    correlation_id: str
    trace_id: str
    run_id: str


@pytest.fixture(name="order", scope="module")
def _order(whole: Stack) -> Order:
    """An order that was taken, and whose run has ended."""
    mine = f"ord-{uuid.uuid4().hex}"
    url = f"{whole.url('DEMO_TRIGGER_PORT')}/deployments/fulfil/shop/runs"
    headers = {"X-Correlation-ID": mine, "X-API-Key": whole.secret("trigger_api_key")}
    asked = {"parameters": {"item": "tea", "quantity": 2}}
    answer = eventually(
        lambda: httpx.post(
            url, json=asked, headers=headers, timeout=30, trust_env=False
        ).raise_for_status(),
        what="the web service takes an order",
    )
    trace_id = answer.headers["traceparent"].split("-")[1]
    order = Order(answer.headers["X-Correlation-ID"], trace_id, answer.json()["id"])
    eventually(lambda: _ended(whole, order), what="the order's run ends", within=120)
    return order


def _run(stack: Stack, order: Order) -> dict[str, Any]:
    with stack.prefect() as client:
        found: dict[str, Any] = client.get(f"/flow_runs/{order.run_id}").raise_for_status().json()
    return found


def _ended(stack: Stack, order: Order) -> bool:
    return _run(stack, order)["state_type"] in {"COMPLETED", "FAILED", "CRASHED"}


def _tasks(stack: Stack, order: Order) -> list[dict[str, Any]]:
    only = {"flow_runs": {"id": {"any_": [order.run_id]}}}
    with stack.prefect() as client:
        rows: list[dict[str, Any]] = client.post("/task_runs/filter", json=only).json()
    return rows


def test_order_is_fulfilled(whole: Stack, order: Order) -> None:
    """The worker runs what the web service has asked for, and the correlation id goes along."""
    run = _run(whole, order)

    assert "COMPLETED" == run["state_type"]
    assert order.correlation_id == run["labels"]["__CORRELATION_ID"]


def test_task_runs_are_recorded(whole: Stack, order: Order) -> None:
    """Events of tasks pass the proxy by websocket: without them no task run has a row."""
    eventually(lambda: _completed(whole, order) == {"reserve", "ship"}, what="task runs")


def _completed(stack: Stack, order: Order) -> set[str]:
    rows = [row for row in _tasks(stack, order) if row["state_type"] == "COMPLETED"]
    return {row["name"].rsplit("-", 1)[0] for row in rows}


def test_correlation_id_is_on_the_lines_of_service_and_worker(whole: Stack, order: Order) -> None:
    """Lines of both containers carry the id and the trace id that the web service has answered."""
    for service in ("demo-trigger", "prefect-worker"):
        lines = [line for line in _lines(whole, service) if order.trace_id == line.get("trace_id")]

        assert lines
        assert {order.correlation_id} == {line["correlation_id"] for line in lines}


def _lines(stack: Stack, service: str) -> list[dict[str, Any]]:
    text = stack.container(service).log()
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_trace_is_in_jaeger(whole: Stack, order: Order, *, full: bool) -> None:
    """Request, run and tasks are one trace, each span with the correlation id."""
    if not full:
        pytest.skip("Jaeger runs in the full form")
    request = "POST /deployments/{flow}/{deployment}/runs"
    wanted = {request, "flow fulfil", "task reserve", "task ship"}

    found = eventually(
        lambda: _holding(wanted, spans(whole, order.trace_id)),
        what=f"{sorted(wanted)} in Jaeger",
        within=150,
    )

    ids = {span["tags"].get("correlation_id") for span in found if span["name"] in wanted}
    assert {order.correlation_id} == ids


def _holding(names: set[str], found: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return found if names <= {span["name"] for span in found} else []


def test_lines_are_in_loki_by_trace_id(whole: Stack, order: Order, *, full: bool) -> None:
    """The task's line is found by the trace id, with the correlation id beside it."""
    if not full:
        pytest.skip("Loki runs in the full form")

    lines = eventually(
        lambda: [
            labels
            for labels, line in log_lines(whole, f'| trace_id="{order.trace_id}"')
            if "order shipped" in line
        ],
        what="the line `order shipped` in Loki",
    )

    assert order.correlation_id == lines[0]["correlation_id"]


@pytest.mark.usefixtures("order")
def test_order_is_counted(whole: Stack) -> None:
    """The exporter's counter of the run, and what the run measured of itself, are in Prometheus."""
    labels = 'flow="fulfil", deployment="shop"'

    arrives(whole, f'prefect_flow_runs_finished_total{{{labels}, outcome="completed"}} >= 1')
    arrives(whole, 'shop_items_shipped_total{item="tea"} >= 1', within=120)


def test_every_target_is_up(whole: Stack) -> None:
    """Prometheus has at least one target for each job, and none of them is down."""
    eventually(lambda: not _missing(whole), what="targets", within=120)

    assert [] == _missing(whole)


def _missing(stack: Stack) -> list[str]:
    url = f"{stack.url('PROMETHEUS_PORT')}/api/v1"
    targets = get(f"{url}/targets")["data"]["activeTargets"]
    jobs = set(get(f"{url}/scrape_pools")["data"]["scrapePools"])
    down = {it["scrapePool"]: it["lastError"] for it in targets if it["health"] != "up"}
    empty = jobs - {it["scrapePool"] for it in targets}
    found = down | dict.fromkeys(empty, "no target")
    return [f"{job}: {why}" for job, why in found.items() if job not in stack.absent]


def test_each_replica_is_scraped_with_its_password(whole: Stack) -> None:
    """Both replicas give their metrics to Prometheus, and to nobody without the password."""
    arrives(whole, 'count(up{job="prefect-server"} == 1) == 2')

    for replica in whole.containers("prefect-api"):
        ran = _wget(whole, f"http://{replica.address('telemetry')}:4200/api/metrics")

        assert "401" in ran


def _wget(stack: Stack, url: str) -> str:
    network = f"--network={stack.name}_telemetry"
    image = stack.container("init").inspected["Config"]["Image"]
    return docker_run("run", "--rm", network, image, "wget", "-q", "-O", "-", url).stderr


def test_proxy_spreads_over_replicas(whole: Stack) -> None:
    """The proxy holds both replicas for healthy."""
    arrives(whole, 'haproxy_backend_active_servers{proxy="replicas"} >= 2')


def test_orders_are_loaded(whole: Stack) -> None:
    """A night of the pipeline loads the rows of each client, and tells what it could not use."""
    with whole.prefect() as client:
        night = client.get("/deployments/name/nightly-orders/nightly").raise_for_status().json()
        start = f"/deployments/{night['id']}/create_flow_run"
        client.post(start, json={}).raise_for_status()

    arrives(whole, 'count(etl_rows_total{outcome="accepted"} > 0) == 4', within=600)
    arrives(whole, 'count(prefect_sdk_dead_letters{queue=~"orders:.+"}) == 4')
    arrives(whole, 'prefect_sdk_circuit_breaker_state{breaker="etl-rates", state="closed"} == 1')


def test_who_has_no_key_starts_nothing(whole: Stack) -> None:
    """The published port of the web service is for those alone who have a key."""
    url = f"{whole.url('DEMO_TRIGGER_PORT')}/deployments/fulfil/shop/runs"

    answer = httpx.post(url, json={}, timeout=30, trust_env=False)

    assert 401 == answer.status_code


def test_stopped_worker_ends_its_runs_first(whole: Stack) -> None:
    """A run that is under way when its worker is told to stop is Crashed, not Running for ever."""
    with whole.prefect() as client:
        deployment = client.get("/deployments/name/slow/slow").raise_for_status().json()["id"]
        start = f"/deployments/{deployment}/create_flow_run"
        run = client.post(start, json={}).raise_for_status().json()["id"]

        def state() -> str:
            found: str = client.get(f"/flow_runs/{run}").raise_for_status().json()["state_type"]
            return found

        # Behind what the demo has given the worker.
        eventually(
            lambda: state() == "RUNNING", what="a run of `slow` that is under way", within=240
        )
        whole.compose("stop", "prefect-worker")

        assert "CRASHED" == state()
    assert 143 == whole.container("prefect-worker").inspected["State"]["ExitCode"]
    whole.up("prefect-worker")
