"""A receiver of OTLP on loopback, by HTTP and gRPC, that fails its clients when told to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from threading import Condition, Event
from typing import Self, TypeVar

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otlp_servers import HOST, KINDS, Export, Fault, Grpc, Http, Impostor, Protocol, Signal
from prefect_instrumentation.testing import render_tree
from received_logs import ReceivedLog, read_logs
from received_metrics import ReceivedMetric, read_metrics
from received_spans import ReceivedSpan, read_spans

__all__ = [
    "Fault",
    "OtlpReceiver",
    "Protocol",
    "ReceivedLog",
    "ReceivedMetric",
    "ReceivedRequest",
    "ReceivedSpan",
    "tree",
]

T = TypeVar("T")

tree = render_tree
"""The spans that arrived, drawn like those that `prefect_instrumentation.testing` records."""


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """One export, whatever was answered; names of headers are in lower case."""

    protocol: Protocol
    headers: Mapping[str, str]
    signal: Signal


class OtlpReceiver:
    """A context manager; it keeps its two ports while it is entered, through all faults."""

    def __init__(self) -> None:
        self._news = Condition()
        self._spans: list[ReceivedSpan] = []
        self._logs: list[ReceivedLog] = []
        self._metrics: list[ReceivedMetric] = []
        self._requests: list[ReceivedRequest] = []
        self._fault: Fault | None = None
        self._delay_seconds = 0.0
        self._recovered = Event()
        self._http = Http(self._export)
        self._grpc = Grpc(self._export)
        self._listeners = (self._http, self._grpc)

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
        return f"http://{HOST}:{self._http.port}"

    @property
    def grpc_endpoint(self) -> str:
        """What `OTEL_EXPORTER_OTLP_ENDPOINT` would be for gRPC."""
        return f"http://{HOST}:{self._grpc.port}"

    def spans(self) -> tuple[ReceivedSpan, ...]:
        """Return what has arrived, in the order of arrival; a span sent twice is there twice."""
        with self._news:
            return tuple(self._spans)

    def logs(self) -> tuple[ReceivedLog, ...]:
        """Return the log records that have arrived, likewise."""
        with self._news:
            return tuple(self._logs)

    def metrics(self) -> tuple[ReceivedMetric, ...]:
        """Return the metrics that have arrived, likewise: each export brings its own points."""
        with self._news:
            return tuple(self._metrics)

    def requests(self) -> tuple[ReceivedRequest, ...]:
        """Return the exports that reached an HTTP or gRPC server, in their order."""
        with self._news:
            return tuple(self._requests)

    def clear(self) -> None:
        """Forget all that has arrived."""
        with self._news:
            for each in (self._spans, self._logs, self._metrics, self._requests):
                each.clear()

    def wait_for(
        self,
        predicate: Callable[[tuple[ReceivedSpan, ...]], bool],
        deadline_seconds: float = 20,
    ) -> tuple[ReceivedSpan, ...]:
        """Return the spans as soon as they satisfy *predicate*.

        Raises:
            TimeoutError: They have not within the deadline; the message draws what is there.
        """
        if spans := self._wait(self._spans, predicate, deadline_seconds):
            return spans[0]
        raise TimeoutError(f"after {deadline_seconds} s only this:\n{tree(self.spans())}")

    def wait_for_logs(
        self,
        predicate: Callable[[tuple[ReceivedLog, ...]], bool],
        deadline_seconds: float = 20,
    ) -> tuple[ReceivedLog, ...]:
        """Return the log records as soon as they satisfy *predicate*.

        Raises:
            TimeoutError: They have not within the deadline; the message has the bodies.
        """
        if logs := self._wait(self._logs, predicate, deadline_seconds):
            return logs[0]
        bodies = [each.body for each in self.logs()]
        raise TimeoutError(f"after {deadline_seconds} s only this: {bodies}")

    def wait_for_metrics(
        self,
        predicate: Callable[[tuple[ReceivedMetric, ...]], bool],
        deadline_seconds: float = 20,
    ) -> tuple[ReceivedMetric, ...]:
        """Return the metrics as soon as they satisfy *predicate*.

        Raises:
            TimeoutError: They have not within the deadline; the message has the names.
        """
        if metrics := self._wait(self._metrics, predicate, deadline_seconds):
            return metrics[0]
        names = [each.name for each in self.metrics()]
        raise TimeoutError(f"after {deadline_seconds} s only this: {names}")

    def _wait(
        self, kept: list[T], predicate: Callable[[tuple[T, ...]], bool], seconds: float
    ) -> tuple[tuple[T, ...]] | None:
        """Return a tuple of all that is kept, once it satisfies *predicate*; else None."""
        with self._news:
            if self._news.wait_for(lambda: predicate(tuple(kept)), seconds):
                return (tuple(kept),)
        return None

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
            self._recovered.set()
            # What is on its way is answered as badly: it is not to arrive in the time after.
            for each in self._listeners:
                each.stop()
            self._fault = None
            for each in self._listeners:
                each.start()

    @contextmanager
    def _replaced(self, fault: Fault) -> Iterator[None]:
        for each in self._listeners:
            each.stop()
        impostors = [Impostor(each.port, fault) for each in self._listeners]
        try:
            yield
        finally:
            for impostor in impostors:
                impostor.close()
            for each in self._listeners:
                each.start()

    def _export(self, protocol: Protocol, headers: Mapping[str, str], request: Export) -> bool:
        """Take an export; return whether it is to be answered well."""
        fault = self._fault
        signal = next(each.signal for each in KINDS if isinstance(request, each.request))
        with self._news:
            self._requests.append(ReceivedRequest(protocol, headers, signal))
            if fault is not Fault.SERVER_ERROR:
                self._keep(request)
            self._news.notify_all()
        if fault is Fault.SLOW:
            self._recovered.wait(self._delay_seconds)
        return fault is not Fault.SERVER_ERROR

    def _keep(self, request: Export) -> None:
        match request:
            case ExportTraceServiceRequest():
                self._spans.extend(read_spans(request))
            case ExportLogsServiceRequest():
                self._logs.extend(read_logs(request))
            case ExportMetricsServiceRequest():
                self._metrics.extend(read_metrics(request))
