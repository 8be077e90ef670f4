"""The way of spans to one exporter: batched by the SDK, counted at both ends."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence

from opentelemetry.sdk.environment_variables import (
    OTEL_BSP_EXPORT_TIMEOUT,
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE,
    OTEL_BSP_MAX_QUEUE_SIZE,
    OTEL_BSP_SCHEDULE_DELAY,
)
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from prefect_instrumentation._exporters import Factory
from prefect_instrumentation._variables import warn

_POSITIVE = re.compile(r"0*[1-9][0-9]{0,8}")


class Pipeline(BatchSpanProcessor):
    """Sends spans to an exporter, and knows how many of them did not arrive.

    Args:
        factory: makes the exporter, anew in a forked child: a child must not share connections.
        environ: holds the `OTEL_BSP_*` variables.
    """

    def __init__(self, factory: Factory, environ: Mapping[str, str]) -> None:
        self._exporter = _CountingExporter(factory)
        self._lock = threading.Lock()
        self._ended = 0
        queue = _positive(environ, OTEL_BSP_MAX_QUEUE_SIZE, 2048)
        batch = _positive(environ, OTEL_BSP_MAX_EXPORT_BATCH_SIZE, 512)
        super().__init__(
            self._exporter,
            max_queue_size=queue,
            max_export_batch_size=min(batch, queue),
            # A process that is killed loses what waits: the SDK's own default is 5 s.
            schedule_delay_millis=_positive(environ, OTEL_BSP_SCHEDULE_DELAY, 1000),
            export_timeout_millis=_positive(environ, OTEL_BSP_EXPORT_TIMEOUT, 30_000),
        )

    @property
    def ended(self) -> int:
        """Sampled spans that have ended in this process."""
        return self._ended

    @property
    def undelivered(self) -> int:
        """Those among them that have not arrived, be they waiting or lost."""
        return self._ended - self._exporter.delivered

    def on_end(self, span: ReadableSpan) -> None:
        """Count a sampled span, and queue it."""
        if span.context and span.context.trace_flags.sampled:
            with self._lock:
                self._ended += 1
        super().on_end(span)

    def renew(self) -> None:
        """Start anew in a forked child; the SDK sees to its own thread and queue."""
        self._lock = threading.Lock()
        self._ended = 0
        self._exporter.renew()


class _CountingExporter(SpanExporter):
    """An exporter of this very process; the SDK lets one thread at a time export."""

    def __init__(self, factory: Factory) -> None:
        self._factory = factory
        self._exporter: SpanExporter | None = factory()
        self.delivered = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self._exporter is None:
            self._exporter = self._factory()
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            self.delivered += len(spans)
        return result

    def shutdown(self) -> None:
        if self._exporter is not None:
            self._exporter.shutdown()

    def renew(self) -> None:
        self._exporter = None
        self.delivered = 0


def _positive(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, "").strip()
    if not text:
        return default
    if _POSITIVE.fullmatch(text):
        return int(text)
    warn(name, text, "a positive whole number", str(default))
    return default
