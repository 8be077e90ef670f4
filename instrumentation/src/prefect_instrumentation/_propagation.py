"""Trace contexts as labels of a flow run: how a trace gets from one process to the next.

W3C Trace Context and Baggage, bounded: https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry import baggage, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from prefect_instrumentation import _correlation

TRACEPARENT = "__OTEL_TRACEPARENT"
"""Prefect's own key. At its start a run puts its own span in place of its creator's."""

TRACESTATE = "__OTEL_TRACESTATE"
BAGGAGE = "__OTEL_BAGGAGE"

PARENT_SPAN_ID = "__OTEL_PARENT_SPAN_ID"
"""Set at a run's start, "" for a root: where it stands, the traceparent is the run's own."""

SPAN_ENDED = "__OTEL_SPAN_ENDED"
"""Set when a run's span has arrived though somebody else sets the run's last state."""

CARRIED = "prefect_instrumentation"
"""Where labels stand in the context that goes with a delayed task, which passes over other keys."""

MAX_HEADER = 512
"""Most characters of a traceparent or tracestate; the standard asks for 512 at least."""

MAX_BAGGAGE = 4096
"""Most characters of baggage; entries beyond stay behind."""

_trace_context = TraceContextTextMapPropagator()
_baggage = W3CBaggagePropagator()


def traceparent(span: SpanContext) -> str:
    """Return the W3C header's value for a valid span context."""
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"


def to_labels(context: Context | None = None) -> dict[str, str]:
    """Return the labels that carry the context, the current one by default."""
    labels: dict[str, str] = {}
    span = trace.get_current_span(context).get_span_context()
    if span.is_valid:
        labels[TRACEPARENT] = traceparent(span)
        state = span.trace_state.to_header()
        if 0 < len(state) <= MAX_HEADER:
            labels[TRACESTATE] = state
    if carried := _bounded_baggage(context):
        labels[BAGGAGE] = carried
    return labels


def from_labels(labels: Mapping[str, object]) -> Context | None:
    """Return the current context with the trace that the labels carry; None if they carry none."""
    parent = _text(labels, TRACEPARENT, MAX_HEADER)
    if not parent:
        return None
    carrier = {"traceparent": parent, "tracestate": _text(labels, TRACESTATE, MAX_HEADER)}
    span = trace.get_current_span(_trace_context.extract(carrier, Context()))
    if not span.get_span_context().is_valid:
        return None
    context = trace.set_span_in_context(span)
    if carried := _text(labels, BAGGAGE, MAX_BAGGAGE):
        context = _baggage.extract({"baggage": carried}, context)
    return context


def _bounded_baggage(context: Context | None) -> str:
    """Return the first entries, as many as there is room for."""
    carried = ""
    for name, value in baggage.get_all(context).items():
        if name == _correlation.BAGGAGE:
            continue  # it has a label of its own
        entry = _entry(name, value)
        longer = f"{carried},{entry}" if carried and entry else carried or entry
        if len(longer) > MAX_BAGGAGE:
            break
        carried = longer
    return carried


def _entry(name: str, value: object) -> str:
    """Return an entry as the header has it; "" for one that is no text."""
    carrier: dict[str, str] = {}
    try:
        _baggage.inject(carrier, baggage.set_baggage(name, value, Context()))
    except UnicodeEncodeError:
        return ""
    return carrier.get("baggage", "")


def _text(labels: Mapping[str, object], key: str, limit: int) -> str:
    value = labels.get(key)
    return value if isinstance(value, str) and len(value) <= limit else ""
