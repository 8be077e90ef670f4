"""The OTLP receiver of the other tests takes what real exporters send, and fails as it is told."""

from __future__ import annotations

import gzip
import math
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, TypeAlias

import grpc  # type: ignore[import-untyped]  # it ships no types
import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import (
    OTLPLogExporter as GrpcLogExporter,
)
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (
    OTLPMetricExporter as GrpcMetricExporter,
)
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import (
    OTLPLogExporter as HttpLogExporter,
)
from opentelemetry.exporter.otlp.proto.http.metric_exporter import (
    OTLPMetricExporter as HttpMetricExporter,
)
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import LogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from otlp_receiver import Fault, OtlpReceiver, Protocol, ReceivedLog, ReceivedSpan, tree
from received_metrics import ReceivedHistogram

NewExporter: TypeAlias = Callable[..., SpanExporter]

TIMEOUT_SECONDS = 10.0
"""What a busy machine needs at most."""

IMPATIENT_SECONDS = 0.5
"""What a client waits for that is to see a fault."""

PROTOBUF = {"Content-Type": "application/x-protobuf"}
GZIP = {"Content-Encoding": "gzip"}
AWAY = SpanContext(
    trace_id=0xA1,
    span_id=0xB2,
    is_remote=True,
    trace_flags=TraceFlags(TraceFlags.SAMPLED),
    trace_state=TraceState([("vendor", "1")]),
)


def http(receiver: OtlpReceiver, seconds: float = TIMEOUT_SECONDS) -> SpanExporter:
    """Return an exporter by http/protobuf."""
    return HttpExporter(f"{receiver.http_endpoint}/v1/traces", timeout=seconds)


def http_gzip(receiver: OtlpReceiver) -> SpanExporter:
    """Return an exporter by http/protobuf that compresses."""
    return HttpExporter(
        f"{receiver.http_endpoint}/v1/traces",
        timeout=TIMEOUT_SECONDS,
        compression=Compression.Gzip,
        headers={"X-Tenant": "blue"},
    )


def by_grpc(receiver: OtlpReceiver, seconds: float = TIMEOUT_SECONDS) -> SpanExporter:
    """Return an exporter by gRPC."""
    return GrpcExporter(receiver.grpc_endpoint, insecure=True, timeout=seconds)


def by_grpc_gzip(receiver: OtlpReceiver) -> SpanExporter:
    """Return an exporter by gRPC that compresses."""
    return GrpcExporter(
        receiver.grpc_endpoint,
        insecure=True,
        timeout=TIMEOUT_SECONDS,
        compression=grpc.Compression.Gzip,
        headers={"x-tenant": "blue"},
    )


@pytest.fixture(name="receiver")
def _receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture(name="exporter", params=[http, http_gzip, by_grpc, by_grpc_gzip])
def _exporter(receiver: OtlpReceiver, request: pytest.FixtureRequest) -> Iterator[SpanExporter]:
    new: NewExporter = request.param
    exporter = new(receiver)
    yield exporter
    exporter.shutdown()


def full_span() -> ReadableSpan:
    """Return a span that has everything that OTLP can carry."""
    provider = TracerProvider(resource=Resource({"service.name": "etl", "ports": (1, 2)}))
    span = provider.get_tracer("orders").start_span(
        "task load",
        context=set_span_in_context(NonRecordingSpan(AWAY)),
        kind=SpanKind.CONSUMER,
        attributes={"text": "a", "whole": 7, "part": 0.5, "yes": True, "many": ("x", "y")},
        links=[Link(AWAY)],
        start_time=1_000,
    )
    span.add_event("Retrying", {"prefect.state.type": "SCHEDULED"})
    span.set_status(Status(StatusCode.ERROR, "no disk"))
    span.end(2_500)
    assert isinstance(span, ReadableSpan)
    return span


def plain_span(name: str) -> ReadableSpan:
    """Return a span with a name and little else."""
    span = TracerProvider().get_tracer("orders").start_span(name)
    span.end()
    assert isinstance(span, ReadableSpan)
    return span


def test_everything_a_span_holds_arrives(receiver: OtlpReceiver, exporter: SpanExporter) -> None:
    """What arrived equals what the exporter was given, over each protocol."""
    sent = full_span()

    result = exporter.export([sent])

    assert result is SpanExportResult.SUCCESS
    assert receiver.spans() == (
        ReceivedSpan(
            trace_id="000000000000000000000000000000a1",
            span_id=f"{sent.context.span_id:016x}",
            parent_id="00000000000000b2",
            name="task load",
            kind="CONSUMER",
            start_ns=1_000,
            end_ns=2_500,
            status="ERROR",
            status_message="no disk",
            attributes={"text": "a", "whole": 7, "part": 0.5, "yes": True, "many": ("x", "y")},
            events=(("Retrying", {"prefect.state.type": "SCHEDULED"}),),
            links=(("000000000000000000000000000000a1", "00000000000000b2"),),
            resource={"service.name": "etl", "ports": (1, 2)},
            scope="orders",
            tracestate="vendor=1",
        ),
    )


def test_root_has_no_parent_and_no_status(receiver: OtlpReceiver, exporter: SpanExporter) -> None:
    """What a span does not have is empty, and not a made-up value."""
    exporter.export([plain_span("flow etl")])

    (span,) = receiver.spans()

    assert (span.parent_id, span.status, span.status_message) == ("", "UNSET", "")
    assert (span.attributes, span.events, span.links, span.tracestate) == ({}, (), (), "")


@pytest.mark.parametrize(
    ("new", "protocol"), [(http_gzip, "http"), (by_grpc_gzip, "grpc")], ids=["http", "grpc"]
)
def test_headers_are_kept(
    receiver: OtlpReceiver, new: NewExporter, protocol: Literal["http", "grpc"]
) -> None:
    """Headers that a client was configured with can be read by their names in lower case."""
    exporter = new(receiver)
    exporter.export([plain_span("flow etl")])
    exporter.shutdown()

    (request,) = receiver.requests()

    assert (request.protocol, request.headers["x-tenant"]) == (protocol, "blue")


def test_order_of_arrival_is_kept(receiver: OtlpReceiver, exporter: SpanExporter) -> None:
    """Spans of several exports come one after the other."""
    for name in "cab":
        exporter.export([plain_span(name)])

    assert [span.name for span in receiver.spans()] == ["c", "a", "b"]


def test_parallel_exports_lose_nothing(receiver: OtlpReceiver) -> None:
    """Sixteen clients of both protocols at the same time all get their spans kept."""
    exporters = [new(receiver) for new in (http, by_grpc) * 8]
    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(lambda each: each.export([plain_span("a")] * 20), exporters))
    for each in exporters:
        each.shutdown()

    assert set(results) == {SpanExportResult.SUCCESS}
    assert (len(receiver.spans()), len(receiver.requests())) == (320, 16)


def log_exporter(receiver: OtlpReceiver, protocol: Protocol) -> LogRecordExporter:
    """Return an exporter of log records."""
    if protocol == "grpc":
        return GrpcLogExporter(receiver.grpc_endpoint, insecure=True, timeout=TIMEOUT_SECONDS)
    return HttpLogExporter(f"{receiver.http_endpoint}/v1/logs", timeout=TIMEOUT_SECONDS)


def metric_exporter(receiver: OtlpReceiver, protocol: Protocol) -> MetricExporter:
    """Return an exporter of metrics."""
    if protocol == "grpc":
        return GrpcMetricExporter(receiver.grpc_endpoint, insecure=True, timeout=TIMEOUT_SECONDS)
    return HttpMetricExporter(f"{receiver.http_endpoint}/v1/metrics", timeout=TIMEOUT_SECONDS)


by_each_protocol = pytest.mark.parametrize("protocol", ["http", "grpc"])


@by_each_protocol
def test_everything_a_log_record_holds_arrives(receiver: OtlpReceiver, protocol: Protocol) -> None:
    """What arrived equals what the logger was given."""
    provider = LoggerProvider(resource=Resource({"service.name": "etl"}), shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(log_exporter(receiver, protocol)))
    provider.get_logger("orders").emit(
        timestamp=1_000,
        context=set_span_in_context(NonRecordingSpan(AWAY)),
        severity_number=SeverityNumber.ERROR2,
        severity_text="bad",
        body="no disk",
        attributes={"whole": 7, "nested": {"many": ("x", "y")}},
    )
    provider.shutdown()

    assert receiver.logs() == (
        ReceivedLog(
            time_ns=1_000,
            severity="ERROR2",
            severity_text="bad",
            body="no disk",
            attributes={"whole": 7, "nested": {"many": ("x", "y")}},
            trace_id="000000000000000000000000000000a1",
            span_id="00000000000000b2",
            resource={"service.name": "etl"},
            scope="orders",
        ),
    )
    assert ["logs"] == [each.signal for each in receiver.requests()]


@by_each_protocol
def test_everything_a_metric_holds_arrives(receiver: OtlpReceiver, protocol: Protocol) -> None:
    """What arrived equals what the instruments were given."""
    exporter = metric_exporter(receiver, protocol)
    reader = PeriodicExportingMetricReader(exporter, math.inf)
    resource = Resource({"service.name": "etl"})
    provider = MeterProvider([reader], resource, shutdown_on_exit=False)
    meter = provider.get_meter("orders")
    away = set_span_in_context(NonRecordingSpan(AWAY))
    meter.create_counter("rows", "{row}").add(2, {"kind": "order"}, away)
    meter.create_gauge("depth").set(0.5)
    seconds = meter.create_histogram("seconds", explicit_bucket_boundaries_advisory=[1.0])
    seconds.record(3)
    provider.force_flush()
    exporter.shutdown()
    rows, depth, duration = receiver.metrics()
    (point,) = rows.points
    (exemplar,) = point.exemplars

    assert ("rows", "sum", "{row}", "CUMULATIVE") == (
        *(rows.name, rows.kind, rows.unit, rows.temporality),
    )
    assert ("orders", {"service.name": "etl"}, True) == (rows.scope, rows.resource, rows.monotonic)
    assert (2, {"kind": "order"}) == (point.value, point.attributes)
    assert 0 < point.start_ns <= point.end_ns
    assert (2, f"{0xA1:032x}", f"{0xB2:016x}") == (
        *(exemplar.value, exemplar.trace_id, exemplar.span_id),
    )
    assert ("gauge", "", 0.5) == (depth.kind, depth.temporality, depth.points[0].value)
    assert ReceivedHistogram(1, 3.0, (1.0,), (0, 1)) == duration.points[0].histogram
    assert ["metrics"] == [each.signal for each in receiver.requests()]


def test_wait_for_other_signals_in_vain_says_what_there_is(receiver: OtlpReceiver) -> None:
    """A deadline that passes is an error, of log records and metrics too."""
    with pytest.raises(TimeoutError, match=r"only this: \[\]"):
        receiver.wait_for_logs(lambda logs: len(logs) > 0, deadline_seconds=0.01)
    with pytest.raises(TimeoutError, match=r"only this: \[\]"):
        receiver.wait_for_metrics(lambda metrics: len(metrics) > 0, deadline_seconds=0.01)
    assert () == receiver.wait_for_logs(lambda logs: not logs)


def test_clear_forgets(receiver: OtlpReceiver, exporter: SpanExporter) -> None:
    """After a clear, only what comes later is there."""
    exporter.export([plain_span("before")])
    receiver.clear()
    exporter.export([plain_span("after")])

    assert [span.name for span in receiver.spans()] == ["after"]
    assert len(receiver.requests()) == 1


def test_wait_ends_when_the_awaited_span_comes(receiver: OtlpReceiver) -> None:
    """Whoever waits gets all the spans as soon as they satisfy the predicate."""
    exporter = http(receiver)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(receiver.wait_for, lambda spans: len(spans) == 2)
        exporter.export([plain_span("a")])
        exporter.export([plain_span("b")])
        names = [span.name for span in waiting.result(20)]
    exporter.shutdown()

    assert names == ["a", "b"]


def test_wait_in_vain_draws_what_there_is(receiver: OtlpReceiver, exporter: SpanExporter) -> None:
    """A deadline that passes is an error that says what has arrived instead."""
    exporter.export([full_span()])

    with pytest.raises(TimeoutError, match=r"only this:\ntask load ERROR \(remote parent\)"):
        receiver.wait_for(lambda spans: len(spans) == 2, deadline_seconds=0.01)


def test_received_spans_are_drawn(receiver: OtlpReceiver, exporter: SpanExporter) -> None:
    """What arrived is drawn by the renderer that users have."""
    exporter.export([full_span()])

    drawn = tree(receiver.spans(), "whole", events=True, links=True)

    assert drawn == (
        "task load ERROR [whole=7] (remote parent)\n  event Retrying\n  -> (not recorded)"
    )


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("new", [http, by_grpc])
def test_fault_fails_the_client_until_it_is_over(
    receiver: OtlpReceiver, new: NewExporter, fault: Fault
) -> None:
    """An export fails during a fault, and a later one arrives at the same address."""
    before = (receiver.http_endpoint, receiver.grpc_endpoint)
    failing = new(receiver, IMPATIENT_SECONDS)
    with receiver.failing(fault, delay_seconds=60):
        result = failing.export([plain_span("lost")])
    failing.shutdown()
    receiver.clear()
    exporter = new(receiver)

    later = exporter.export([plain_span("after")])
    exporter.shutdown()

    assert (result, later) == (SpanExportResult.FAILURE, SpanExportResult.SUCCESS)
    assert (receiver.http_endpoint, receiver.grpc_endpoint) == before
    assert [span.name for span in receiver.spans()] == ["after"]


@pytest.mark.parametrize("new", [http, by_grpc])
def test_slow_receiver_answers_late_and_keeps(receiver: OtlpReceiver, new: NewExporter) -> None:
    """A client more patient than the receiver is slow succeeds."""
    exporter = new(receiver)
    with receiver.failing(Fault.SLOW, delay_seconds=0.05):
        result = exporter.export([plain_span("late")])
    exporter.shutdown()

    assert result is SpanExportResult.SUCCESS
    assert [span.name for span in receiver.spans()] == ["late"]


@pytest.mark.parametrize("new", [http, by_grpc])
def test_failed_request_is_seen_but_not_kept(receiver: OtlpReceiver, new: NewExporter) -> None:
    """Who is answered with an error has asked, and has delivered nothing."""
    exporter = new(receiver)
    with receiver.failing(Fault.SERVER_ERROR):
        exporter.export([plain_span("lost")])
    exporter.shutdown()

    assert (len(receiver.requests()), receiver.spans()) == (1, ())


def test_fault_is_over_when_a_test_fails(receiver: OtlpReceiver) -> None:
    """An error inside a fault does not leave the receiver of a session broken."""
    with pytest.raises(RuntimeError), receiver.failing(Fault.REFUSED):
        raise RuntimeError
    exporter = http(receiver)
    exporter.export([plain_span("after")])
    exporter.shutdown()

    assert [span.name for span in receiver.spans()] == ["after"]


@pytest.mark.parametrize(
    ("path", "headers", "body", "status"),
    [
        ("/v1/profiles", PROTOBUF, b"", 404),
        ("/v1/traces", {"Content-Type": "application/json"}, b"{}", 404),
        ("/v1/traces", PROTOBUF, b"\xff\xff", 400),
        ("/v1/traces", PROTOBUF | GZIP, b"plain", 400),
        ("/v1/traces", PROTOBUF | GZIP, gzip.compress(b"x" * 99)[:-9], 400),
    ],
    ids=["path", "json", "no-protobuf", "no-gzip", "half-gzip"],
)
def test_what_is_no_export_is_rejected(
    receiver: OtlpReceiver, path: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    """A client that speaks OTLP wrongly is told so, and nothing is kept."""
    request = urllib.request.Request(receiver.http_endpoint + path, body, headers)  # noqa: S310  # loopback

    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)  # noqa: S310  # loopback
    caught.value.close()

    assert (caught.value.code, receiver.requests()) == (status, ())


@pytest.mark.parametrize("fault", [None, *Fault])
def test_left_receiver_frees_its_ports(fault: Fault | None) -> None:
    """Nobody listens any more once the receiver is left, whatever it was told before."""
    with OtlpReceiver() as receiver:
        ports = [int(url.rpartition(":")[2]) for url in _endpoints(receiver)]
        if fault:
            with receiver.failing(fault):
                pass

    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1)


def _endpoints(receiver: OtlpReceiver) -> tuple[str, str]:
    return receiver.http_endpoint, receiver.grpc_endpoint
