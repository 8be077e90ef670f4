"""A Prefect server under load, with the exporter and Prometheus beside it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from demo.exporter import Exporter, start_exporter
from demo.postgres import start_postgres
from demo.prefect_server import PrefectServer, start_prefect_server
from demo.processes import Process, Program, free_port, wait_until
from demo.prometheus import Prometheus, PrometheusConfig, start_prometheus
from demo.sandbox import Sandbox
from exactness import api_load
from exactness.truth import Database, Postgresql, Sqlite

POLL_SECONDS = 3
_EACH_MINUTE = (
    "automations",
    "concurrency_limits",
    "events",
    "failure_groups",
    "heartbeats",
    "late_causes",
    "work_pools",
    "work_queues",
    "workers",
)
SCRAPE_SECONDS = 2
AUDIT_SECONDS = 10

EVENTS_ARE_STORED_SECONDS = 8.0
"""The server writes its events within five seconds; what is older survives a SIGKILL."""

_TESTS = Path(__file__).resolve().parent.parent
_API_LOADS = 2
_SETTLE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that runs; *database* is the server's own."""

    backend: str
    sandbox: Sandbox
    database: Database
    server: PrefectServer
    exporter: Exporter
    prometheus: Prometheus

    @property
    def ledger(self) -> Path:
        """The exporter's ledger."""
        return self.sandbox.folder / "exporter" / "state.db"

    @property
    def load_folder(self) -> Path:
        """What the clients look at: `api_load` says what lies there."""
        return self.sandbox.subfolder("load")

    @property
    def keep(self) -> Path:
        """The file that forbids deletions while it exists."""
        return self.load_folder / api_load.KEEP


def set_scene(sandbox: Sandbox, backend: str) -> Scene:
    """Start a server on ``sqlite`` or ``postgresql``, then exporter and Prometheus; no load yet."""
    database: Database
    if backend == "postgresql":
        postgres = start_postgres(sandbox, durable=False)
        database = Postgresql(postgres.url())
        server = start_prefect_server(sandbox, database_url=postgres.prefect_url())
    else:
        server = start_prefect_server(sandbox)
        database = Sqlite(sandbox.folder / "prefect-server" / "prefect.db")
    exporter = start_exporter(
        sandbox,
        port=free_port(),
        PREFECT_EXPORTER_POLL_INTERVAL=f"{POLL_SECONDS}s",
        PREFECT_EXPORTER_SLOW_INTERVAL="10s",
        PREFECT_EXPORTER_AUDIT_INTERVAL=f"{AUDIT_SECONDS}s",
        # Those that usually poll once a minute: they too are to live through everything.
        PREFECT_EXPORTER_COLLECTORS=",".join(f"{name}=10s" for name in _EACH_MINUTE),
        # The shortest: most of what is late is then left to the audit.
        PREFECT_EXPORTER_FLOW_RUN_OVERLAP="10s",
        PREFECT_EXPORTER_TASK_RUN_OVERLAP="10s",
        **server.client_environment,
    )
    config = PrometheusConfig(
        targets={"exporter": exporter.address}, interval_seconds=SCRAPE_SECONDS
    )
    prometheus = start_prometheus(sandbox, config)
    wait_until(lambda: bool(prometheus.query("up == 1")), within=60, what="the first scrape")
    return Scene(backend, sandbox, database, server, exporter, prometheus)


class Load:
    """Clients that start runs and end them, in processes of their own."""

    def __init__(self, scene: Scene) -> None:
        self._stop = scene.load_folder / api_load.STOP
        url, folder = scene.server.api_url, str(scene.load_folder)
        self._processes = [
            _start(scene, f"api-load-{seed}", "exactness.api_load", url, folder, str(seed))
            for seed in range(_API_LOADS)
        ]
        self._processes.append(_start(scene, "engine-load", "exactness.engine_load", folder))

    def check(self) -> None:
        """Raise `NotReadyError`, with the log's tail, where a client has died."""
        for process in self._processes:
            process.check()

    def finish(self) -> None:
        """End what is under way, and return once it has ended; no new runs begin."""
        self._stop.touch()
        for process in self._processes:
            code = process.wait(90)
            assert code == 0, process.log_tail()


def _start(scene: Scene, name: str, module: str, *arguments: str) -> Process:
    settings = {"PYTHONPATH": str(_TESTS), "PREFECT_CLIENT_MAX_RETRIES": "3"}
    program = Program(
        name=name,
        argv=[sys.executable, "-m", module, *arguments],
        env=scene.sandbox.prefect_environment(name, **scene.server.client_environment, **settings),
        ready=lambda: True,
    )
    return scene.sandbox.start(program)


def settle(scenes: Sequence[Scene]) -> None:
    """Return once everything that has ended so far had its chance to be counted and scraped.

    Each collector has ended a poll, the audits too, that began after the last event was stored.
    """
    time.sleep(EVENTS_ARE_STORED_SECONDS)
    begun = [_polls(scene) for scene in scenes]
    for scene, before in zip(scenes, begun, strict=True):
        ready = partial(_has_polled, scene, {name: polls + 2 for name, polls in before.items()})
        wait_until(ready, within=_SETTLE_SECONDS, what="two polls of every collector")
        shown = partial(_holds_nothing, scene)
        wait_until(shown, within=_SETTLE_SECONDS, what="the last held series")
    time.sleep(2 * SCRAPE_SECONDS)


def _has_polled(scene: Scene, times: Mapping[str, float]) -> bool:
    polls = _polls(scene)
    return all(polls[name] >= number for name, number in times.items())


def _polls(scene: Scene) -> dict[str, float]:
    return {
        labels["collector"]: value
        for name, labels, value in _metrics(scene)
        if name == "prefect_exporter_collector_polls_total" and labels["status"] == "success"
    }


def _holds_nothing(scene: Scene) -> bool:
    return [0.0] == [v for name, _, v in _metrics(scene) if name == "prefect_exporter_held_series"]


def _metrics(scene: Scene) -> Iterator[tuple[str, dict[str, str], float]]:
    text = httpx.get(scene.exporter.metrics_url, timeout=10, trust_env=False).raise_for_status()
    for family in text_string_to_metric_families(text.text):
        for sample in family.samples:
            yield sample.name, sample.labels, sample.value
