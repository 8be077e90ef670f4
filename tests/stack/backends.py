"""Jaeger and Loki as processes: the programs of their images with the stack's configuration."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import yaml
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util.types import AttributeValue

from demo.processes import Process, Program, free_port
from stack.compose import ROOT, docker

T = TypeVar("T")

DEPLOY = ROOT / "deploy"


@dataclass(frozen=True, slots=True)
class Backend:
    """A program with an API at *url*; spans go to *otlp*, which is a host and a port."""

    process: Process
    url: str
    otlp: str = ""

    def get(self, path: str, **parameters: str | int) -> httpx.Response:
        """Ask its API."""
        return httpx.get(self.url + path, params=parameters, timeout=15, trust_env=False)

    def post(self, path: str, document: object) -> httpx.Response:
        """Send JSON."""
        return httpx.post(self.url + path, json=document, timeout=30, trust_env=False)


def program_of(service: str, path: str, folder: Path) -> Path:
    """Take a program out of the image of a service of docker-compose.yml."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    container = docker("create", compose["services"][service]["image"]).strip()
    try:
        docker("cp", f"{container}:{path}", str(folder / service))
    finally:
        docker("rm", container)
    return folder / service


def eventually(ask: Callable[[], T], within: float = 20.0) -> T:
    """Return the first answer that is not empty, or the last one."""
    deadline = time.monotonic() + within
    while not (answer := ask()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return answer


@contextmanager
def jaeger(
    program: Path, folder: Path, *, prometheus: int = 9, retention: str = ""
) -> Iterator[Backend]:
    """Run Jaeger on Badger, with its store in *folder*, until the block ends.

    It asks for span metrics at the port *prometheus*; *retention* is `JAEGER_RETENTION`.
    """
    api, otlp, health, grpc = (f"127.0.0.1:{free_port()}" for _ in range(4))
    own = {"prometheus": {"host": "127.0.0.1", "port": free_port()}}
    storage = "extensions.jaeger_storage"
    badger = f"{storage}.backends.spans.badger.directories"
    settings = {
        f"{badger}.keys": folder / "keys",
        f"{badger}.values": folder / "values",
        f"{storage}.metric_backends.span_metrics.prometheus.endpoint": f"http://127.0.0.1:{prometheus}",
        "extensions.jaeger_query.http.endpoint": api,
        "extensions.jaeger_query.grpc.endpoint": grpc,
        "extensions.jaeger_query.ui.config_file": DEPLOY / "jaeger" / "ui.json",
        "extensions.healthcheckv2.http.endpoint": health,
        "receivers.otlp.protocols.grpc.endpoint": otlp,
        "service.telemetry.metrics.readers": json.dumps([{"pull": {"exporter": own}}]),
    }
    argv = [str(program), *configuration("badger.yaml")]
    argv += [f"--set={name}={value}" for name, value in settings.items()]
    # Where it would send traces of its own, and at once: to itself, as in its container.
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{otlp}", "OTEL_BSP_SCHEDULE_DELAY": "100"}
    env |= {"JAEGER_RETENTION": retention} if retention else {}
    health_url = f"http://{health}/status"
    with _running("jaeger", argv, env, folder, health_url) as process:
        yield Backend(process, f"http://{api}", otlp)


def configuration(store: str) -> list[str]:
    """Return the options that docker-compose.yml gives to Jaeger, with this *store*."""
    return [f"--config={DEPLOY / 'jaeger' / name}" for name in ("jaeger.yaml", store)]


@contextmanager
def loki(program: Path, folder: Path, *, retention: str = "") -> Iterator[Backend]:
    """Run Loki, with its store in *folder*, until the block ends.

    *retention* is `LOKI_RETENTION`.
    """
    written = folder / "loki.yaml"
    written.write_text(
        (DEPLOY / "loki" / "loki.yaml").read_text().replace("/loki", f"{folder}/loki")
    )
    port = free_port()
    argv = [str(program), f"-config.file={written}", "-config.expand-env=true"]
    argv += ["-server.http-listen-address=127.0.0.1", f"-server.http-listen-port={port}"]
    argv += [f"-server.grpc-listen-port={free_port()}"]
    env = {"LOKI_RETENTION": retention} if retention else {}
    url = f"http://127.0.0.1:{port}"
    with _running("loki", argv, env, folder, f"{url}/ready") as process:
        yield Backend(process, url)


@contextmanager
def prometheus(folder: Path, samples: str) -> Iterator[int]:
    """Run a Prometheus that has these samples in OpenMetrics, and yield its port."""
    (folder / "samples").write_text(samples)
    (folder / "none.yml").write_text("{}")
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", "samples", "data"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    port = free_port()
    argv = ["prometheus", "--config.file=none.yml", "--storage.tsdb.path=data"]
    argv.append(f"--web.listen-address=127.0.0.1:{port}")
    with _running("prometheus", argv, {}, folder, f"http://127.0.0.1:{port}/-/ready"):
        yield port


def put(backend: Backend, *names: str, service: str = "etl", **attributes: AttributeValue) -> str:
    """Send a trace of a span and its children, and return its id once it is acknowledged."""
    made = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": service}))
    provider.add_span_processor(SimpleSpanProcessor(made))
    tracer = provider.get_tracer("prefect_instrumentation")
    with tracer.start_as_current_span(names[0], attributes=attributes) as root:
        for name in names[1:]:
            tracer.start_span(name).end()
    exporter = OTLPSpanExporter(endpoint=backend.otlp, insecure=True, timeout=10)
    result = exporter.export(made.get_finished_spans())
    exporter.shutdown()
    provider.shutdown()

    assert result is SpanExportResult.SUCCESS
    return format(root.get_span_context().trace_id, "032x")


def names_of(backend: Backend, trace_id: str) -> list[str]:
    """Return the names of the spans that Jaeger has of a trace, none where it has no such trace."""
    found = backend.get(f"/api/traces/{trace_id}").json()["data"] or []
    return sorted(span["operationName"] for trace in found for span in trace["spans"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One record of a log, *age* seconds old."""

    body: str
    service: str = "etl"
    age: float = 0.0
    trace_id: str = ""
    attributes: Mapping[str, str] | None = None


def push(backend: Backend, *lines: Line) -> httpx.Response:
    """Send *lines* by OTLP, all in one request."""
    return backend.post("/otlp/v1/logs", {"resourceLogs": [_resource_logs(line) for line in lines]})


def lines_of(
    backend: Backend, logql: str, *, hours: float = 1
) -> list[tuple[Mapping[str, str], str]]:
    """Return the lines that *logql* finds among those of the last *hours*, with their labels."""
    start = int((time.time() - hours * 3600) * 1e9)
    answer = backend.get("/loki/api/v1/query_range", query=logql, start=start, limit=1000)
    return [
        (stream["stream"], line)
        for stream in answer.raise_for_status().json()["data"]["result"]
        for _, line in stream["values"]
    ]


def _resource_logs(line: Line) -> Mapping[str, Any]:
    resource = {
        "service.name": line.service,
        "deployment.environment.name": "production",
        "service.instance.id": "4711",
        "host.name": "worker-1",
    }
    record = {
        "timeUnixNano": str(int((time.time() - line.age) * 1e9)),
        "body": {"stringValue": line.body},
        "severityText": "INFO",
        "traceId": line.trace_id,
        "attributes": _key_values(line.attributes or {}),
    }
    return {
        "resource": {"attributes": _key_values(resource)},
        "scopeLogs": [{"logRecords": [record]}],
    }


def _key_values(attributes: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()]


@contextmanager
def _running(
    name: str, argv: Sequence[str], env: Mapping[str, str], folder: Path, ready: str
) -> Iterator[Process]:
    program = Program(
        name=name,
        argv=argv,
        env={"PATH": os.environ["PATH"], "GOMEMLIMIT": "400MiB", **env},
        ready=lambda: httpx.get(ready, timeout=2, trust_env=False).is_success,
    )
    process = Process(program, log=folder / f"{name}.log", cwd=folder)
    try:
        process.start()
        process.wait_ready()
        yield process
    finally:
        process.stop(grace=20)
