"""A Prefect server under load, the exporter and Prometheus beside it, and what befalls them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from demo.exporter import Exporter, start_exporter
from demo.postgres import start_postgres
from demo.prefect_server import PrefectServer, start_prefect_server
from demo.processes import Process, Program, descendants, free_port, wait_until
from demo.prometheus import Prometheus, PrometheusConfig, start_prometheus
from demo.sandbox import Sandbox
from exactness import api_load
from exactness.truth import Database, Postgresql, Sqlite

POLL_SECONDS = 3
SCRAPE_SECONDS = 2
AUDIT_SECONDS = 10
OUTAGE_SECONDS = 60.0

_TESTS = Path(__file__).resolve().parent.parent
_API_LOADS = 2
_SETTLE_SECONDS = 60.0


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
        # The shortest: most of what is late is then left to the audit.
        PREFECT_EXPORTER_FLOW_RUN_OVERLAP="10s",
        PREFECT_EXPORTER_TASK_RUN_OVERLAP="10s",
        **server.client_environment,
    )
    config = PrometheusConfig(
        targets={"exporter": exporter.address}, interval_seconds=SCRAPE_SECONDS
    )
    prometheus = start_prometheus(sandbox, config)
    wait_until(lambda: bool(prometheus.query("up == 1")), within=20, what="the first scrape")
    return Scene(backend, sandbox, database, server, exporter, prometheus)


class Load:
    """Clients that start runs and end them, in processes of their own."""

    def __init__(self, scene: Scene) -> None:
        self._folder = scene.sandbox.subfolder("load")
        url, folder = scene.server.api_url, str(self._folder)
        self._processes = [
            _start(scene, f"api-load-{seed}", "exactness.api_load", url, folder, str(seed))
            for seed in range(_API_LOADS)
        ]
        self._processes.append(_start(scene, "engine-load", "exactness.engine_load", folder))

    def check(self) -> None:
        """Raise `NotReadyError`, with the log's tail, where a client has died."""
        for process in self._processes:
            process.check()

    @contextmanager
    def keeping(self, settle_seconds: float) -> Iterator[None]:
        """Delete no run within the block, nor up to *settle_seconds* before it.

        A run of which neither a row nor an event is left is no truth that could be read.
        """
        keep = self._folder / api_load.KEEP
        keep.touch()
        time.sleep(settle_seconds)
        yield
        keep.unlink()

    def finish(self) -> None:
        """End what is under way, and return once it has ended; no new runs begin."""
        (self._folder / api_load.STOP).touch()
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


def kill_exporter_mid_poll(scene: Scene) -> None:
    """Kill the exporter with every request unanswered, since the server is frozen; start it again.

    After one and a half intervals, every collector waits for its answer.
    """
    server = scene.server.process.pid
    family = [psutil.Process(server), *descendants(server)]
    for process in family:
        process.suspend()
    time.sleep(1.5 * POLL_SECONDS)
    scene.exporter.process.kill()
    for process in family:
        process.resume()
    restart(scene.exporter.process)


def kill_exporter(scene: Scene) -> None:
    """Kill the exporter at whatever it does, and start it again on the same ledger."""
    scene.exporter.process.kill()
    restart(scene.exporter.process)


def stop_server(scene: Scene) -> None:
    """End the server by SIGTERM, as an orderly restart does."""
    scene.server.process.stop(grace=30)


def kill_server(scene: Scene) -> None:
    """End the server by SIGKILL."""
    scene.server.process.kill()


def restart(process: Process) -> None:
    """Start a process that has ended again, and return once it answers."""
    process.start()
    process.wait_ready()


def settle(scene: Scene) -> None:
    """Return once everything that has ended so far had its chance to be counted and scraped.

    Each collector, the audits too, has begun a poll since; events needed two, to let a row win.
    """
    events_are_stored = 6.0
    time.sleep(events_are_stored)
    begun = _polls(scene)
    wait_until(
        lambda: all(number >= begun[name] + 2 for name, number in _polls(scene).items()),
        within=_SETTLE_SECONDS,
        what="two polls of every collector",
    )
    wait_until(lambda: _held(scene) == 0, within=_SETTLE_SECONDS, what="the last held series")
    time.sleep(2 * SCRAPE_SECONDS)


def _polls(scene: Scene) -> dict[str, float]:
    return {
        labels["collector"]: value
        for name, labels, value in _metrics(scene)
        if name == "prefect_exporter_collector_polls_total" and labels["status"] == "success"
    }


def _held(scene: Scene) -> float:
    return next(v for name, _, v in _metrics(scene) if name == "prefect_exporter_held_series")


def _metrics(scene: Scene) -> Iterator[tuple[str, dict[str, str], float]]:
    text = httpx.get(scene.exporter.metrics_url, timeout=10, trust_env=False).raise_for_status()
    for family in text_string_to_metric_families(text.text):
        for sample in family.samples:
            yield sample.name, sample.labels, sample.value
