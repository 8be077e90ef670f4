"""A night in the Compose stack: workers of its own, and where its backends are asked."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import yaml

from alerting.document import configuration
from alerting.setup import Setup
from demo.api import ask
from night_alerts import ALERTS
from night_haste import RULES, SWITCH, TEAMS, copied_rules, in_haste, teams
from night_story import ORDERS
from nights import BAD_DATA, CLIENTS, Message, Request, Row, Span
from pictures.asking import Ask, over_http
from stack.asking import get
from stack.compose import ComposeError, Container, Stack, docker
from stack.host import gateway
from stack.sink import Sink, sink

_QUEUES = {"urgent": "urgent", "batch-1": "batch", "batch-2": "batch"}

_WORKER = (
    "/opt/flows/examples/worker.sh",
    "prefect",
    "worker",
    "start",
    "--pool=etl-process",
    "--type=process",
    "--limit=2",
)

_ENVIRONMENTS = r"cat /proc/[0-9]*/environ 2>/dev/null | tr '\0' '\n'"
_RUN_ID = "PREFECT__FLOW_RUN_ID="

_OVERRIDE = """\
services:
  prometheus:
    volumes: ["{folder}/prometheus:/etc/prometheus:ro"]
  alertmanager:
    volumes: ["{folder}/alertmanager:/etc/alertmanager:ro"]
"""

_PIPELINE = ("nightly-orders", "pretend-orders")
"""The flows that run by a schedule, and do not while the night is played."""


@dataclass(frozen=True, slots=True)
class Theatre:
    """A `night_story.Stage` of containers; *workers* by their names."""

    stack: Stack
    sink: Sink
    workers: Sequence[str]
    rates_url: str = "http://demo-rates:8099"

    @property
    def trigger_url(self) -> str:
        """The service that starts runs, by its published port."""
        return self.stack.url("DEMO_TRIGGER_PORT")

    @property
    def api_key(self) -> str:
        """The one that `make secrets` has made."""
        return self.stack.secret("trigger_api_key")

    def prefect(self) -> httpx.Client:
        """Return a client of Prefect's API; the caller closes it."""
        return self.stack.prefect()

    def at_work(self) -> set[str]:
        """Return the ids of the flow runs that have a process in one of the containers."""
        return {run_id for name in self.workers for run_id in _runs_in(name)}

    def kill_worker_of(self, run_id: str) -> None:
        """Kill the container that a flow run is in."""
        docker("kill", next(name for name in self.workers if run_id in _runs_in(name)))

    def containers(self) -> Sequence[Container]:
        """Return those whose lines are the night's: the service's and the workers'."""
        found = self.stack.containers("demo-trigger", "demo-worker")
        return [one for one in found if one.name in self.workers or one.service == "demo-trigger"]


def _runs_in(container: str) -> set[str]:
    """Return the ids of the flow runs at work in a container; none where it was killed."""
    with suppress(ComposeError):
        variables = docker("exec", container, "sh", "-c", _ENVIRONMENTS).splitlines()
        return {each.removeprefix(_RUN_ID) for each in variables if each.startswith(_RUN_ID)}
    return set()


@dataclass(frozen=True, slots=True)
class StackNight:
    """A `nights.Night` in the stack."""

    theatre: Theatre
    request: Request
    neighbour: Request

    def prefect(self) -> httpx.Client:
        """Return a client of Prefect's API; the caller closes it."""
        return self.theatre.prefect()

    def spans(self) -> Sequence[Span]:
        """Return the spans of the night's trace that Jaeger has."""
        url = self.theatre.stack.url("JAEGER_PORT")
        found = get(f"{url}/api/traces/{self.request.trace_id}")["data"]
        return [_span(span) for trace in found for span in trace["spans"]]

    def lines(self) -> Sequence[Row]:
        """Return what the containers wrote, as far as it is JSON."""
        texts = (one.log() for one in self.theatre.containers())
        return [json.loads(line) for text in texts for line in text.splitlines() if line[:1] == "{"]

    def records(self) -> Sequence[Row]:
        """Return nothing: Loki has the lines by the reader of containers, which others look at."""
        return ()

    def prometheus(self) -> Ask:
        """Return what asks Prometheus."""
        return over_http(self.theatre.stack.url("PROMETHEUS_PORT"))

    def messages(self) -> Sequence[Message]:
        """Return what each team was told of the night; the demo's own failures are left out."""
        found = [
            Message(body["receiver"].partition("/")[0], alert["status"], alert["labels"])
            for body in list(self.theatre.sink.received)
            for alert in body["alerts"]
        ]
        return [each for each in found if _of_night(each.labels)]

    def report(self) -> Any:  # noqa: ANN401 - JSON by its schema
        """Return the report of the last hour, by the command that makes it."""
        command = ("prefect-exporter", "report", "--quiet", "--fresh", "--since", "1h")
        options = ("--no-compare", "--format", "json")
        stack = self.theatre.stack
        return json.loads(stack.compose("exec", "--no-TTY", "exporter", *command, *options))


def _of_night(labels: Mapping[str, str]) -> bool:
    told = (labels.get("flow"), labels.get("client"), labels.get("queue"))
    subjects = ("client-batch", "nightly-orders", BAD_DATA, f"orders:{BAD_DATA}")
    return any(each in subjects for each in told)


def _span(span: Mapping[str, Any]) -> Span:
    parents = [each["spanID"] for each in span["references"] if each["refType"] == "CHILD_OF"]
    tags = {tag["key"]: tag["value"] for tag in span["tags"]}
    return Span(span["spanID"], parents[0] if parents else "", span["operationName"], tags)


@contextmanager
def theatre(whole: Stack, folder: Path) -> Iterator[Theatre]:
    """Have three workers, orders and quick alerts in place of what the demo has.

    Args:
        whole: The stack with its demo at work.
        folder: For the copies of rules and routes.
    """
    with ExitStack() as stack:
        webhook = stack.enter_context(sink(gateway(whole)))
        hasty = stack.enter_context(_hasty(whole, folder, webhook))
        stack.enter_context(_quiet(whole))
        workers = [
            stack.enter_context(_worker(whole, name, queue)) for name, queue in _QUEUES.items()
        ]
        _seed(workers[0])
        yield Theatre(hasty, webhook, workers)


@contextmanager
def _hasty(whole: Stack, folder: Path, webhook: Sink) -> Iterator[Stack]:
    """Give Prometheus and Alertmanager rules and routes with short waiting times."""
    for name in ("prometheus", "alertmanager"):
        shutil.copytree(RULES.parents[1] / name, folder / name)
    list(copied_rules(folder / "prometheus" / "rules", frozenset(name for _, name, _ in ALERTS)))
    document = configuration(teams(), in_haste(Setup()))
    (folder / "alertmanager" / "alertmanager.yml").write_text(yaml.safe_dump(document))
    secrets = whole.folder / "secrets" / "alerts"
    for name in (*TEAMS, SWITCH):
        (secrets / name).write_text(webhook.url)
        os.chown(secrets / name, secrets.stat().st_uid, secrets.stat().st_gid)
    override = folder / "override.yml"
    override.write_text(_OVERRIDE.format(folder=folder))
    hasty = replace(whole, overrides=[override])
    hasty.up("prometheus", "alertmanager")
    try:
        yield hasty
    finally:
        whole.up("prometheus", "alertmanager")


@contextmanager
def _quiet(whole: Stack) -> Iterator[None]:
    """Stop the pipeline's own workers and schedules, and go on with them in the end."""
    with whole.prefect() as client:
        of = {"name": {"any_": list(_PIPELINE)}}
        ids = [row["id"] for row in ask(client, "/deployments/filter", flows=of)]
        for deployment in ids:
            client.post(f"/deployments/{deployment}/pause_deployment").raise_for_status()
        whole.compose("stop", "demo-worker")
        try:
            yield
        finally:
            for deployment in ids:
                client.post(f"/deployments/{deployment}/resume_deployment").raise_for_status()
            whole.compose("start", "demo-worker")


@contextmanager
def _worker(whole: Stack, name: str, queue: str) -> Iterator[str]:
    """Run a worker of one queue in a container of its own; yield the container's name."""
    container = f"{whole.name}-night-{name}"
    argv = [*_WORKER, f"--work-queue={queue}", f"--name=night-{name}"]
    whole.compose("run", "--detach", "--no-deps", f"--name={container}", "demo-worker", *argv)
    try:
        yield container
    finally:
        docker("rm", "--force", container)


def _seed(container: str) -> None:
    """Fill the streams: one client's orders are bad, of the others none is."""
    for client in (name for names in CLIENTS.values() for name in names):
        bad = "0.3" if client == BAD_DATA else "0"
        seed = ("-m", "etl.seed", "--client", client, "--orders", str(ORDERS), "--bad", bad)
        docker("exec", container, "python", *seed, "--seed", "7")
