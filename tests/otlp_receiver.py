"""A receiver of OTLP spans on loopback, by HTTP and gRPC, that fails its clients when told to."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Event, Thread
from typing import Literal, Self, TypeAlias

import grpc  # type: ignore[import-untyped]  # it ships no types
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # as above
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from prefect_instrumentation.testing import render_tree
from received_spans import ReceivedSpan, read_spans

__all__ = ["Fault", "OtlpReceiver", "ReceivedRequest", "ReceivedSpan", "tree"]

Protocol: TypeAlias = Literal["http", "grpc"]

_HOST = "127.0.0.1"
_SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"
_JUNK = b"SSH-2.0-OpenSSH_9.2\r\n"

tree = render_tree
"""The spans that arrived, drawn like those that `prefect_instrumentation.testing` records."""


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


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """One export, whatever was answered; names of headers are in lower case."""

    protocol: Protocol
    headers: Mapping[str, str]


class OtlpReceiver:
    """A context manager; it keeps its two ports while it is entered, through all faults."""

    def __init__(self) -> None:
        self._news = Condition()
        self._spans: list[ReceivedSpan] = []
        self._requests: list[ReceivedRequest] = []
        self._fault: Fault | None = None
        self._delay_seconds = 0.0
        self._recovered = Event()
        self._http = _Http(self._export)
        self._grpc = _Grpc(self._export)

    def __enter__(self) -> Self:
        """Listen."""
        self._http.start()
        self._grpc.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        """Stop listening."""
        self._http.stop()
        self._grpc.stop()

    @property
    def http_endpoint(self) -> str:
        """What `OTEL_EXPORTER_OTLP_ENDPOINT` would be for http/protobuf."""
        return f"http://{_HOST}:{self._http.port}"

    @property
    def grpc_endpoint(self) -> str:
        """What `OTEL_EXPORTER_OTLP_ENDPOINT` would be for gRPC."""
        return f"http://{_HOST}:{self._grpc.port}"

    def spans(self) -> tuple[ReceivedSpan, ...]:
        """Return what has arrived, in the order of arrival; a span sent twice is there twice."""
        with self._news:
            return tuple(self._spans)

    def requests(self) -> tuple[ReceivedRequest, ...]:
        """Return the exports that reached an HTTP or gRPC server, in their order."""
        with self._news:
            return tuple(self._requests)

    def clear(self) -> None:
        """Forget spans and requests."""
        with self._news:
            self._spans.clear()
            self._requests.clear()

    def wait_for(
        self,
        predicate: Callable[[tuple[ReceivedSpan, ...]], bool],
        deadline_seconds: float = 20,
    ) -> tuple[ReceivedSpan, ...]:
        """Return the spans as soon as they satisfy *predicate*.

        Raises:
            TimeoutError: They have not within the deadline; the message draws what is there.
        """
        with self._news:
            if self._news.wait_for(lambda: predicate(tuple(self._spans)), deadline_seconds):
                return tuple(self._spans)
        raise TimeoutError(f"after {deadline_seconds} s only this:\n{tree(self.spans())}")

    def failing(self, fault: Fault, delay_seconds: float = 1.0) -> AbstractContextManager[None]:
        """Misbehave on both ports until left.

        Args:
            fault: how.
            delay_seconds: what `Fault.SLOW` waits before each answer, at most until left.
        """
        if fault in {Fault.SLOW, Fault.SERVER_ERROR}:
            return self._answering_badly(fault, delay_seconds)
        return self._replaced(fault)

    @contextmanager
    def _answering_badly(self, fault: Fault, delay_seconds: float) -> Iterator[None]:
        self._recovered.clear()
        self._fault, self._delay_seconds = fault, delay_seconds
        try:
            yield
        finally:
            self._fault = None
            self._recovered.set()

    @contextmanager
    def _replaced(self, fault: Fault) -> Iterator[None]:
        listeners = (self._http, self._grpc)
        for each in listeners:
            each.stop()
        impostors = [_Impostor(each.port, fault) for each in listeners]
        try:
            yield
        finally:
            for impostor in impostors:
                impostor.close()
            for each in listeners:
                each.start()

    def _export(
        self, protocol: Protocol, headers: Mapping[str, str], request: ExportTraceServiceRequest
    ) -> bool:
        """Take an export; return whether it is to be answered well."""
        fault = self._fault
        with self._news:
            self._requests.append(ReceivedRequest(protocol, headers))
            if fault is not Fault.SERVER_ERROR:
                self._spans.extend(read_spans(request))
            self._news.notify_all()
        if fault is Fault.SLOW:
            self._recovered.wait(self._delay_seconds)
        return fault is not Fault.SERVER_ERROR


Export: TypeAlias = Callable[[Protocol, Mapping[str, str], ExportTraceServiceRequest], bool]


class _Http:
    def __init__(self, export: Export) -> None:
        self._export = export
        self.port = 0

    def start(self) -> None:
        self._server = _HttpServer((_HOST, self.port), _HttpRequest)
        self._server.export = self._export
        self.port = self._server.server_port
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = False  # so that closing waits for whoever is still answering
    export: Export

    def handle_error(self, *_arguments: object) -> None:
        """Say nothing of clients that hang up before they are answered."""


class _HttpRequest(BaseHTTPRequestHandler):
    server: _HttpServer
    timeout = 5

    def do_POST(self) -> None:
        """Take an export."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        kind = headers.get("content-type")
        if (self.path, kind) != ("/v1/traces", "application/x-protobuf"):
            self._answer(404)
            return
        try:
            if headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            request = ExportTraceServiceRequest.FromString(body)
        except (OSError, EOFError, DecodeError):
            self._answer(400)
            return
        self._answer(200 if self.server.export("http", headers, request) else 500)

    def _answer(self, status: int) -> None:
        body = ExportTraceServiceResponse().SerializeToString() if status == 200 else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


class _Grpc:
    def __init__(self, export: Export) -> None:
        self._export = export
        self.port = 0

    def start(self) -> None:
        self._pool = ThreadPoolExecutor(4)
        # Without sharing, a port that is still somebody's is an error and not a silent half share.
        self._server = grpc.server(self._pool, options=[("grpc.so_reuseport", 0)])
        method = grpc.unary_unary_rpc_method_handler(
            self._answer,
            request_deserializer=ExportTraceServiceRequest.FromString,
            response_serializer=ExportTraceServiceResponse.SerializeToString,
        )
        service = grpc.method_handlers_generic_handler(_SERVICE, {"Export": method})
        self._server.add_generic_rpc_handlers((service,))
        self.port = self._server.add_insecure_port(f"{_HOST}:{self.port}")
        self._server.start()

    def stop(self) -> None:
        self._server.stop(0).wait()
        self._pool.shutdown()

    def _answer(
        self, request: ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> ExportTraceServiceResponse:
        headers = {name: str(value) for name, value in context.invocation_metadata()}
        if not self._export("grpc", headers, request):
            context.abort(grpc.StatusCode.INTERNAL, "told to fail")
        return ExportTraceServiceResponse()


class _Impostor:
    """Has a receiver's port in its place, and is deaf, silent or of another protocol."""

    def __init__(self, port: int, fault: Fault) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((_HOST, port))
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
