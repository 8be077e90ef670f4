"""The sink that sends events as OpenTelemetry's log records."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from opentelemetry.util.types import AnyValue

from prefect_instrumentation import _provider
from prefect_instrumentation._logs.sinks import Event
from prefect_instrumentation._settings import Settings
from prefect_instrumentation._text import MAX_NAME, text

MAX_VALUE = 32_768
"""Most characters of one text."""

MAX_DEPTH = 6
"""Most levels of nested values; what is deeper is text."""

_OF_THE_RECORD = frozenset({"time", "level", "event", "trace_id", "span_id"})
"""The keys for which a log record has a field of its own."""

_EXPORTERS = ("opentelemetry.", "grpc.", "grpc_")
_INT64 = range(-(2**63), 2**63)


class OtlpSink:
    """Sends each event as a log record.

    The keys of the event are its attributes, under the same names; time, level, text and trace are
    the record's own. What the exporters themselves log is left out, else it would go on for ever.

    Args:
        settings: of the resource, and of the process' end.
    """

    def __init__(self, settings: Settings) -> None:
        self._emitter = _provider.log_emitter(settings)

    def write(self, event: Event, record: logging.LogRecord) -> None:
        """Emit the event; it waits in a bounded queue."""
        if record.name.startswith(_EXPORTERS) or not is_instrumentation_enabled():
            return
        self._emitter.emit(
            LogRecord(
                timestamp=_nanoseconds(record),
                context=_context(event),
                severity_number=_severity(record.levelno),
                severity_text=text(record.levelname, MAX_NAME),
                body=_value(event.get("event", "")),
                attributes=dict(_attributes(event)),
            )
        )

    def flush(self) -> None:
        """Have records sent soon; whoever ends the process waits for them."""
        self._emitter.way.flush_soon()

    def close(self) -> None:
        """Have records sent soon, as `flush`."""
        self.flush()


def _nanoseconds(record: logging.LogRecord) -> int:
    # As exact as the line's: a float of so many seconds has no nanoseconds.
    return round(record.created * 1_000_000) * 1000


def _severity(level: int) -> SeverityNumber:
    """Return where a level of logging's is among those of OpenTelemetry."""
    if level < logging.DEBUG:
        return SeverityNumber.UNSPECIFIED
    tens, rest = divmod(min(level, 53), 10)
    return SeverityNumber(4 * tens + 1 + min(rest, 3))


def _context(event: Event) -> Context:
    """Return the context of the span that the event names, which mostly is the current one."""
    here = otel_context.get_current()
    try:
        trace_id, span_id = int(str(event["trace_id"]), 16), int(str(event["span_id"]), 16)
    except (KeyError, ValueError):
        return here
    span = trace.get_current_span(here).get_span_context()
    if (span.trace_id, span.span_id) == (trace_id, span_id):
        return here
    sampled = TraceFlags(TraceFlags.SAMPLED)
    named = SpanContext(trace_id, span_id, is_remote=False, trace_flags=sampled)
    return trace.set_span_in_context(NonRecordingSpan(named), Context())


def _attributes(event: Event) -> Iterator[tuple[str, AnyValue]]:
    for name, value in event.items():
        if name not in _OF_THE_RECORD and value is not None:
            yield name, _value(value)
    if exception := event.get("exception"):
        yield from _exception(exception)


def _exception(given: object) -> Iterator[tuple[str, str]]:
    """Say of a structured exception what OpenTelemetry's conventions have names for."""
    first = given[0] if isinstance(given, list | tuple) and given else {}
    if not isinstance(first, Mapping):
        first = {}
    if kind := first.get("exc_type"):
        yield "exception.type", text(kind, MAX_NAME)
    if message := first.get("exc_value"):
        yield "exception.message", text(message, MAX_VALUE)
    yield "exception.stacktrace", _stacktrace(given)


def _stacktrace(given: object) -> str:
    if isinstance(given, list | tuple):
        # The innermost comes last, and its cause first, as Python has it.
        return text("\n".join(map(_one_stack, reversed(given))), MAX_VALUE)
    return text(given, MAX_VALUE)


def _one_stack(stack: object) -> str:
    if not isinstance(stack, Mapping):
        return text(stack, MAX_VALUE)
    frames = stack.get("frames")
    lines = ["Traceback (most recent call last):"]
    lines += [_frame(frame) for frame in frames] if isinstance(frames, list | tuple) else []
    return "\n".join([*lines, f"{stack.get('exc_type', '')}: {stack.get('exc_value', '')}"])


def _frame(frame: object) -> str:
    if not isinstance(frame, Mapping):
        return f"  {frame}"
    place = f'"{frame.get("filename", "")}", line {frame.get("lineno", 0)}'
    return f"  File {place}, in {frame.get('name', '')}"


def _value(value: object, depth: int = 0) -> Any:  # noqa: ANN401 - any that OTLP has
    """Return a value that every exporter takes: one that it cannot encode costs a whole batch."""
    match value:
        case None | bool() | float() | bytes():
            return value
        case int():
            return value if value in _INT64 else str(value)
        case Mapping() if depth < MAX_DEPTH:
            return {text(key, MAX_NAME): _value(each, depth + 1) for key, each in value.items()}
        case list() | tuple() if depth < MAX_DEPTH:
            return [_value(each, depth + 1) for each in value]
        case _:
            return text(value, MAX_VALUE)
