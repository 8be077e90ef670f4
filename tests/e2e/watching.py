"""Prometheus and Alertmanager as they are shipped, at the addresses of a test and in its time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from alert_sinks import WebSink
from alertmanagers import Alertmanager, alertmanager, quick, write
from demo.processes import Program, answers_at, free_port
from demo.prometheus import Prometheus
from demo.sandbox import Sandbox
from monitoring import tool
from night_haste import RULES, SWITCH, TEAMS, copied_rules, in_haste, teams

LOOK_SECONDS = 3
"""Between two scrapes and two evaluations; the stack has 15 s."""


def start_prometheus(
    sandbox: Sandbox,
    targets: Mapping[str, str],
    manager: Alertmanager,
    alerts: frozenset[str],
) -> Prometheus:
    """Start Prometheus with the configuration and all rules of the stack.

    Args:
        sandbox: Where it runs.
        targets: ``host:port`` of those jobs of the stack that there are.
        manager: Who is told.
        alerts: Those whose waiting time is shortened.
    """
    folder = sandbox.subfolder("prometheus")
    address = f"127.0.0.1:{free_port()}"
    rules = list(copied_rules(folder / "rules", alerts))
    document = _configuration({**targets, "prometheus": address}, manager, rules)
    config = folder / "prometheus.yml"
    config.write_text(json.dumps(document))
    program = Program(
        name="prometheus",
        argv=[
            str(tool("prometheus")),
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
            "--enable-feature=exemplar-storage",
            "--rules.alert.resend-delay=5s",
            "--log.level=warn",
        ],
        env=sandbox.environment(),
        ready=answers_at(f"http://{address}/-/ready"),
    )
    return Prometheus(sandbox.start(program), f"http://{address}")


def _configuration(
    targets: Mapping[str, str], manager: Alertmanager, rules: Sequence[Path]
) -> Mapping[str, Any]:
    """Return the stack's configuration with these targets, at a quicker pace."""
    shipped = yaml.safe_load((RULES.parent / "prometheus.yml").read_text())
    every = f"{LOOK_SECONDS}s"
    jobs = [
        {**job, "static_configs": [{"targets": [targets[job["job_name"]]]}]}
        for job in shipped["scrape_configs"]
        if job["job_name"] in targets
    ]
    managers = [{"static_configs": [{"targets": [manager.url.removeprefix("http://")]}]}]
    links = {"grafana_url": "http://grafana.example", "runbook_url": "http://exporter.example"}
    return {
        **shipped,
        "global": {
            "scrape_interval": every,
            "scrape_timeout": every,
            "evaluation_interval": every,
            "external_labels": links,
        },
        "rule_files": [str(path) for path in rules],
        "alerting": {**shipped["alerting"], "alertmanagers": managers},
        "scrape_configs": jobs,
    }


@dataclass(frozen=True, slots=True)
class OnCall:
    """Who is told: an Alertmanager, and what each team's webhook has heard, by its name."""

    manager: Alertmanager
    sink: WebSink


@contextmanager
def on_call(folder: Path, sink: WebSink) -> Iterator[OnCall]:
    """Run Alertmanager with the routes of the stack, a webhook for each team, and its switch."""
    secrets = folder / "alerts"
    secrets.mkdir()
    for name in (*TEAMS, SWITCH):
        (secrets / name).write_text(f"{sink.url}/{name}")
    config = write(folder / "alertmanager.yml", teams(), in_haste(quick(secrets, sink.url)))
    with alertmanager(config, folder) as manager:
        yield OnCall(manager, sink)
