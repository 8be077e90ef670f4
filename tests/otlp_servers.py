"""The servers behind a receiver of OTLP: HTTP, gRPC, and what has their ports when they fail."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Literal, TypeAlias

import grpc  # type: ignore[import-untyped]  # it ships no types
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # as above
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

Protocol: TypeAlias = Literal["http", "grpc"]
Signal: TypeAlias = Literal["traces", "logs", "metrics"]
Export: TypeAlias = (
    ExportTraceServiceRequest | ExportLogsServiceRequest | ExportMetricsServiceRequest
)
Response: TypeAlias = (
    ExportTraceServiceResponse | ExportLogsServiceResponse | ExportMetricsServiceResponse
)


@dataclass(frozen=True, slots=True)
class Kind:
    """How one signal travels; `service` is gRPC's name of it."""

    signal: Signal
    service: str
    request: type[Export]
    response: type[Response]


KINDS = (
    Kind(
        "traces",
        "opentelemetry.proto.collector.trace.v1.TraceService",
        ExportTraceServiceRequest,
        ExportTraceServiceResponse,
    ),
    Kind(
        "logs",
        "opentelemetry.proto.collector.logs.v1.LogsService",
        ExportLogsServiceRequest,
        ExportLogsServiceResponse,
    ),
    Kind(
        "metrics",
        "opentelemetry.proto.collector.metrics.v1.MetricsService",
        ExportMetricsServiceRequest,
        ExportMetricsServiceResponse,
    ),
)
_PATHS = {f"/v1/{each.signal}": each for each in KINDS}
HOST = "127.0.0.1"
_JUNK = b"SSH-2.0-OpenSSH_9.2\r\n"


class Fault(StrEnum):
    """How a collector lets its clients down.

    `REFUSED`: nobody listens. `BLACK_HOLE`: connects and then is silent. `GARBAGE`: speaks another
    protocol. `SLOW`: keeps what comes, answers late. `SERVER_ERROR`: 500 by HTTP, INTERNAL by gRPC.
    """

    REFUSED = "refused"
    BLACK_HOLE = "black_hole"
    GARBAGE = "garbage"
    SLOW = "slow"
    SERVER_ERROR = "server_error"


Take: TypeAlias = Callable[[Protocol, Mapping[str, str], Export], bool]


class Http:
    """Takes exports by http/protobuf."""

    def __init__(self, export: Take) -> None:
        self._export = export
        self.port = 0

    def start(self) -> None:
        """Listen, on the same port as before."""
        self._server = _HttpServer((HOST, self.port), _HttpRequest)
        self._server.export = self._export
        self.port = self._server.server_port
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, once all are answered."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = False  # so that closing waits for whoever is still answering
    export: Take

    def handle_error(self, *_arguments: object) -> None:
        """Say nothing of clients that hang up before they are answered."""


class _HttpRequest(BaseHTTPRequestHandler):
    server: _HttpServer
    timeout = 5

    def do_POST(self) -> None:
        """Take an export."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        kind = _PATHS.get(self.path)
        if kind is None or headers.get("content-type") != "application/x-protobuf":
            self._answer(404)
            return
        try:
            if headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            request = kind.request.FromString(body)
        except (OSError, EOFError, DecodeError):
            self._answer(400)
            return
        if self.server.export("http", headers, request):
            self._answer(200, kind.response().SerializeToString())
        else:
            self._answer(500)

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


class Grpc:
    """Takes exports by gRPC."""

    def __init__(self, export: Take) -> None:
        self._export = export
        self.port = 0

    def start(self) -> None:
        """Listen, on the same port as before."""
        self._pool = ThreadPoolExecutor(4)
        # Without sharing, a port that is still somebody's is an error and not a silent half share.
        self._server = grpc.server(self._pool, options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers(tuple(map(self._service, KINDS)))
        self.port = self._server.add_insecure_port(f"{HOST}:{self.port}")
        self._server.start()

    def stop(self) -> None:
        """Stop listening, once all are answered."""
        self._server.stop(60).wait()
        self._pool.shutdown()

    def _service(self, kind: Kind) -> grpc.GenericRpcHandler:
        method = grpc.unary_unary_rpc_method_handler(
            partial(self._answer, kind.response),
            request_deserializer=kind.request.FromString,
            response_serializer=kind.response.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(kind.service, {"Export": method})

    def _answer(
        self, response: type[Response], request: Export, context: grpc.ServicerContext
    ) -> Response:
        headers = {name: str(value) for name, value in context.invocation_metadata()}
        if not self._export("grpc", headers, request):
            context.abort(grpc.StatusCode.INTERNAL, "told to fail")
        return response()


class Impostor:
    """Has a receiver's port in its place, and is deaf, silent or of another protocol."""

    def __init__(self, port: int, fault: Fault) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((HOST, port))
        self._thread = Thread(target=self._babble)
        if fault is not Fault.REFUSED:
            self._socket.listen()
        if fault is Fault.GARBAGE:
            self._thread.start()

    def close(self) -> None:
        """Free the port."""
        with suppress(OSError):  # a socket that does not listen cannot be shut down
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._thread.ident:
            self._thread.join()
        self._socket.close()

    def _babble(self) -> None:
        with suppress(OSError):  # it is how `close` ends this
            while True:
                connection, _ = self._socket.accept()
                with connection, suppress(OSError):
                    connection.settimeout(5)
                    connection.recv(65_536)
                    connection.sendall(_JUNK)
