"""Spans as ``OTEL_TRACES_EXPORTER=console`` prints them: JSON objects, one after the other."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class PrintedSpan:
    """What `prefect_instrumentation.testing.render_tree` needs to know of a span."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    start_ns: int
    status: str
    attributes: Mapping[str, object]
    events: tuple[tuple[str, Mapping[str, object]], ...] = ()
    links: tuple[tuple[str, str], ...] = ()


def printed_spans(text: str) -> Iterator[PrintedSpan]:
    """Yield the spans of a program's standard output, in their order."""
    decoder = json.JSONDecoder()
    place = text.find("{")
    while place >= 0:
        span, end = decoder.raw_decode(text, place)
        yield _read(span)
        place = text.find("{", end)


def _read(span: Mapping[str, Any]) -> PrintedSpan:
    return PrintedSpan(
        trace_id=_bare(span["context"]["trace_id"]),
        span_id=_bare(span["context"]["span_id"]),
        parent_id=_bare(span["parent_id"] or ""),
        name=span["name"],
        start_ns=int(datetime.fromisoformat(span["start_time"]).timestamp() * 10**6) * 10**3,
        status=span["status"]["status_code"],
        attributes=span["attributes"],
    )


def _bare(number: str) -> str:
    return number.removeprefix("0x")
