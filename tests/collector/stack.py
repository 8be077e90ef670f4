"""The stack's collectors as processes, and what is sent to them by hand."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from collector.parts import DEPLOY
from demo.processes import Process, Program, answers_at, free_port

STACK = (DEPLOY / "runs.yaml", DEPLOY / "stack.yaml")
CONTAINER_LOGS = DEPLOY / "container-logs.yaml"
POD_LOGS = (CONTAINER_LOGS, DEPLOY / "pod-logs.yaml")
AGENT = DEPLOY / "agent.yaml"

# Only what would make tests wait.
HASTE = """
processors: { tail_sampling/rare: { decision_wait: 1s } }
connectors: { span_metrics: { metrics_flush_interval: 500ms } }
exporters:
  otlp_grpc/jaeger:
    sending_queue: { batch: { flush_timeout: 100ms } }
    retry_on_failure: { initial_interval: 100ms, max_interval: 1s }
  otlp_http/loki:
    sending_queue: { batch: { flush_timeout: 100ms } }
    retry_on_failure: { initial_interval: 100ms, max_interval: 1s }
"""

HASTE_OF_AGENT = """
exporters:
  load_balancing: &faster
    protocol: { otlp: { retry_on_failure: { initial_interval: 100ms, max_interval: 1s } } }
  load_balancing/metrics: *faster
"""

READER_GATE = "--feature-gates=stanza.synchronousLogEmitter"

# So that other policies can be seen at work.
NOTHING_IS_RARE = HASTE.replace(
    "decision_wait: 1s", "decision_wait: 1s, policies: [{ name: other, type: always_sample }]"
)


@dataclass(frozen=True, slots=True)
class Running:
    """A collector at work; each address is ``host:port``."""

    process: Process
    grpc: str
    http: str
    metrics: str
    telemetry: str
    health: str

    def page(self) -> str:
        """Return what Prometheus would be shown of flows and spans."""
        return _got(f"http://{self.metrics}/metrics")

    def own(self, name: str, **labels: str) -> float:
        """Return the sum of one of its metrics about itself, 0 where there is none."""
        found = [
            float(line.rpartition(" ")[2])
            for line in _got(f"http://{self.telemetry}/metrics").splitlines()
            if line.partition("{")[0] == name
            and all(f'{key}="{text}"' in line for key, text in labels.items())
        ]
        return sum(found)

    def send(self, signal: str, request: object) -> int:
        """Send a request of OTLP in JSON; return the status of the answer."""
        return httpx.post(
            f"http://{self.http}/v1/{signal}", json=request, timeout=30, trust_env=False
        ).status_code


def _got(url: str) -> str:
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    answer = httpx.get(url, headers=accept, timeout=10, trust_env=False)
    return answer.raise_for_status().text


@dataclass(frozen=True, slots=True)
class Collector:
    """How to run one of them; its log, storage and haste are in *folder*."""

    program: Path
    folder: Path
    env: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def gateway(self, *, haste: str = HASTE) -> Iterator[Running]:
        """Run the collector of the stack until the block ends."""
        faster = self.folder / "haste.yaml"
        faster.write_text(haste)
        gate = "--feature-gates=processor.tailsamplingprocessor.recordpolicy"
        with self._running(*STACK, faster, gate=gate) as running:
            yield running

    @contextmanager
    def agent(self, *gateways: str) -> Iterator[Running]:
        """Run the tier before these gateways, each ``host:port`` by gRPC, until the block ends."""
        faster = self.folder / "haste.yaml"
        faster.write_text(HASTE_OF_AGENT)
        with self._running(AGENT, faster, GATEWAYS=json.dumps(gateways)) as running:
            yield running

    @contextmanager
    def container_logs(self) -> Iterator[Running]:
        """Run the reader of Docker's files until the block ends."""
        with self._running(CONTAINER_LOGS, gate=READER_GATE) as running:
            yield running

    @contextmanager
    def pod_logs(self) -> Iterator[Running]:
        """Run the reader of a Kubernetes node's files until the block ends."""
        with self._running(*POD_LOGS, gate=READER_GATE) as running:
            yield running

    @contextmanager
    def _running(self, *files: Path, gate: str = "", **more: str) -> Iterator[Running]:
        grpc, http, metrics, telemetry, health = (f"127.0.0.1:{free_port()}" for _ in range(5))
        storage = self.folder / "storage"
        storage.mkdir(exist_ok=True)
        env = {
            "OTLP_GRPC_ADDRESS": grpc,
            "OTLP_HTTP_ADDRESS": http,
            "METRICS_ADDRESS": metrics,
            "TELEMETRY_PORT": telemetry.partition(":")[2],
            "HEALTH_ADDRESS": health,
            "STORAGE_DIRECTORY": str(storage),
        }
        program = Program(
            name="collector",
            argv=[
                str(self.program),
                *(f"--config={path}" for path in files),
                *([gate] if gate else ()),
            ],
            env={**env, **more, **self.env},
            ready=answers_at(f"http://{health}"),
        )
        log = self.folder / f"collector-{free_port()}.log"
        process = Process(program, log=log, cwd=self.folder)
        try:
            process.start()
            process.wait_ready()
            yield Running(process, grpc, http, metrics, telemetry, health)
        finally:
            process.stop()


@dataclass(frozen=True, slots=True)
class Sent:
    """A span to send.

    Args:
        trace: A number; its id is that in hexadecimal, and the ids of spans begin with it.
        number: Of the span in its trace, from 1 on.
        seconds: How long it took, until now.
    """

    trace: int
    number: int = 1
    name: str = "task load"
    seconds: float = 0.5
    failed: bool = False
    message: str = ""
    attributes: Mapping[str, object] = field(default_factory=dict)
    event: Mapping[str, object] = field(default_factory=dict)

    @property
    def trace_id(self) -> str:
        """The id of its trace, in hexadecimal."""
        return trace_id(self.trace)

    def otlp(self) -> object:
        """Return it as OTLP has it."""
        end = time.time_ns()
        return {
            "traceId": self.trace_id,
            "spanId": f"{self.trace * 1000 + self.number:016x}",
            "name": self.name,
            "kind": 1,
            "startTimeUnixNano": str(end - int(self.seconds * 1e9)),
            "endTimeUnixNano": str(end),
            "status": {"code": 2 if self.failed else 0, "message": self.message},
            "attributes": attributes(self.attributes),
            "events": [{"name": "exception", "attributes": attributes(self.event)}],
        }


def trace_id(number: int) -> str:
    """Return an id that a sampler by hash takes for a random one."""
    return f"{number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}"


def spans(sent: Sequence[Sent], **resource: object) -> object:
    """Return a request with these spans of one process."""
    scopes = [{"scope": {"name": "tests"}, "spans": [each.otlp() for each in sent]}]
    described = attributes({"service.name": "etl", **_dotted(resource)})
    return {"resourceSpans": [{"resource": {"attributes": described}, "scopeSpans": scopes}]}


def records(sent: Sequence[Mapping[str, object]], **resource: object) -> object:
    """Return a request with log records of one process, each as OTLP has it."""
    described = attributes({"service.name": "etl", **_dotted(resource)})
    scopes = [{"scope": {"name": "tests"}, "logRecords": list(sent)}]
    return {"resourceLogs": [{"resource": {"attributes": described}, "scopeLogs": scopes}]}


def record(body: str, **given: object) -> dict[str, object]:
    """Return a log record with attributes, as OTLP has it."""
    at: dict[str, object] = {
        "timeUnixNano": str(time.time_ns()),
        "severityNumber": 9,
        "severityText": "INFO",
    }
    return at | {"body": {"stringValue": body}, "attributes": attributes(given)}


def _dotted(given: Mapping[str, object]) -> Mapping[str, object]:
    return {name.replace("__", "."): value for name, value in given.items()}


def attributes(given: Mapping[str, object]) -> Sequence[object]:
    """Return attributes as OTLP has them."""
    return [{"key": name, "value": _value(value)} for name, value in given.items()]


def _value(value: object) -> object:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case Mapping():
            return {"kvlistValue": {"values": attributes(value)}}
        case _:
            return {"stringValue": str(value)}


def docker_line(log: str, *, project: str = "po", service: str = "worker", at_ns: int) -> str:
    """Return a line of Docker's json-file driver, with its line feed."""
    seconds, nanoseconds = divmod(at_ns, 1_000_000_000)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    labels = {
        "com.docker.compose.project": project,
        "com.docker.compose.service": service,
        "tag": f"{project}-{service}-1",
    }
    line = {
        "log": log,
        "stream": "stdout",
        "attrs": labels,
        "time": f"{moment}.{nanoseconds:09d}Z",
    }
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n"
