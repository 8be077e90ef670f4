"""Each real part starts, answers, and survives a restart."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from demo.alertmanager import start_alertmanager
from demo.api import ask
from demo.deployments import DEPLOYMENTS, deploy
from demo.driver import held_by_server
from demo.installation import missing
from demo.postgres import start_postgres
from demo.prefect_server import start_prefect_server
from demo.processes import free_port, wait_until
from demo.prometheus import Alert, PrometheusConfig, start_prometheus
from demo.sandbox import Sandbox

pytestmark = pytest.mark.real


@pytest.fixture(name="sandbox")
def _sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


def test_prometheus_scrapes_and_answers(sandbox: Sandbox) -> None:
    """What is scraped can be asked for, at a moment and over time."""
    port = free_port()
    began = datetime.now(UTC)
    config = PrometheusConfig(targets={"itself": f"127.0.0.1:{port}"}, interval_seconds=1)
    prometheus = start_prometheus(sandbox, config, port=port)
    wait_until(lambda: bool(prometheus.query("up == 1")), within=60, what="a scrape")

    (sample,) = prometheus.query("up")
    # A scrape may have come too early, or too late on a busy machine: those are 0.
    points = prometheus.query_range(
        "up == 1", start=began, end=datetime.now(UTC) + timedelta(seconds=5), step_seconds=1
    )

    assert sample.labels["job"] == "itself"
    assert {1.0} == {point.value for point in points}


def test_prometheus_names_a_query_that_it_rejects(sandbox: Sandbox) -> None:
    """A wrong query is an error that quotes it."""
    prometheus = start_prometheus(sandbox, PrometheusConfig(targets={}))

    with pytest.raises(ValueError, match=r"Prometheus rejects sum\("):
        prometheus.query("sum(")


def test_alertmanager_takes_alerts_from_prometheus(sandbox: Sandbox) -> None:
    """An alert of a rule file arrives with its link, without the label that this is made of."""
    link = {"dashboard_url": "{{ $externalLabels.grafana_url }}/d/flow"}
    rule = {"alert": "Always", "expr": "vector(1)", "annotations": link}
    rules = sandbox.folder / "rules.yml"
    rules.write_text(json.dumps({"groups": [{"name": "test", "rules": [rule]}]}))
    alertmanager = start_alertmanager(sandbox)
    config = PrometheusConfig(
        targets={},
        interval_seconds=1,
        rule_files=[rules],
        links={"grafana_url": "http://grafana"},
        alertmanager=alertmanager.address,
    )
    prometheus = start_prometheus(sandbox, config)
    alert = Alert({"alertname": "Always"}, {"dashboard_url": "http://grafana/d/flow"})

    def arrived() -> list[Alert]:
        alerts = httpx.get(f"{alertmanager.url}/api/v2/alerts", trust_env=False).json()
        return [Alert(each["labels"], each["annotations"]) for each in alerts]

    wait_until(lambda: arrived() == [alert], within=60, what="the alert")
    assert prometheus.firing() == [alert]


@pytest.mark.parametrize("durable", [True, False], ids=["durable", "fast"])
def test_postgres_keeps_its_databases_over_a_restart(sandbox: Sandbox, *, durable: bool) -> None:
    """An orderly restart loses nothing; `durable` decides whether a power cut might."""
    postgres = start_postgres(sandbox, durable=durable, max_connections="42")
    postgres.create_database("history")
    postgres.process.restart()
    psql = [str(postgres.bin_folder / "psql"), "--tuples-only", "--no-align"]
    show = ["--command=SHOW fsync", "--command=SHOW max_connections", postgres.url("history")]
    shown = subprocess.run([*psql, *show], check=True, capture_output=True, text=True).stdout

    assert ["on" if durable else "off", "42"] == shown.split()


@pytest.mark.timeout(240)
def test_server_asks_for_credentials_and_survives_a_kill(sandbox: Sandbox) -> None:
    """A server on PostgreSQL with authentication comes back with what it had."""
    postgres = start_postgres(sandbox, durable=False)
    server = start_prefect_server(
        sandbox, database_url=postgres.prefect_url(), auth="demo:secret word"
    )
    stranger = httpx.post(f"{server.api_url}/flow_runs/count", json={}, trust_env=False)
    with server.client() as client:
        deploy(client)
        server.process.kill()
        server.process.restart()
        deployments = ask(client, "/deployments/count")
        ended = held_by_server(client)

    assert stranger.status_code == httpx.codes.UNAUTHORIZED
    assert deployments == len(DEPLOYMENTS)
    assert not ended


def test_missing_programs_are_named_with_their_package(
    monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox
) -> None:
    """Where neither Prometheus nor Alertmanager is installed, one learns what to install."""
    monkeypatch.setenv("PATH", str(sandbox.folder))

    assert missing() == {
        "Prometheus": "prometheus",
        "Alertmanager": "prometheus-alertmanager",
    }
