"""What tests of traced functions read from spans, and what their functions do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext
from opentelemetry.util.types import AttributeValue

from prefect_instrumentation import current_trace


class Refused(Exception):
    """What a user's code raises."""


class Hostile:
    """Has no text."""

    def __str__(self) -> str:
        """Refuse."""
        raise Refused

    __repr__ = __str__


def only(spans: InMemorySpanExporter) -> ReadableSpan:
    """Return the one span that has ended."""
    (span,) = spans.get_finished_spans()
    return span


def attributes(span: ReadableSpan) -> Mapping[str, AttributeValue]:
    """Return a span's attributes, none being an empty mapping."""
    return span.attributes or {}


def names(spans: InMemorySpanExporter) -> list[str]:
    """Return the names of the ended spans, in the order of their ends."""
    return [span.name for span in spans.get_finished_spans()]


def current_span_id() -> str:
    """Return the id of the current span, "" without one."""
    here = current_trace()
    return here.span_id if here else ""


def context_of(span: ReadableSpan) -> SpanContext:
    """Return the ids of a span."""
    context = span.get_span_context()
    assert context
    return context


def span_id(span: ReadableSpan) -> str:
    """Return a span's id as `current_trace` writes it."""
    return f"{context_of(span).span_id:016x}"


def printed(code: str, *args: str) -> tuple[str, str]:
    """Return what a new process prints and logs."""
    done = subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, check=True
    )
    return done.stdout.strip(), done.stderr.strip()
