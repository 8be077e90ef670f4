"""The way of log records to one exporter: batched by the SDK, counted at both ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opentelemetry.sdk._logs import ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    ConsoleLogRecordExporter,
    LogRecordExporter,
    LogRecordExportResult,
)
from opentelemetry.sdk.environment_variables import (
    OTEL_BLRP_EXPORT_TIMEOUT,
    OTEL_BLRP_MAX_EXPORT_BATCH_SIZE,
    OTEL_BLRP_MAX_QUEUE_SIZE,
    OTEL_BLRP_SCHEDULE_DELAY,
)

from prefect_instrumentation._provider.counting import Counting, Tally, positive
from prefect_instrumentation._provider.exporters import Factory, Makers
from prefect_instrumentation._provider.signals import LOGS


class LogPipeline(BatchLogRecordProcessor):
    """Sends log records to an exporter, and knows how many of them did not arrive.

    Args:
        factory: makes the exporter, anew in a forked child: a child must not share connections.
        environ: holds the `OTEL_BLRP_*` variables.
    """

    def __init__(self, factory: Factory[LogRecordExporter], environ: Mapping[str, str]) -> None:
        self._exporter = _CountingExporter(factory)
        self._tally = Tally()
        queue = positive(environ, OTEL_BLRP_MAX_QUEUE_SIZE, 2048)
        batch = positive(environ, OTEL_BLRP_MAX_EXPORT_BATCH_SIZE, 512)
        super().__init__(
            self._exporter,
            max_queue_size=queue,
            max_export_batch_size=min(batch, queue),
            schedule_delay_millis=positive(environ, OTEL_BLRP_SCHEDULE_DELAY, 1000),
            export_timeout_millis=positive(environ, OTEL_BLRP_EXPORT_TIMEOUT, 30_000),
        )

    @property
    def ended(self) -> int:
        """Log records of this process."""
        return self._tally.count

    @property
    def undelivered(self) -> int:
        """Those among them that have not arrived, be they waiting or lost."""
        return self._tally.count - self._exporter.delivered

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Count a record, and queue it."""
        self._tally.add()
        super().on_emit(log_record)

    def renew(self) -> None:
        """Start anew in a forked child; the SDK sees to its own thread and queue."""
        self._tally.renew()
        self._exporter.renew()


class _CountingExporter(Counting[ReadableLogRecord, LogRecordExportResult], LogRecordExporter):
    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        return self.send(batch)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True  # exporters hold nothing back


def _http() -> LogRecordExporter:
    from opentelemetry.exporter.otlp.proto.http._log_exporter import (  # noqa: PLC0415 - dear
        OTLPLogExporter,
    )

    return OTLPLogExporter()


def _grpc() -> LogRecordExporter:
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import (  # noqa: PLC0415 - dear
        OTLPLogExporter,
    )

    return OTLPLogExporter()


EXPORTERS = Makers(LOGS, ConsoleLogRecordExporter, _http, _grpc)
