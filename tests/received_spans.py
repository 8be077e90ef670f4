"""Spans as OTLP brought them, as values that can be compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from received_values import Attributes, attributes

__all__ = ["Attributes", "ReceivedSpan", "read_spans"]


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """One span as it arrived.

    Args:
        trace_id, span_id: in hexadecimal, as are the ids in `links`.
        parent_id: "" for a root.
        start_ns, end_ns: nanoseconds since 1970.
        attributes: arrays are tuples here, as the SDK holds them.
        events: names with attributes, in their order.
        links: trace and span ids.
        resource: the attributes of whoever sent it.
        scope: the name of the instrumentation.
    """

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    start_ns: int
    end_ns: int
    status: str
    status_message: str
    attributes: Attributes
    events: tuple[tuple[str, Attributes], ...]
    links: tuple[tuple[str, str], ...]
    resource: Attributes
    scope: str
    tracestate: str


def read_spans(request: ExportTraceServiceRequest) -> Iterator[ReceivedSpan]:
    """Yield the spans of one export."""
    for each in request.resource_spans:
        resource = attributes(each.resource.attributes)
        for scope in each.scope_spans:
            for span in scope.spans:
                yield _span(span, resource, scope.scope.name)


def _span(span: Span, resource: Attributes, scope: str) -> ReceivedSpan:
    return ReceivedSpan(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        status=Status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_"),
        status_message=span.status.message,
        attributes=attributes(span.attributes),
        events=tuple((event.name, attributes(event.attributes)) for event in span.events),
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        resource=resource,
        scope=scope,
        tracestate=span.trace_state,
    )
