"""A real Alertmanager with our configuration; its times are short and its services sinks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

import generated
from alerting.document import configuration
from alerting.setup import Setup, Timing
from alerting.teams import Teams
from demo.processes import Process, Program, answers_at, free_port
from monitoring import tool

SHIPPED = generated.ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
TEMPLATES = SHIPPED.parent / "templates" / "*.tmpl"
EXTERNAL_URL = "http://alertmanager.example"

# Alerts of one post are in one group within it, also where it is some seconds on its way: what has
# begun longer ago than a group waits is told at once, and without what comes after it.
_SOON = Timing("5s", "500ms", "1h")
_OFTEN = Timing("0s", "200ms", "200ms")

Alert = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """One that answers at *url*."""

    url: str
    process: Process

    def post(self, alerts: Sequence[Alert]) -> None:
        """Tell it what fires and what has ended, as Prometheus does."""
        httpx.post(f"{self.url}/api/v2/alerts", json=alerts, trust_env=False).raise_for_status()

    def alerts(self) -> list[Alert]:
        """Return what it knows of, with the state of each."""
        return self._get("alerts")

    def groups(self) -> list[Alert]:
        """Return the groups with their alerts, which say by which hours they are muted."""
        return self._get("alerts/groups")

    def metric(self, name: str) -> float:
        """Return the sum of all its own metrics of this name."""
        lines = httpx.get(f"{self.url}/metrics", trust_env=False).text.splitlines()
        mine = [line for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
        return sum(float(line.rsplit(" ", 1)[1]) for line in mine)

    def _get(self, what: str) -> list[Alert]:
        answer = httpx.get(f"{self.url}/api/v2/{what}", trust_env=False).raise_for_status()
        listed: list[Alert] = answer.json()
        return listed


def quick(secrets: Path, sink_url: str = "http://127.0.0.1:1") -> Setup:
    """Return the setup of tests: services at *sink_url*, all within seconds."""
    return Setup(
        secrets=str(secrets),
        templates=str(TEMPLATES),
        timings={"critical": _SOON, "warning": _SOON, "info": _SOON},
        watchdog=_OFTEN,
        pagerduty_url=f"{sink_url}/pagerduty",
        slack_url=f"{sink_url}/bot",
    )


def write(path: Path, teams: Teams, setup: Setup | None = None) -> Path:
    """Write the configuration of these teams, and return its path."""
    text = generated.as_yaml(configuration(teams, setup), source=path)
    path.write_text(text)
    return path


@contextmanager
def alertmanager(config: Path, folder: Path) -> Iterator[Alertmanager]:
    """Run Alertmanager in *folder* until the block ends."""
    address = f"127.0.0.1:{free_port()}"
    program = Program(
        name="alertmanager",
        argv=[
            str(tool("alertmanager")),
            f"--config.file={config}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address={address}",
            f"--web.external-url={EXTERNAL_URL}",
            "--web.route-prefix=/",
            "--cluster.listen-address=",
            "--log.level=debug",
        ],
        env={"PATH": os.environ["PATH"]},
        ready=answers_at(f"http://{address}/-/ready"),
    )
    process = Process(program, log=folder / "alertmanager.log", cwd=folder)
    process.start()
    try:
        process.wait_ready()
        yield Alertmanager(f"http://{address}", process)
    finally:
        process.stop()
