"""Everything that a nightly batch meets in production, on one machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from alert_sinks import web_sink
from collector.stack import Collector, Running
from demo.exporter import Exporter, start_exporter
from demo.prefect_server import start_prefect_server
from demo.prometheus import Prometheus
from demo.sandbox import Sandbox
from e2e.pipeline import ERROR_RULES, Pipeline, start_pipeline
from e2e.watching import OnCall, on_call, start_prometheus
from logged_scene import Logged
from otlp_receiver import OtlpReceiver
from traced_scene import Scene as Traced

_EACH_MINUTE = ("failure_groups", "heartbeats", "late_causes", "work_pools", "work_queues")
"""What the exporter asks for once a minute, and here every few seconds."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What runs; the receiver of *traced* stands behind the collector, for Jaeger and Loki."""

    traced: Traced
    pipeline: Pipeline
    on_call: OnCall
    prometheus: Prometheus

    @property
    def logged(self) -> Mapping[str, Logged]:
        """Whose lines there are, by name."""
        return {"trigger": self.pipeline.trigger, **self.pipeline.workers}

    def client(self) -> httpx.Client:
        """Return a client of Prefect's API; the caller closes it."""
        return self.traced.server.client()


@contextmanager
def scene(otelcol: Path, alerts: frozenset[str]) -> Iterator[Scene]:
    """Start all of it, and end it.

    Args:
        otelcol: The collector's program.
        alerts: Those whose waiting time is shortened.
    """
    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox())
        receiver = stack.enter_context(OtlpReceiver())
        folder = sandbox.subfolder("watching")
        backends = {
            "JAEGER_ENDPOINT": receiver.grpc_endpoint,
            "LOKI_ENDPOINT": receiver.http_endpoint,
        }
        collector = stack.enter_context(Collector(otelcol, folder, backends).gateway())
        traced = Traced(sandbox, start_prefect_server(sandbox), receiver)
        exporter = _start_exporter(traced, collector)
        heard = stack.enter_context(on_call(folder, stack.enter_context(web_sink())))
        targets = {
            "prefect-exporter": exporter.address,
            "otel-collector-runs": collector.metrics,
            "otel-collector": collector.telemetry,
            "alertmanager": heard.manager.url.removeprefix("http://"),
        }
        prometheus = start_prometheus(sandbox, targets, heard.manager, alerts)
        yield Scene(traced, start_pipeline(traced, collector.http), heard, prometheus)


def _start_exporter(traced: Traced, collector: Running) -> Exporter:
    return start_exporter(
        traced.sandbox,
        PREFECT_API_URL=traced.server.api_url,
        PREFECT_EXPORTER_POLL_INTERVAL="2s",
        PREFECT_EXPORTER_SLOW_INTERVAL="10s",
        PREFECT_EXPORTER_AUDIT_INTERVAL="10s",
        PREFECT_EXPORTER_COLLECTORS=",".join(f"{name}=5s" for name in _EACH_MINUTE),
        PREFECT_EXPORTER_TAG_LABELS="team,tier,alert",
        PREFECT_EXPORTER_ERROR_RULES=str(ERROR_RULES),
        PREFECT_EXPORTER_TERMINAL_SPANS="true",
        PREFECT_EXPORTER_TERMINAL_SPANS_AFTER="5s",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{collector.http}",
    )
