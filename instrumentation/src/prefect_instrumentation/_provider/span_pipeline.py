"""The way of spans to one exporter: batched by the SDK, counted at both ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opentelemetry.sdk.environment_variables import (
    OTEL_BSP_EXPORT_TIMEOUT,
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE,
    OTEL_BSP_MAX_QUEUE_SIZE,
    OTEL_BSP_SCHEDULE_DELAY,
)
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SpanExporter,
    SpanExportResult,
)

from prefect_instrumentation._provider.counting import Counting, Tally, positive
from prefect_instrumentation._provider.exporters import Factory, Makers
from prefect_instrumentation._provider.signals import SPANS
from prefect_instrumentation._secrets.redacted_spans import redacted


class Pipeline(BatchSpanProcessor):
    """Sends spans to an exporter, and knows how many of them did not arrive.

    Args:
        factory: makes the exporter, anew in a forked child: a child must not share connections.
        environ: holds the `OTEL_BSP_*` variables.
    """

    def __init__(self, factory: Factory[SpanExporter], environ: Mapping[str, str]) -> None:
        self._exporter = _CountingExporter(factory)
        self._tally = Tally()
        queue = positive(environ, OTEL_BSP_MAX_QUEUE_SIZE, 2048)
        batch = positive(environ, OTEL_BSP_MAX_EXPORT_BATCH_SIZE, 512)
        super().__init__(
            self._exporter,
            max_queue_size=queue,
            max_export_batch_size=min(batch, queue),
            # A process that is killed loses what waits: the SDK's own default is 5 s.
            schedule_delay_millis=positive(environ, OTEL_BSP_SCHEDULE_DELAY, 1000),
            export_timeout_millis=positive(environ, OTEL_BSP_EXPORT_TIMEOUT, 30_000),
        )

    @property
    def ended(self) -> int:
        """Sampled spans that have ended in this process."""
        return self._tally.count

    @property
    def undelivered(self) -> int:
        """Those among them that have not arrived, be they waiting or lost."""
        return self._tally.count - self._exporter.delivered

    def on_end(self, span: ReadableSpan) -> None:
        """Count a sampled span, and queue it."""
        if span.context and span.context.trace_flags.sampled:
            self._tally.add()
        super().on_end(span)

    def renew(self) -> None:
        """Start anew in a forked child; the SDK sees to its own thread and queue."""
        self._tally.renew()
        self._exporter.renew()


class _CountingExporter(Counting[ReadableSpan, SpanExportResult], SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self.send(redacted(spans))


def _http() -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - dear
        OTLPSpanExporter,
    )

    return OTLPSpanExporter()


def _grpc() -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415 - dear
        OTLPSpanExporter,
    )

    return OTLPSpanExporter()


EXPORTERS = Makers(SPANS, ConsoleSpanExporter, _http, _grpc)
