"""What a gateway of the stack takes for the spans of a fleet, and which of them it keeps."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc  # type: ignore[import-untyped]  # it ships no types
import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from rich.table import Table

from bench.fleet_traces import SPANS_PER_RUN, Traces
from bench.machine import cpu_seconds, load_average, peak_memory_bytes
from bench.tables import filled, mib, new_table
from demo.processes import Process, Program, answers_at, free_port
from demo.sandbox import Sandbox

Say = Callable[[str], None]

_ROOT = Path(__file__).resolve().parents[2]
_CONFIG = _ROOT / "deploy" / "otel-collector"
_GATE = "--feature-gates=processor.tailsamplingprocessor.recordpolicy"
# As agents send what has come to them: some requests a second, of many processes.
_TICK_SECONDS = 0.1
# Of one request: where the machine is late there are several in a row, and none too long.
_MOST_RUNS = 200
# What each of the 32 allowances of rare flows has saved up is spent before anything is measured.
_FIRST_RUNS, _FIRST_SECONDS = 15_000, 45.0
# Of a trace that may be rare nothing is sent before; then come the batches of the exporter.
_KEPT_AFTER_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class Sampled:
    """What a gateway took for the spans of so many runs, and what was left of them.

    Args:
        runs: That were sent.
        seconds: Within which.
        sent_bytes: Their spans, as protobuf.
        cpu: Seconds of the gateway.
        memory: The most that was resident, in bytes.
        kept: Spans that arrived where traces go, by what kept them.
        kept_bytes: Those, as protobuf.
        load: Average of the machine before and after.
    """

    runs: int
    seconds: float
    sent_bytes: int
    cpu: float
    memory: int
    kept: Mapping[str, int]
    kept_bytes: int
    load: tuple[float, float]


@dataclass
class _Backend(TraceServiceServicer):
    """Takes spans by gRPC, and counts them."""

    kept: Counter[str] = field(default_factory=Counter)
    size: int = 0

    def Export(  # noqa: N802  # gRPC's name of it
        self, request: ExportTraceServiceRequest, context: object
    ) -> ExportTraceServiceResponse:
        """Count what came."""
        self.size += request.ByteSize()
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.kept.update(map(_policy, scope.spans))
        return ExportTraceServiceResponse()


@dataclass(frozen=True, slots=True)
class _Gateway:
    process: Process
    url: str


def measure_spans(runs_a_day: int, flows: int, minutes: float, say: Say) -> Sampled:
    """Send the traces of runs at their pace to one gateway, and look at what it keeps.

    Args:
        runs_a_day: Each is a trace of six spans.
        flows: How many flows they are of, each as often as any other.
        minutes: How long.
        say: Hears what is going on.
    """
    traces = Traces(flows, seed=1)
    with Sandbox() as sandbox, _backend() as (backend, address):
        gateway = _start_gateway(sandbox, address)
        runs = round(runs_a_day / 86_400 * minutes * 60)
        say(f"Spans: sending {_FIRST_RUNS:,} traces to a gateway at once ...")
        _send(traces, gateway.url, _FIRST_RUNS, _FIRST_SECONDS)
        time.sleep(_KEPT_AFTER_SECONDS)
        say(f"Spans: sending {runs:,} traces in {minutes:g} minutes ...")
        before, began = _read(gateway, backend), time.monotonic()
        sent = _send(traces, gateway.url, runs, minutes * 60)
        seconds = time.monotonic() - began
        time.sleep(_KEPT_AFTER_SECONDS)
        after = _read(gateway, backend)
        return Sampled(
            runs,
            seconds,
            sent,
            after.cpu - before.cpu,
            peak_memory_bytes(gateway.process.pid),
            dict(after.kept - before.kept),
            after.kept_bytes - before.kept_bytes,
            (before.load, after.load),
        )


def _read(gateway: _Gateway, backend: _Backend) -> _Reading:
    return _Reading(
        cpu_seconds(gateway.process.pid),
        Counter(backend.kept),
        backend.size,
        load_average(),
    )


@dataclass(frozen=True, slots=True)
class _Reading:
    cpu: float
    kept: Counter[str]
    kept_bytes: int
    load: float


@contextmanager
def _backend() -> Iterator[tuple[_Backend, str]]:
    backend = _Backend()
    longest = [("grpc.max_receive_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(2), options=longest)
    add_TraceServiceServicer_to_server(backend, server)  # type: ignore[no-untyped-call]  # as grpc
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield backend, f"127.0.0.1:{port}"
    finally:
        server.stop(grace=None).wait()


def _start_gateway(sandbox: Sandbox, backend: str) -> _Gateway:
    found = subprocess.run(
        [str(_ROOT / "scripts" / "otel-collector")], check=True, capture_output=True, text=True
    )
    grpc_, http, metrics, telemetry, health = (f"127.0.0.1:{free_port()}" for _ in range(5))
    files = [f"--config={_CONFIG / name}" for name in ("runs.yaml", "stack.yaml")]
    program = Program(
        name="gateway",
        argv=[found.stdout.strip(), *files, _GATE],
        env=sandbox.environment(
            OTLP_GRPC_ADDRESS=grpc_,
            OTLP_HTTP_ADDRESS=http,
            METRICS_ADDRESS=metrics,
            TELEMETRY_PORT=telemetry.partition(":")[2],
            HEALTH_ADDRESS=health,
            STORAGE_DIRECTORY=str(sandbox.subfolder("storage")),
            JAEGER_ENDPOINT=backend,
        ),
        ready=answers_at(f"http://{health}"),
    )
    return _Gateway(sandbox.start(program), f"http://{http}/v1/traces")


def _send(traces: Traces, url: str, runs: int, seconds: float) -> int:
    """Send so many runs evenly within that time; return the bytes of them all."""
    began, sent, size = time.monotonic(), 0, 0
    headers = {"Content-Type": "application/x-protobuf"}
    with httpx.Client(trust_env=False, timeout=30, headers=headers) as client:
        while sent < runs:
            due = min(runs, int((time.monotonic() - began) / seconds * runs) + 1, sent + _MOST_RUNS)
            body = traces.request(due - sent, time.time_ns()).SerializeToString()
            client.post(url, content=body).raise_for_status()
            sent, size = due, size + len(body)
            time.sleep(_TICK_SECONDS)
    return size


def _policy(span: object) -> str:
    attributes = getattr(span, "attributes", ())
    texts = [each.value.string_value for each in attributes if each.key == "sampling.policy"]
    return texts[0].partition("-")[0] if texts else "with a trace that was kept"


def spans_table(measured: Sampled | None) -> Table | None:
    """Return the figures as rows; None without any."""
    if measured is None:
        return None
    spans, kept = measured.runs * SPANS_PER_RUN, sum(measured.kept.values())
    rows = {
        "spans": f"{spans:,}",
        "spans a second": f"{spans / measured.seconds:,.0f}",
        "bytes a span": f"{measured.sent_bytes / spans:,.0f}",
        "CPU, us a span": f"{measured.cpu / spans * 1e6:.0f}",
        "spans a second on a core": f"{spans / measured.cpu:,.0f}",
        "peak RSS, MiB": mib(measured.memory),
        "spans kept": f"{kept:,} ({kept / spans:.1%})",
        **{f"of them {name}": f"{number:,}" for name, number in sorted(measured.kept.items())},
        "bytes a span kept": f"{measured.kept_bytes / max(kept, 1):,.0f}",
        "load average": f"{measured.load[0]:.1f}, {measured.load[1]:.1f}",
    }
    title = f"{measured.runs:,} traces, one gateway"
    return filled(new_table(title, ""), {name: [cell] for name, cell in rows.items()})
