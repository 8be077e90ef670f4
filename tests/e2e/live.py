"""The scene as a stage for a night, and the night that was played on it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import psutil

from demo.processes import descendants
from e2e.pipeline import API_KEY, ERROR_RULES
from e2e.scene import Scene
from logged_scene import Logged
from night_haste import TEAMS
from nights import Message, Request, Row, Span
from pictures.asking import Ask, over_http


@dataclass(frozen=True, slots=True)
class LiveStage:
    """A `night_story.Stage` of processes."""

    scene: Scene
    api_key: str = API_KEY

    @property
    def trigger_url(self) -> str:
        """The service that starts runs."""
        return self.scene.pipeline.trigger_url

    @property
    def rates_url(self) -> str:
        """The pretend service of rates."""
        return self.scene.pipeline.rates_url

    def prefect(self) -> httpx.Client:
        """Return a client of Prefect's API; the caller closes it."""
        return self.scene.client()

    def at_work(self) -> set[str]:
        """Return the ids of the flow runs that have a process below a worker."""
        return set(self._workers())

    def kill_worker_of(self, run_id: str) -> None:
        """Kill a flow run's process and its worker."""
        self._workers()[run_id].process.kill()

    def _workers(self) -> Mapping[str, Logged]:
        """Return whose child each flow run is that has a process."""
        return {
            run_id: worker
            for worker in self.scene.pipeline.workers.values()
            for process in descendants(worker.process.pid)
            if (run_id := _run_of(process))
        }


def _run_of(process: psutil.Process) -> str:
    try:
        return process.environ().get("PREFECT__FLOW_RUN_ID", "")
    except psutil.Error:
        return ""


@dataclass(frozen=True, slots=True)
class LiveNight:
    """What arrived where in the scene."""

    scene: Scene
    request: Request
    neighbour: Request

    def prefect(self) -> httpx.Client:
        """Return a client of Prefect's API; the caller closes it."""
        return self.scene.client()

    def spans(self) -> Sequence[Span]:
        """Return the spans of the night's trace that the collector has passed on."""
        return [
            Span(each.span_id, each.parent_id, each.name, each.attributes)
            for each in self.scene.traced.receiver.spans()
            if each.trace_id == self.request.trace_id
        ]

    def lines(self) -> Sequence[Row]:
        """Return what the service and the workers wrote to their standard output."""
        return [line for each in self.scene.logged.values() for line in each.lines()]

    def records(self) -> Sequence[Row]:
        """Return the log records that the collector has passed on."""
        return [
            {**each.attributes, "trace_id": each.trace_id, "span_id": each.span_id}
            for each in self.scene.traced.receiver.logs()
        ]

    def prometheus(self) -> Ask:
        """Return what asks Prometheus."""
        return over_http(self.scene.prometheus.url)

    def messages(self) -> Sequence[Message]:
        """Return what each team's webhook has heard, alert by alert."""
        return [
            Message(team, alert["status"], alert["labels"])
            for team in TEAMS
            for body in self.scene.on_call.sink.bodies(f"/{team}")
            for alert in body["alerts"]
        ]

    def report(self) -> Any:  # noqa: ANN401 - JSON by its schema
        """Return the report of the last hour, by the command that makes it."""
        server = self.scene.traced.server
        env = self.scene.traced.sandbox.environment(
            PREFECT_EXPORTER_ERROR_RULES=str(ERROR_RULES), **server.client_environment
        )
        command = [sys.executable, "-m", "prefect_exporter", "report", "--quiet", "--fresh"]
        options = ["--since", "1h", "--no-compare", "--format", "json"]
        done = subprocess.run(
            [*command, *options], env=env, capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)
