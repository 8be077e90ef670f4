"""A real collector turns deltas of many processes into totals: deploy/otel-collector/runs.yaml."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import httpx
import pytest
import yaml
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from collector.otlp import Buckets, Sample, exposed
from collector.parts import DEPLOY, ROOT, collector
from demo.processes import Process, answers_at, free_port, wait_until
from demo.prometheus import Prometheus, PrometheusConfig, start_prometheus
from demo.sandbox import Sandbox

# The first of these tests builds the collector where that was not done.
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

RUNS = DEPLOY / "runs.yaml"
PAGE = ROOT / "docs" / "meters.md"
OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}
MEBIBYTE = 2**20
ATTEMPTS = "prefect_sdk_attempts_total"
MEMORY = "prefect_sdk_process_peak_memory_bytes"
OF_THE_FLOW = {
    "service_name": "etl",
    "deployment_environment_name": "production",
    "flow": "nightly",
    "deployment": "daily",
}


@dataclass(frozen=True, slots=True)
class Collector:
    """A collector at work; each address is ``host:port``."""

    process: Process
    grpc: str
    http: str
    metrics: str

    def page(self) -> str:
        """Return what Prometheus would be shown."""
        answer = httpx.get(
            f"http://{self.metrics}/metrics", headers=OPENMETRICS, timeout=5, trust_env=False
        )
        return answer.raise_for_status().text

    def value(self, name: str) -> float | None:
        """Return the value of the only series of that name, None where there is none."""
        found = [sample.value for sample in exposed(self.page()) if sample.name == name]
        if not found:
            return None
        (value,) = found
        assert not isinstance(value, Buckets)
        return value

    def wait_for(self, number: float) -> None:
        """Wait until so many attempts are shown."""
        wait_until(lambda: self.value(ATTEMPTS) == number, within=60, what=f"{number:g} attempts")

    def wait_ready(self) -> None:
        """Wait until it answers."""
        wait_until(answers_at(f"http://{self.metrics}/metrics"), within=60, what="the collector")


@contextmanager
def collecting(program: Path, folder: Path, *more: Path) -> Iterator[Collector]:
    """Run a collector by the file as it is, and *more* after it, until the block ends."""
    grpc, http, metrics = (f"127.0.0.1:{free_port()}" for _ in range(3))
    env = {"OTLP_GRPC_ADDRESS": grpc, "OTLP_HTTP_ADDRESS": http, "METRICS_ADDRESS": metrics}
    with collector(program, folder, RUNS, *more, **env) as process:
        running = Collector(process, grpc, http, metrics)
        running.wait_ready()
        yield running


class Run:
    """A process that counts as a flow's run does and sends deltas; a context manager.

    On leaving, it sends what it still holds, and ends.
    """

    def __init__(self, to: Collector, *, protocol: str = "http", version: str = "0.1") -> None:
        address = to.grpc if protocol == "grpc" else to.http
        env = {name: text for name, text in os.environ.items() if not name.startswith("OTEL_")} | {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{address}",
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta",
        }
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("run_process.py")), protocol, version],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        """Return the run itself."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """End the process in order."""
        self._process.communicate(timeout=30)

    def count(self, number: float) -> str:
        """Count, and send nothing yet; return the id of the trace that it belongs to."""
        return self._order(count=number)

    def send(self, number: float) -> str:
        """Count, and send; return the id of the trace that it belongs to."""
        return self._order(count=number, send=True)

    def _order(self, **order: object) -> str:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{json.dumps(order)}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()


def test_processes_side_by_side_add_up(tmp_path: Path, otelcol: Path) -> None:
    """Runs that overlap are one series of each meter, whatever sent them, under its whole name."""
    with (
        collecting(otelcol, tmp_path) as running,
        Run(running, protocol="grpc") as long,
        Run(running, version="0.2") as short,
    ):
        # Begins before what is seen first, and ends after it.
        long.count(1)
        short.send(0.5)
        long.send(2)
        short.send(4)
        long.send(0)
        running.wait_for(7.5)
        shown = exposed(running.page())

    flow = OF_THE_FLOW.items()
    io = flow | {("source", "s3"), ("destination", "db")}
    queue = {item for item in flow if item[0] not in ("flow", "deployment")} | {("queue", "orders")}
    memory = Buckets((MEBIBYTE, 2 * MEBIBYTE), (3, 1, 1), 5, 7.5 * MEBIBYTE)
    assert {
        Sample("sum", ATTEMPTS, frozenset(flow), 7.5),
        Sample("sum", "prefect_sdk_io_bytes_total", frozenset(io), 7.5),
        Sample("sum", "prefect_sdk_process_cpu_seconds_total", frozenset(flow), 3.75),
        Sample("histogram", MEMORY, frozenset(flow), memory),
        Sample("gauge", "prefect_sdk_dead_letters", frozenset(queue), 0),
    } == shown


def test_nothing_is_lost_when_many_send_at_once(tmp_path: Path, otelcol: Path) -> None:
    """The totals of all series are whole, though many requests move all of them at once."""
    requests, tasks = 100, 1000
    body = request(tasks)
    with collecting(otelcol, tmp_path) as running:

        def post(client: httpx.Client) -> int:
            return client.post(
                f"http://{running.http}/v1/metrics",
                content=body,
                headers={"Content-Type": "application/json"},
            ).status_code

        with httpx.Client(trust_env=False, timeout=30) as client, ThreadPoolExecutor(8) as pool:
            answers = set(pool.map(post, [client] * requests))
        # A request is answered before it is counted.
        with suppress(TimeoutError):
            wait_until(lambda: totals(running) == {requests}, within=60, what="all attempts")
        shown = totals(running), len(exposed(running.page()))

    assert {200} == answers
    assert ({requests}, tasks) == shown


def request(tasks: int) -> bytes:
    """Return a request that says of so many tasks that each was attempted once."""
    points = [
        {
            "startTimeUnixNano": "1",
            "timeUnixNano": "2",
            "asInt": "1",
            "attributes": [{"key": "task", "value": {"stringValue": f"task-{number}"}}],
        }
        for number in range(tasks)
    ]
    total = {"aggregationTemporality": 1, "isMonotonic": True, "dataPoints": points}
    metrics = [{"name": ATTEMPTS, "sum": total}]
    return json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]}).encode()


def totals(running: Collector) -> set[float | Buckets]:
    """Return the values that are shown, each once."""
    return {sample.value for sample in exposed(running.page())}


@pytest.fixture(name="sandbox")
def _sandbox() -> Iterator[Sandbox]:
    """A place for Prometheus."""
    with Sandbox() as sandbox:
        yield sandbox


def watching(sandbox: Sandbox, running: Collector) -> Prometheus:
    """Start a Prometheus that scrapes the collector each second."""
    config = PrometheusConfig(targets={"runs": running.metrics}, interval_seconds=1)
    return start_prometheus(sandbox, config)


def asked(prometheus: Prometheus, promql: str, at: datetime | None = None) -> float | None:
    """Return the value of the only series in the answer, None for no series."""
    found = prometheus.query(promql, at=at)
    assert len(found) <= 1
    return found[0].value if found else None


def wait_seen(prometheus: Prometheus, number: float, seconds: int) -> datetime:
    """Wait until the total has been *number* for so long in Prometheus; return when that is."""
    seen = f"count_over_time(({ATTEMPTS} == {number})[1m:1s])"
    wait_until(
        lambda: (asked(prometheus, seen) or 0) >= seconds, within=30, what=f"{seen} >= {seconds}"
    )
    return datetime.now(UTC)


def night(running: Collector, number: float) -> None:
    """Run a process that counts so much, and ends."""
    with Run(running) as run:
        run.send(number)


def test_each_night_is_an_increase(tmp_path: Path, otelcol: Path, sandbox: Sandbox) -> None:
    """The second night's process is an increase, and by the query of the page the first is too."""
    of_the_page = query_of_the_page().replace("1h", "2s").replace("1d", "8s")
    with collecting(otelcol, tmp_path) as running:
        prometheus = watching(sandbox, running)
        night(running, 2)
        first = wait_seen(prometheus, 2, seconds=5)
        night(running, 3)
        second = wait_seen(prometheus, 5, seconds=4)

    increase = f"increase({ATTEMPTS}[8s])"
    assert (0, 3) == tuple(rounded(prometheus, increase, at) for at in (first, second))
    assert (2, 3) == tuple(rounded(prometheus, of_the_page, at) for at in (first, second))


def rounded(prometheus: Prometheus, promql: str, at: datetime) -> int | None:
    """Return a value without what Prometheus adds to it at the ends of a range.

    That is less than half of it where samples are dense, and never makes it less.
    """
    value = asked(prometheus, promql, at)
    return None if value is None else int(value + 0.01)


def query_of_the_page() -> str:
    """Return the query that takes a new series as a whole."""
    _, _, section = PAGE.read_text().partition("\n### The increase of a night\n")
    _, _, query = section.partition("\n```promql\n")
    return query.partition("\n```\n")[0]


def test_collector_that_starts_again_begins_at_zero(
    tmp_path: Path, otelcol: Path, sandbox: Sandbox
) -> None:
    """A total that comes back lower is an increase; one that comes back as high is not seen."""
    with collecting(otelcol, tmp_path) as running:
        prometheus = watching(sandbox, running)
        night(running, 2)
        wait_seen(prometheus, 2, seconds=2)
        seen = []
        for _ in range(2):
            running.process.kill()
            running.process.start()
            running.wait_ready()
            absent = running.value(ATTEMPTS)
            night(running, 1)
            later = wait_scraped(prometheus, times=3)
            seen.append((absent, rounded(prometheus, f"increase({ATTEMPTS}[1m])", later)))

    assert [(None, 1), (None, 1)] == seen


def wait_scraped(prometheus: Prometheus, *, times: int) -> datetime:
    """Wait until Prometheus has so many totals that are younger than now; return when that is."""
    called = time.time()
    # Of the series' own samples: one from before a restart is not taken for one from after it.
    younger = f"count_over_time((timestamp({ATTEMPTS}) > {called:.3f})[1m:1s])"
    wait_until(
        lambda: (asked(prometheus, younger) or 0) >= times,
        within=30,
        what=f"{times} totals after a restart",
    )
    return datetime.now(UTC)


def test_total_that_is_not_kept_begins_anew(tmp_path: Path, otelcol: Path) -> None:
    """Without what the file says, a night later the total is gone and what follows starts at 0."""
    short = tmp_path / "short.yaml"
    short.write_text("exporters: { prometheus: { metric_expiration: 5s } }")
    with collecting(otelcol, tmp_path, short) as running:
        night(running, 2)
        wait_until(lambda: running.value(ATTEMPTS) is None, within=60, what="the end of the total")
        with Run(running) as run:
            run.send(3)
            # A request is answered before it is counted.
            wait_until(lambda: running.value(ATTEMPTS) is not None, within=30, what="a new total")
            begun = running.value(ATTEMPTS)

    assert 3 == begun
    assert "26h" == yaml.safe_load(RUNS.read_text())["exporters"]["prometheus"]["metric_expiration"]


def test_exemplar_leads_to_the_newest_run(tmp_path: Path, otelcol: Path) -> None:
    """A total carries the trace of the newest run; a histogram one only until its second point."""
    with collecting(otelcol, tmp_path) as running, Run(running) as run:
        first = run.send(1)
        running.wait_for(1)
        after_one = traces(running.page())
        second = run.send(1)
        running.wait_for(2)
        after_two = traces(running.page())

    totals = {
        ATTEMPTS,
        "prefect_sdk_io_bytes_total",
        "prefect_sdk_process_cpu_seconds_total",
    }
    assert {(name, first) for name in totals | {f"{MEMORY}_bucket"}} == after_one
    assert {(name, second) for name in totals} == after_two


def traces(openmetrics: str) -> set[tuple[str, str]]:
    """Return the names of samples with an exemplar, and its trace."""
    families: Iterator[Metric] = text_string_to_metric_families(openmetrics)  # type: ignore[no-untyped-call]  # theirs
    return {
        (sample.name, sample.exemplar.labels["trace_id"])
        for family in families
        for sample in family.samples
        if sample.exemplar
    }


def test_page_shows_the_configuration_as_it_is() -> None:
    """What the page tells the reader to copy is what is tested here."""
    assert RUNS.read_text() in PAGE.read_text()
