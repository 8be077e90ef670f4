"""Spans by OTLP, as the standard ``OTEL_*`` variables say; alone imports OpenTelemetry."""

from __future__ import annotations

import os
from collections.abc import Sequence

from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from prefect_exporter import __version__
from prefect_exporter.otlp_settings import otlp_protocol
from prefect_exporter.terminal_spans import TerminalSpan
from prefect_exporter.traces import Trace

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_SCOPE = InstrumentationScope("prefect_exporter", __version__)


class OtlpExporter:
    """Sends spans, each call one export, which takes ``OTEL_EXPORTER_OTLP_TIMEOUT`` at most."""

    def __init__(self) -> None:
        self._exporter = _exporter()

    def __call__(self, target: str, spans: Sequence[TerminalSpan]) -> bool:
        """Send spans of a target; return whether they have arrived."""
        resource = _resource(target)
        readable = [_readable(span, resource) for span in spans]
        return self._exporter.export(readable) is SpanExportResult.SUCCESS


def _exporter() -> SpanExporter:
    if otlp_protocol(os.environ) == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415 - one of two
            OTLPSpanExporter as GrpcExporter,
        )

        return GrpcExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - as above
        OTLPSpanExporter as HttpExporter,
    )

    return HttpExporter()


def _resource(target: str) -> Resource:
    own = Resource({SERVICE_NAME: "prefect", "prefect.target": target})
    return own.merge(OTELResourceDetector().detect())


def _readable(span: TerminalSpan, resource: Resource) -> ReadableSpan:
    own = span.own
    end_ns = span.end_us * 1000
    parent = Trace(own.trace.trace_id, own.parent_id)
    return ReadableSpan(
        span.name,
        context=_context(own.trace),
        parent=_context(parent) if own.parent_id else None,
        resource=resource,
        attributes=span.attributes,
        events=(Event(span.state_name, span.event, end_ns),),
        kind=SpanKind.CONSUMER if span.consumer else SpanKind.INTERNAL,
        status=Status(StatusCode.ERROR, span.message),
        start_time=span.start_us * 1000,
        end_time=end_ns,
        instrumentation_scope=_SCOPE,
    )


def _context(trace: Trace) -> SpanContext:
    ids = int(trace.trace_id, 16), int(trace.span_id, 16)
    return SpanContext(*ids, is_remote=True, trace_flags=_SAMPLED)
