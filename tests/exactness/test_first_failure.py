"""The first failure that ever happens is seen by ``increase()``, and so by every alert on it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from demo.api import ask
from demo.exporter import start_exporter
from demo.prefect_server import start_prefect_server
from demo.processes import free_port, wait_until
from demo.prometheus import Prometheus, PrometheusConfig, start_prometheus
from demo.sandbox import Sandbox
from exactness.counted import Series, read_series

pytestmark = [pytest.mark.real, pytest.mark.timeout(480)]

_FINISHED = "prefect_flow_runs_finished_total"
_FAILED = f'{_FINISHED}{{outcome="failed"}}'


@pytest.fixture(name="sandbox")
def _sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


def test_increase_sees_the_first_failure(sandbox: Sandbox) -> None:
    """Of a deployment listed before, of one not listed yet, and of a flow without a deployment."""
    server = start_prefect_server(sandbox)
    with server.client() as client:
        listed = _deploy(client, "listed")
        prometheus = _observe(sandbox, server.client_environment)
        wait_until(
            lambda: bool(prometheus.query(f'{_FAILED[:-1]}, deployment="listed"}} == 0')),
            within=60,
            what="the zero of the listed deployment",
        )
        # The next listing is minutes away: this one is known from its run only.
        unlisted = _deploy(client, "unlisted")
        _fail(client, f"/deployments/{listed}/create_flow_run")
        _fail(client, f"/deployments/{unlisted}/create_flow_run")
        _fail(client, "/flow_runs/", flow_id=ask(client, "/flows/", name="alone")["id"])
    wait_until(
        lambda: 3 == len([series for series in _failures(prometheus) if series.increase]),
        within=60,
        what="the three failures",
    )
    failures = {series.labels["flow"]: series for series in _failures(prometheus)}

    assert {"listed", "unlisted", "alone"} == set(failures)
    # It stretches the one failure between two samples to the window's edges, so it says no less.
    assert [] == [each for each in failures.values() if not 1 <= each.increase <= each.most]


def _observe(sandbox: Sandbox, server: dict[str, str]) -> Prometheus:
    exporter = start_exporter(
        sandbox,
        port=free_port(),
        PREFECT_EXPORTER_POLL_INTERVAL="2s",
        PREFECT_EXPORTER_SLOW_INTERVAL="10m",
        **server,
    )
    config = PrometheusConfig(targets={"exporter": exporter.address}, interval_seconds=1)
    return start_prometheus(sandbox, config)


def _failures(prometheus: Prometheus) -> list[Series]:
    return read_series(prometheus, _FAILED)


def _deploy(client: httpx.Client, name: str) -> str:
    flow = ask(client, "/flows/", name=name)["id"]
    return str(ask(client, "/deployments/", name=name, flow_id=flow)["id"])


def _fail(client: httpx.Client, path: str, **body: str) -> None:
    run = ask(client, path, **body)["id"]
    for state in ("PENDING", "RUNNING", "FAILED"):
        ask(client, f"/flow_runs/{run}/set_state", state={"type": state})
