"""Many workspaces and few exporters: real shards that poll simulated Prefects over HTTP."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from bench.machine import cpu_seconds, load_average, peak_memory_bytes
from bench.scraping import FORMATS, Scraper, Values
from demo.exporter import Exporter, start_exporter
from demo.processes import Process, Program, answers_at, free_port
from demo.prometheus import Prometheus, PrometheusConfig, start_prometheus
from demo.sandbox import Sandbox

Say = Callable[[str], None]
_Lags: TypeAlias = dict[str, list[float]]

JOB = "prefect-exporter"
_RULES = Path(__file__).resolve().parents[2] / "deploy" / "prometheus" / "rules"
_SCRAPE_SECONDS = 15
_READY_SECONDS = 300.0
_NEWEST = "prefect_deployment_last_success_timestamp_seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """What there is, and for how long it is looked at.

    Args:
        deployments: Of each workspace.
        flow_runs: That end each day in all workspaces together, each with five task runs.
        warm_minutes: Before the measurement: a new ledger asks twice for each deployment.
        minutes: Of the measurement.
    """

    workspaces: int = 50
    deployments: int = 200
    flow_runs: int = 10_000_000
    shards: int = 4
    warm_minutes: float = 7.0
    minutes: float = 10.0


@dataclass(frozen=True, slots=True)
class ShardCost:
    """What one exporter took.

    Args:
        targets: How many workspaces it has.
        requests: To Prefect, each minute.
        cores: CPU seconds a second.
        memory: The most that was resident, in bytes.
        series: Lines of its ``/metrics``.
        text, zipped: Its size, in bytes.
        scrape, slowest_scrape: How long Prometheus took for it, in seconds: median, and most.
        ledger: The file, in bytes.
        runs, task_runs: Ends that it counted, each second.
        lag, most_lag: How old the newest end on ``/metrics`` was at a scrape, in seconds: the
            median over its workspaces and scrapes, and the most.
        failures: Polls that failed.
    """

    targets: int
    requests: float
    cores: float
    memory: int
    series: int
    text: int
    zipped: int
    scrape: float
    slowest_scrape: float
    ledger: int
    runs: float
    task_runs: float
    lag: float
    most_lag: float
    failures: float


@dataclass(frozen=True, slots=True)
class Fleet:
    """All shards, and the Prometheus that scraped them each 15 s and evaluated our rules.

    Args:
        samples: That Prometheus took each second.
        head_series: What it held, those of recording rules included.
        prometheus_cores: CPU seconds a second.
        prometheus_memory: The most that was resident, in bytes.
        rules_seconds: How long all groups of rules took, once.
        slowest_rules: The slowest group, and its seconds.
        prefect_cores: Of the simulated Prefects.
        load: Average of the machine before and after.
    """

    plan: FleetPlan
    shards: Sequence[ShardCost]
    samples: float
    head_series: float
    prometheus_cores: float
    prometheus_memory: int
    rules_seconds: float
    slowest_rules: tuple[str, float]
    prefect_cores: float
    load: tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Reading:
    """What had risen by a time; seconds of a clock that only rises."""

    at: float
    cpu: float
    values: Values

    def rise(self, before: _Reading, name: str) -> float:
        """Return by how much a counter rose each second."""
        seconds = self.at - before.at
        return (self.values.total(name) - before.values.total(name)) / seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class _Config(PrometheusConfig):
    """All shards in one job, and Prometheus itself in another."""

    shards: Sequence[str]

    def document(self) -> dict[str, Any]:
        """Return the configuration file's content."""
        # The generated parent does not see zero-argument super() in a class with slots.
        document = PrometheusConfig.document(self)
        jobs: list[dict[str, Any]] = document["scrape_configs"]
        jobs.append({"job_name": JOB, "static_configs": [{"targets": [*self.shards]}]})
        return document


def measure_fleet(plan: FleetPlan, say: Say) -> Fleet:
    """Run the shards of *plan* beside a Prometheus, and return what they took.

    Raises:
        NotReadyError: A program did not start, or ended early.
        FileNotFoundError: Prometheus is not installed.
    """
    with Sandbox() as sandbox:
        prefect, url = _start_prefect(sandbox, plan)
        exporters = _start_shards(sandbox, plan, url)
        prometheus = _start_prometheus(sandbox, exporters)
        say(f"Fleet: {plan.shards} shards poll; {plan.warm_minutes:g} minutes to warm up ...")
        _wait(sandbox, plan.warm_minutes)
        say(f"Fleet: measuring {plan.minutes:g} minutes ...")
        load = load_average()
        pids = prefect.pid, prometheus.process.pid
        began, cpu = time.monotonic(), [cpu_seconds(pid) for pid in pids]
        before = [_read(each) for each in exporters]
        lags: _Lags = defaultdict(list)
        _wait(sandbox, plan.minutes, lambda: _take_lags(prometheus, lags))
        after = [_read(each) for each in exporters]
        seconds = time.monotonic() - began
        cores = [(cpu_seconds(pid) - was) / seconds for pid, was in zip(pids, cpu, strict=True)]
        asked = _Asked(prometheus, round(seconds))
        costs = [
            _cost(exporter, was, now, asked, lags[exporter.address])
            for exporter, was, now in zip(exporters, before, after, strict=True)
        ]
        return Fleet(
            plan,
            costs,
            asked.one("rate(prometheus_tsdb_head_samples_appended_total[{w}])"),
            asked.one("prometheus_tsdb_head_series"),
            cores[1],
            peak_memory_bytes(pids[1]),
            asked.one("sum(prometheus_rule_group_last_duration_seconds)"),
            asked.slowest_rules(),
            cores[0],
            (load, load_average()),
        )


def _start_prefect(sandbox: Sandbox, plan: FleetPlan) -> tuple[Process, str]:
    port = free_port()
    numbers = {
        "--port": port,
        "--workspaces": plan.workspaces,
        "--deployments": plan.deployments,
        "--flow-runs": plan.flow_runs // plan.workspaces,
    }
    program = Program(
        name="prefects",
        argv=[
            sys.executable,
            "-m",
            "bench.fleet_prefect",
            *(str(word) for pair in numbers.items() for word in pair),
        ],
        env=sandbox.environment(PYTHONPATH=os.pathsep.join(sys.path)),
        ready=answers_at(f"http://127.0.0.1:{port}/0/api/ready"),
    )
    return sandbox.start(program), f"http://127.0.0.1:{port}"


def _start_shards(sandbox: Sandbox, plan: FleetPlan, url: str) -> list[Exporter]:
    targets = [
        {"name": f"workspace-{number:03d}", "url": f"{url}/{number}/api"}
        for number in range(plan.workspaces)
    ]
    file = sandbox.subfolder("fleet") / "targets.yaml"
    # JSON is YAML.
    file.write_text(json.dumps({"targets": targets}))
    return [
        start_exporter(
            sandbox,
            name=f"shard-{shard}",
            ready_path="/healthz",
            PREFECT_EXPORTER_TARGETS_FILE=str(file),
            PREFECT_EXPORTER_SHARDS=str(plan.shards),
            PREFECT_EXPORTER_SHARD=str(shard),
        )
        for shard in range(plan.shards)
    ]


def _start_prometheus(sandbox: Sandbox, exporters: Sequence[Exporter]) -> Prometheus:
    port = free_port()
    config = _Config(
        targets={"prometheus": f"127.0.0.1:{port}"},
        shards=[each.address for each in exporters],
        interval_seconds=_SCRAPE_SECONDS,
        rule_files=sorted(_RULES.glob("*/*.yml")),
    )
    return start_prometheus(sandbox, config, port=port)


def _wait(sandbox: Sandbox, minutes: float, look: Callable[[], None] = lambda: None) -> None:
    ends = time.monotonic() + minutes * 60
    while (left := ends - time.monotonic()) > 0:
        time.sleep(min(left, _SCRAPE_SECONDS))
        sandbox.check()
        look()


def _take_lags(prometheus: Prometheus, lags: _Lags) -> None:
    """Note how old the newest end of each workspace was when its exporter was last scraped."""
    for sample in prometheus.query(f"min by (instance, target) (timestamp({_NEWEST}) - {_NEWEST})"):
        lags[sample.labels["instance"]].append(sample.value)


def _read(exporter: Exporter) -> _Reading:
    cpu, at = cpu_seconds(exporter.process.pid), time.monotonic()
    return _Reading(at, cpu, Scraper(exporter.address).values())


@dataclass(frozen=True, slots=True)
class _Asked:
    """What Prometheus says of the last seconds."""

    prometheus: Prometheus
    seconds: int

    def values(self, promql: str) -> Iterator[float]:
        """Yield the values of a query in which ``{w}`` stands for the time that was measured."""
        for sample in self.prometheus.query(promql.replace("{w}", f"{self.seconds}s")):
            yield sample.value

    def one(self, promql: str) -> float:
        """Return the first of them; 0 where there is none."""
        return next(self.values(promql), 0.0)

    def slowest_rules(self) -> tuple[str, float]:
        """Return the group of rules that took longest, and its seconds."""
        query = "topk(1, prometheus_rule_group_last_duration_seconds)"
        found = self.prometheus.query(query)
        if not found:
            return "", 0.0
        return found[0].labels["rule_group"].rpartition(";")[2], found[0].value


def _cost(
    exporter: Exporter, before: _Reading, after: _Reading, asked: _Asked, lags: Sequence[float]
) -> ShardCost:
    values, instance = after.values, exporter.address
    scraper = Scraper(instance)
    text, zipped = (len(scraper.read(headers)) for headers in FORMATS.values())
    scrape = f'scrape_duration_seconds{{instance="{instance}"}}[{{w}}]'
    return ShardCost(
        targets=len(values.by("prefect_server_up", "target")),
        requests=60 * after.rise(before, "prefect_exporter_api_requests_total"),
        cores=(after.cpu - before.cpu) / (after.at - before.at),
        memory=peak_memory_bytes(exporter.process.pid),
        series=values.series,
        text=text,
        zipped=zipped,
        scrape=asked.one(f"quantile_over_time(0.5, {scrape})"),
        slowest_scrape=asked.one(f"max_over_time({scrape})"),
        ledger=round(max(values.of("prefect_exporter_ledger_bytes"), default=0)),
        runs=after.rise(before, "prefect_flow_runs_finished_total"),
        task_runs=after.rise(before, "prefect_task_runs_finished_total"),
        lag=statistics.median(lags or [0.0]),
        most_lag=max(lags, default=0.0),
        failures=_failed(after) - _failed(before),
    )


def _failed(reading: _Reading) -> float:
    polls = reading.values.of("prefect_exporter_collector_polls_total", 'status="failure"')
    return sum(polls)
