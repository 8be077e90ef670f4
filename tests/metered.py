"""Meters that tests read: an SDK whose points stay in memory."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from opentelemetry import metrics
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    HistogramDataPoint,
    InMemoryMetricReader,
)

from prefect_instrumentation._meters.instruments import Instruments


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a metric.

    Args:
        value: of a histogram the sum of what was recorded.
        count: how much a histogram has recorded; else 1.
        traces: ids of the spans that its exemplars lead to.
    """

    metric: str
    labels: Mapping[str, object]
    value: float
    count: int = 1
    traces: tuple[tuple[int, int], ...] = ()


def delta_reader() -> InMemoryMetricReader:
    """Return a reader of what is new since its last reading."""
    delta = AggregationTemporality.DELTA
    return InMemoryMetricReader(preferred_temporality={Counter: delta, Histogram: delta})


@dataclass(frozen=True)
class Meters:
    """Instruments of their own, and what they have recorded."""

    reader: InMemoryMetricReader = field(default_factory=delta_reader)
    instruments: Instruments = field(init=False)

    def __post_init__(self) -> None:
        provider = MeterProvider([self.reader], shutdown_on_exit=False)
        meter = provider.get_meter("test")
        object.__setattr__(self, "instruments", Instruments(lambda: meter))

    def read(self, metric: str = "") -> list[Point]:
        """Return the points that are new since the last reading, of one metric or of all."""
        return [point for point in read(self.reader) if metric in ("", point.metric)]


@functools.cache
def global_reader() -> InMemoryMetricReader:
    """Return a reader of this process' own provider, of which there can be but one."""
    provider = metrics.get_meter_provider()
    reader = delta_reader()
    if isinstance(provider, MeterProvider):
        provider.add_metric_reader(reader)
    else:
        metrics.set_meter_provider(MeterProvider([reader], shutdown_on_exit=False))
    return reader


def read(reader: InMemoryMetricReader) -> list[Point]:
    """Return the points that are new since the last reading, in no order."""
    return list(_points(reader))


def _points(reader: InMemoryMetricReader) -> Iterator[Point]:
    data = reader.get_metrics_data()
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    traces = tuple(
                        (each.trace_id or 0, each.span_id or 0) for each in point.exemplars
                    )
                    labels = dict(point.attributes or {})
                    if isinstance(point, HistogramDataPoint):
                        yield Point(metric.name, labels, point.sum, point.count, traces)
                    else:
                        assert hasattr(point, "value")
                        yield Point(metric.name, labels, point.value, 1, traces)
