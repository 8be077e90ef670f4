"""A real Prometheus, and what it says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx

from demo.processes import Process, Program, answers_at, free_port
from demo.sandbox import Sandbox, find_program


@dataclass(frozen=True, slots=True)
class Sample:
    """One series at one moment; *at* is Unix time in seconds."""

    labels: Mapping[str, str]
    at: float
    value: float


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert that fires."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusConfig:
    """What Prometheus is to do.

    Args:
        targets: Job name to ``host:port``; each is asked for ``/metrics``.
        interval_seconds: Between two scrapes, and between two evaluations of the rules.
        rule_files: Rules to load.
        links: The addresses that annotations of alerts begin with, by the names of the stack's
            external labels.
        alertmanager: ``host:port`` of the Alertmanager; None for none.
    """

    targets: Mapping[str, str]
    interval_seconds: int = 5
    rule_files: Sequence[Path] = field(default=())
    links: Mapping[str, str] = field(default_factory=dict)
    alertmanager: str | None = None

    def document(self) -> dict[str, Any]:
        """Return the configuration file's content; as JSON it is YAML too."""
        interval = f"{self.interval_seconds}s"
        managers = [self.alertmanager] if self.alertmanager else []
        return {
            "global": {
                "scrape_interval": interval,
                "evaluation_interval": interval,
                "external_labels": dict(self.links),
            },
            "rule_files": [str(path) for path in self.rule_files],
            "alerting": {
                "alertmanagers": [{"static_configs": [{"targets": managers}]}],
                "alert_relabel_configs": [
                    {"regex": name, "action": "labeldrop"} for name in self.links
                ],
            },
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [target]}]}
                for job, target in self.targets.items()
            ],
        }


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A Prometheus that answers; *url* has no slash at the end."""

    process: Process
    url: str

    def query(self, promql: str, *, at: datetime | None = None) -> list[Sample]:
        """Return the instant vector of *promql*, now or at an aware time."""
        when = {} if at is None else {"time": at.isoformat()}
        return [
            Sample(series["metric"], *_point(series["value"]))
            for series in self._ask("query", query=promql, **when)
        ]

    def query_range(
        self, promql: str, *, start: datetime, end: datetime, step_seconds: float
    ) -> list[Sample]:
        """Return every point of the range vector, series after series, each in time order."""
        bounds = {"start": start.isoformat(), "end": end.isoformat(), "step": f"{step_seconds}s"}
        return [
            Sample(series["metric"], *_point(value))
            for series in self._ask("query_range", query=promql, **bounds)
            for value in series["values"]
        ]

    def firing(self) -> list[Alert]:
        """Return what fires now, without what waits for its time."""
        answer = httpx.get(f"{self.url}/api/v1/alerts", timeout=30, trust_env=False)
        return [
            Alert(alert["labels"], alert["annotations"])
            for alert in answer.raise_for_status().json()["data"]["alerts"]
            if alert["state"] == "firing"
        ]

    def graph_url(self, promql: str) -> str:
        """Return the address of the page that shows *promql* as a graph."""
        page = {"g0.expr": promql, "g0.tab": "0", "g0.range_input": "15m"}
        return f"{self.url}/graph?{urlencode(page)}"

    def _ask(self, route: str, **form: str) -> list[dict[str, Any]]:
        answer = httpx.post(f"{self.url}/api/v1/{route}", data=form, timeout=30, trust_env=False)
        if answer.is_client_error:
            raise ValueError(f"Prometheus rejects {form['query']}: {answer.json()['error']}")
        answer.raise_for_status()
        result: list[dict[str, Any]] = answer.json()["data"]["result"]
        return result


def start_prometheus(
    sandbox: Sandbox, config: PrometheusConfig, *, port: int | None = None
) -> Prometheus:
    """Start Prometheus with an empty database and return once it is ready.

    Raises:
        FileNotFoundError: Prometheus is not installed.
    """
    command = find_program("prometheus")
    if command is None:
        raise FileNotFoundError("Prometheus is not installed: apt-get install prometheus")
    folder = sandbox.subfolder("prometheus")
    config_file = folder / "prometheus.yml"
    config_file.write_text(json.dumps(config.document(), indent=2))
    address = f"127.0.0.1:{port or free_port()}"
    program = Program(
        name="prometheus",
        argv=[
            command,
            f"--config.file={config_file}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
            # An alert that fires before the Alertmanager is discovered is not lost for a minute.
            "--rules.alert.resend-delay=5s",
            "--log.level=warn",
        ],
        env=sandbox.environment(),
        ready=answers_at(f"http://{address}/-/ready"),
    )
    return Prometheus(sandbox.start(program), f"http://{address}")


def _point(pair: tuple[float, str]) -> tuple[float, float]:
    return pair[0], float(pair[1])
