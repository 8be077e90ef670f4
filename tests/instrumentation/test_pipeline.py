"""What is counted of the spans on their way to an exporter."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from threading import Event

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Decision, Sampler, SamplingResult

from prefect_instrumentation._provider.span_pipeline import Pipeline


class Workshop:
    """Makes exporters, and a provider whose spans go to the last of them."""

    def __init__(self, sampler: Sampler = ALWAYS_ON) -> None:
        self.exporters: list[InMemorySpanExporter] = []
        self.pipeline = Pipeline(self._exporter, {"OTEL_BSP_SCHEDULE_DELAY": "3600000"})
        self.provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        self.provider.add_span_processor(self.pipeline)

    def _exporter(self) -> SpanExporter:
        self.exporters.append(InMemorySpanExporter())
        return self.exporters[-1]

    def make(self, count: int) -> None:
        """Make so many spans."""
        for number in range(count):
            self.provider.get_tracer("test").start_span(f"span {number}").end()

    def counts(self) -> tuple[int, int]:
        """Return how many spans have ended, and how many of them have not arrived."""
        return self.pipeline.ended, self.pipeline.undelivered


class RecordOnly(Sampler):
    """Records what it does not sample, as some do for a span processor's sake."""

    def should_sample(self, *_arguments: object, **_named: object) -> SamplingResult:
        """Return the same for every span."""
        return SamplingResult(Decision.RECORD_ONLY)

    def get_description(self) -> str:
        """Return its name."""
        return "RecordOnly"


@pytest.fixture
def workshop() -> Iterator[Workshop]:
    """Return a workshop that is closed after the test."""
    workshop = Workshop()
    yield workshop
    workshop.provider.shutdown()


def test_spans_are_counted_at_both_ends(workshop: Workshop) -> None:
    """A span that waits has not arrived; one that the exporter took has."""
    workshop.make(3)

    assert (3, 3) == workshop.counts()
    workshop.provider.force_flush()
    assert (3, 0) == workshop.counts()


def test_recorded_span_that_is_not_sampled_is_none() -> None:
    """What is not to be exported cannot be missed."""
    workshop = Workshop(RecordOnly())
    workshop.make(3)
    workshop.provider.shutdown()

    assert (0, 0) == workshop.counts()
    assert () == workshop.exporters[0].get_finished_spans()


def test_span_after_the_end_is_missed(workshop: Workshop) -> None:
    """A provider that has been shut down takes no more spans, and they are counted."""
    workshop.provider.shutdown()
    workshop.make(3)

    assert (3, 3) == workshop.counts()


def test_forked_child_has_an_exporter_of_its_own(workshop: Workshop) -> None:
    """Two processes cannot speak through one connection; nor are the parent's spans the child's."""
    workshop.make(2)
    workshop.provider.force_flush()

    workshop.pipeline.renew()

    assert (0, 0) == workshop.counts()
    workshop.make(3)
    workshop.provider.force_flush()
    assert (3, 0) == workshop.counts()
    assert [2, 3] == [len(each.get_finished_spans()) for each in workshop.exporters]


class Bell(InMemorySpanExporter):
    """Rings when spans arrive."""

    def __init__(self) -> None:
        super().__init__()
        self.rung = Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Keep them."""
        self.rung.set()
        return super().export(spans)


def test_spans_wait_for_a_second() -> None:
    """A process that is killed loses little: the SDK's own delay would be 5 s."""
    bell = Bell()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Pipeline(lambda: bell, {}))
    before = time.monotonic()
    provider.get_tracer("test").start_span("one").end()
    rung = bell.rung.wait(20)
    took = time.monotonic() - before
    provider.shutdown()

    assert rung
    assert 0.5 < took < 4
