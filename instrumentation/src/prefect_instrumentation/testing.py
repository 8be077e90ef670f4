"""Recorded spans as a readable tree, for the tests of those who write flows.

It is also a plugin that every pytest run loads, so that importing it may cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from prefect_instrumentation._tree import SpanKey, TreeSpan, render_tree

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import SpanContext

__all__ = ["RecordedSpans", "TreeSpan", "record_spans", "render_tree"]

_RECORDING: WeakKeyDictionary[TracerProvider, list[RecordedSpans]] = WeakKeyDictionary()
"""Who records now; a provider never lets go of a processor, so that each gets one of ours."""


class RecordedSpans:
    """The spans that ended while they were recorded; they can be read afterwards too."""

    def __init__(self) -> None:
        self._spans: list[ReadableSpan] = []

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """All of them, in the order in which they ended."""
        return tuple(self._spans)

    def tree(
        self,
        *attributes: str,
        events: bool = False,
        links: bool = False,
        by_start: bool = True,
    ) -> str:
        """Draw them as `render_tree` does."""
        nodes = [_node(span) for span in self.spans]
        return render_tree(nodes, *attributes, events=events, links=links, by_start=by_start)

    def clear(self) -> None:
        """Forget them and go on."""
        self._spans.clear()


@contextmanager
def record_spans() -> Iterator[RecordedSpans]:
    """Instrument Prefect, for good, and record every span of this process until left.

    Records what the global tracer provider of OpenTelemetry's SDK makes, whoever starts the span,
    and installs one where there is none. What that provider exports elsewhere goes there as well.
    Runs of other processes are not recorded.
    """
    from prefect_instrumentation import _setup  # noqa: PLC0415  # imports what only runs need

    provider = _sdk_provider()
    # Not `setup`, whose first call stays in force: that is for the code under test to make.
    _setup.instrument(tracer_provider=provider)
    recorded = RecordedSpans()
    recording = _recording(provider)
    recording.append(recorded)
    try:
        yield recorded
    finally:
        recording.remove(recorded)


def _sdk_provider() -> TracerProvider:
    from opentelemetry import trace  # noqa: PLC0415  # pytest imports this module in every run
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415  # as above

    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        return provider
    ours = TracerProvider()
    trace.set_tracer_provider(ours)
    return ours


def _recording(provider: TracerProvider) -> list[RecordedSpans]:
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: PLC0415  # as above

    if provider not in _RECORDING:
        _RECORDING[provider] = []
        provider.add_span_processor(SimpleSpanProcessor(_exporter(_RECORDING[provider])))
    return _RECORDING[provider]


def _exporter(recording: Sequence[RecordedSpans]) -> SpanExporter:
    from opentelemetry.sdk.trace.export import (  # noqa: PLC0415  # as above
        SpanExporter,
        SpanExportResult,
    )

    class Recorder(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            for each in tuple(recording):
                each._spans.extend(spans)  # noqa: SLF001  # of this module
            return SpanExportResult.SUCCESS

    return Recorder()


@dataclass(frozen=True, slots=True)
class _Node:
    """A recorded span as a tree wants it."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    start_ns: int
    status: str
    attributes: Mapping[str, object]
    events: tuple[tuple[str, Mapping[str, object]], ...]
    links: tuple[SpanKey, ...]


def _node(span: ReadableSpan) -> _Node:
    return _Node(
        *_ids(span.context),
        parent_id=_ids(span.parent)[1] if span.parent else "",
        name=span.name,
        start_ns=span.start_time or 0,
        status=span.status.status_code.name,
        attributes=span.attributes or {},
        events=tuple((event.name, event.attributes or {}) for event in span.events),
        links=tuple(_ids(link.context) for link in span.links),
    )


def _ids(context: SpanContext) -> SpanKey:
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


with suppress(ImportError):  # those who only want `record_spans` need not have pytest
    import pytest

    @pytest.fixture
    def recorded_spans() -> Iterator[RecordedSpans]:
        """Instrument Prefect and record every span of this test."""
        with record_spans() as recorded:
            yield recorded
