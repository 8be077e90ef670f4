"""The way of metrics to one exporter: collected by the SDK, counted by exports."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.environment_variables import (
    OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE,
    OTEL_METRIC_EXPORT_INTERVAL,
    OTEL_METRIC_EXPORT_TIMEOUT,
)
from opentelemetry.sdk.metrics import Counter, Histogram, ObservableCounter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ConsoleMetricExporter,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)

from prefect_instrumentation._provider.counting import positive
from prefect_instrumentation._provider.exporters import Factory, Makers
from prefect_instrumentation._provider.signals import METRICS


class MetricPipeline(PeriodicExportingMetricReader):
    """Sends metrics to an exporter, and knows how many of its exports did not arrive.

    Args:
        factory: makes the exporter, anew in a forked child: a child must not share connections.
        environ: holds the `OTEL_METRIC_EXPORT_*` variables.
    """

    def __init__(self, factory: Factory[MetricExporter], environ: Mapping[str, str]) -> None:
        self._counting = _CountingExporter(factory)
        super().__init__(
            self._counting,
            export_interval_millis=positive(environ, OTEL_METRIC_EXPORT_INTERVAL, 60_000),
            export_timeout_millis=positive(environ, OTEL_METRIC_EXPORT_TIMEOUT, 30_000),
        )

    @property
    def ended(self) -> int:
        """Exports that were begun in this process."""
        return self._counting.begun

    @property
    def undelivered(self) -> int:
        """Those among them that have not arrived; what a delta said is lost with its export."""
        return self._counting.begun - self._counting.delivered

    def renew(self) -> None:
        """Start anew in a forked child; the SDK sees to its own thread, and keeps the locks."""
        self._export_lock = threading.Lock()
        self._shutdown_event = threading.Event()
        self._counting.renew()


class _CountingExporter(MetricExporter):
    """An exporter of this very process; the reader lets one thread at a time export."""

    def __init__(self, factory: Factory[MetricExporter]) -> None:
        self._factory = factory
        first = factory()
        super().__init__(first._preferred_temporality, first._preferred_aggregation)  # noqa: SLF001 - as the SDK's reader reads them
        self._exporter: MetricExporter | None = first
        self.begun = 0
        self.delivered = 0

    def export(
        self,
        metrics_data: MetricsData,
        timeout_millis: float = 10_000,
        **named: Any,  # noqa: ANN401 - the SDK's own
    ) -> MetricExportResult:
        if self._exporter is None:
            self._exporter = self._factory()
        self.begun += 1
        result = self._exporter.export(metrics_data, timeout_millis, **named)
        if result is MetricExportResult.SUCCESS:
            self.delivered += 1
        return result

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return self._exporter is None or self._exporter.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **_named: Any) -> None:  # noqa: ANN401 - the SDK's own
        if self._exporter is not None:
            self._exporter.shutdown(timeout_millis)

    def renew(self) -> None:
        self._exporter = None
        self.begun = self.delivered = 0


def _temporality() -> dict[type, AggregationTemporality] | None:
    """Return deltas for what only grows, unless the user has a preference.

    A process that lives for seconds has no second point that a rate could be taken of.
    """
    if os.environ.get(OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE, "").strip():
        return None
    return dict.fromkeys((Counter, Histogram, ObservableCounter), AggregationTemporality.DELTA)


def _console() -> MetricExporter:
    return ConsoleMetricExporter(preferred_temporality=_temporality())


def _http() -> MetricExporter:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import (  # noqa: PLC0415 - dear
        OTLPMetricExporter,
    )

    return OTLPMetricExporter(preferred_temporality=_temporality())


def _grpc() -> MetricExporter:
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (  # noqa: PLC0415 - dear
        OTLPMetricExporter,
    )

    return OTLPMetricExporter(preferred_temporality=_temporality())


EXPORTERS = Makers(METRICS, _console, _http, _grpc)
