"""All parts of the demo, started in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from demo.alertmanager import Alertmanager, find_alertmanager, start_alertmanager
from demo.deployments import WORKED_POOL, deploy
from demo.exporter import Exporter, start_exporter
from demo.prefect_server import PrefectServer, start_prefect_server
from demo.processes import Process, free_port
from demo.prometheus import Prometheus, PrometheusConfig, start_prometheus
from demo.sandbox import Sandbox, find_program
from demo.worker import start_worker

Step = Callable[[str], AbstractContextManager[None]]
"""Announces the part of that name while the block starts it."""

_RULES = Path(__file__).resolve().parents[2] / "deploy" / "prometheus" / "rules"


@dataclass(frozen=True, slots=True)
class Installation:
    """The running parts; None for a part that is not installed on this machine.

    Args:
        deployments: Each deployment's name with its id.
    """

    server: PrefectServer
    exporter: Exporter
    prometheus: Prometheus | None
    alertmanager: Alertmanager | None
    worker: Process
    deployments: Mapping[str, str]


def missing() -> Mapping[str, str]:
    """Return the optional programs that are not installed, with the Debian package of each."""
    found = {
        "Prometheus": ("prometheus", find_program("prometheus")),
        "Alertmanager": ("prometheus-alertmanager", find_alertmanager()),
    }
    return {name: package for name, (package, path) in found.items() if path is None}


def install(sandbox: Sandbox, step: Step) -> Installation:
    """Start every part that is installed, on its usual port where that is free.

    The exporter comes before the first run, so that it counts them all.
    """
    with step("Prefect server"):
        server = start_prefect_server(sandbox, port=free_port(4200))
    with step("Work pools and deployments"), server.client() as client:
        deployments = deploy(client)
    with step("Exporter"):
        exporter = start_exporter(
            sandbox,
            port=free_port(9877),
            PREFECT_EXPORTER_POLL_INTERVAL="5s",
            PREFECT_EXPORTER_TAG_LABELS="team,tier,alert",
            **server.client_environment,
        )
    alertmanager = _alertmanager(sandbox, step)
    prometheus = _prometheus(sandbox, step, exporter, alertmanager)
    with step("Prefect worker"):
        worker = start_worker(sandbox, server, pool=WORKED_POOL, PREFECT_WORKER_QUERY_SECONDS="3")
    return Installation(server, exporter, prometheus, alertmanager, worker, deployments)


def _alertmanager(sandbox: Sandbox, step: Step) -> Alertmanager | None:
    if "Alertmanager" in missing():
        return None
    with step("Alertmanager"):
        return start_alertmanager(sandbox, port=free_port(9093))


def _prometheus(
    sandbox: Sandbox, step: Step, exporter: Exporter, alertmanager: Alertmanager | None
) -> Prometheus | None:
    if "Prometheus" in missing():
        return None
    port = free_port(9090)
    scraped = {"prefect-exporter": exporter.address, "prometheus": f"127.0.0.1:{port}"}
    if alertmanager:
        scraped["alertmanager"] = alertmanager.address
    config = PrometheusConfig(
        targets=scraped,
        rule_files=sorted(_RULES.glob("*/*.yml")),
        links={"grafana_url": "", "runbook_url": f"{exporter.url}/runbooks"},
        alertmanager=alertmanager.address if alertmanager else None,
    )
    with step("Prometheus"):
        return start_prometheus(sandbox, config, port=port)
