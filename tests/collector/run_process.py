"""A process that counts what a flow's run would, and sends it when it is told to.

Each line that it reads is a JSON object: it counts ``count``, and after that sends where ``send``
is true. It answers each with the trace id of the span that it counted in.
"""

from __future__ import annotations

import json
import os
import sys
import uuid

from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as ByGrpc
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as ByHttp
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.util.types import AttributeValue

LABELS = {"flow": "nightly", "task": "", "deployment": "daily"}
MEBIBYTE = 2**20


class Meters:
    """The meters of one process, with the names and units of docs/meters.md.

    Args:
        version: Of the package that counts.
    """

    def __init__(self, provider: MeterProvider, version: str) -> None:
        meter = provider.get_meter("prefect_instrumentation", version)
        self._attempts = meter.create_counter("prefect_sdk_attempts_total", "{attempt}")
        self._bytes = meter.create_counter("prefect_sdk_io_bytes_total", "By")
        self._cpu = meter.create_counter("prefect_sdk_process_cpu_seconds_total", "s")
        self._memory = meter.create_histogram(
            "prefect_sdk_process_peak_memory_bytes",
            "By",
            explicit_bucket_boundaries_advisory=[MEBIBYTE, 2 * MEBIBYTE],
        )
        self._letters = meter.create_gauge("prefect_sdk_dead_letters", "{letter}")

    def count(self, number: float) -> None:
        """Count *number* attempts and bytes, half as many seconds, and as many MiB of memory."""
        self._attempts.add(number, LABELS)
        self._bytes.add(number, LABELS | {"source": "s3", "destination": "db"})
        self._cpu.add(number / 2, LABELS)
        self._memory.record(number * MEBIBYTE, LABELS)
        self._letters.set(number, {"queue": "orders"})


def main(protocol: str, version: str) -> None:
    """Do what standard input says until it ends."""
    exporter = ByGrpc() if protocol == "grpc" else ByHttp()
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    identity: dict[str, AttributeValue] = {
        "service.name": "etl",
        "deployment.environment.name": "production",
        "service.instance.id": str(uuid.uuid4()),
        "process.pid": os.getpid(),
        "host.name": f"host-{os.getpid()}",
        "k8s.pod.name": f"pod-{os.getpid()}",
    }
    provider = MeterProvider([reader], resource=Resource.create(identity))
    meters = Meters(provider, version)
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("run_process")
    for line in sys.stdin:
        order = json.loads(line)
        with tracer.start_as_current_span("run") as span:
            meters.count(order["count"])
            trace_id = f"{span.get_span_context().trace_id:032x}"
        if order.get("send"):
            provider.force_flush()
        print(trace_id, flush=True)
    provider.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
