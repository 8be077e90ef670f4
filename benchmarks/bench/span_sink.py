"""A collector that counts spans and log records, and forgets them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class SpanSink(ThreadingHTTPServer):
    """Takes OTLP by http/protobuf on a loopback port."""

    def __init__(self) -> None:
        self.spans = 0
        self.records = 0
        super().__init__(("127.0.0.1", 0), _Export)

    @property
    def endpoint(self) -> str:
        """What `OTEL_EXPORTER_OTLP_ENDPOINT` has to be."""
        return f"http://127.0.0.1:{self.server_port}"


class _Export(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: SpanSink

    def do_POST(self) -> None:
        """Count what came; metrics are only taken."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/traces":
            self.server.spans += _spans(body)
        elif self.path == "/v1/logs":
            self.server.records += _records(body)
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def _spans(body: bytes) -> int:
    resources = ExportTraceServiceRequest.FromString(body).resource_spans
    return sum(len(scope.spans) for each in resources for scope in each.scope_spans)


def _records(body: bytes) -> int:
    resources = ExportLogsServiceRequest.FromString(body).resource_logs
    return sum(len(scope.log_records) for each in resources for scope in each.scope_logs)


@contextmanager
def span_sink() -> Iterator[SpanSink]:
    """Listen until left."""
    with SpanSink() as sink:
        thread = Thread(target=sink.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield sink
        finally:
            sink.shutdown()
            thread.join()
