"""Metrics as OTLP brought them, as values that can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    Exemplar,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
)

from received_values import Attributes, attributes

Kind: TypeAlias = Literal["sum", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class ReceivedExemplar:
    """One measurement that is kept as it was; ids in hexadecimal, "" for none."""

    value: float
    trace_id: str
    span_id: str
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class ReceivedHistogram:
    """A point of a histogram; `counts` has one more than `bounds`, and none is cumulative."""

    count: int
    sum: float
    bounds: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ReceivedPoint:
    """One point.

    Args:
        value: of a sum or a gauge; None for a histogram.
        histogram: of a histogram; else None.
        start_ns, end_ns: nanoseconds since 1970; a gauge has no start, which is 0 then.
    """

    attributes: Attributes
    value: float | None
    histogram: ReceivedHistogram | None
    exemplars: tuple[ReceivedExemplar, ...]
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class ReceivedMetric:
    """One metric of one export.

    Args:
        temporality: `DELTA` or `CUMULATIVE`; "" for a gauge.
        monotonic: whether it is a sum that only grows.
        resource: the attributes of whoever sent it.
        scope: the name of the instrumentation.
    """

    name: str
    kind: Kind
    unit: str
    temporality: str
    monotonic: bool
    points: tuple[ReceivedPoint, ...]
    resource: Attributes
    scope: str


def read_metrics(request: ExportMetricsServiceRequest) -> Iterator[ReceivedMetric]:
    """Yield the metrics of one export.

    Raises:
        ValueError: one is of a kind that the project does not send.
    """
    for each in request.resource_metrics:
        resource = attributes(each.resource.attributes)
        for scope in each.scope_metrics:
            for metric in scope.metrics:
                yield _metric(metric, resource, scope.scope.name)


def _metric(metric: Metric, resource: Attributes, scope: str) -> ReceivedMetric:
    kind, temporality, points = _data(metric)
    return ReceivedMetric(
        name=metric.name,
        kind=kind,
        unit=metric.unit,
        temporality=temporality,
        monotonic=metric.sum.is_monotonic,
        points=tuple(points),
        resource=resource,
        scope=scope,
    )


def _data(metric: Metric) -> tuple[Kind, str, Iterable[ReceivedPoint]]:
    match metric.WhichOneof("data"):
        case "sum":
            temporality = _temporality(metric.sum.aggregation_temporality)
            return "sum", temporality, map(_number, metric.sum.data_points)
        case "gauge":
            return "gauge", "", map(_number, metric.gauge.data_points)
        case "histogram":
            temporality = _temporality(metric.histogram.aggregation_temporality)
            return "histogram", temporality, map(_histogram, metric.histogram.data_points)
        case other:
            raise ValueError(f"{metric.name} is of the kind {other}")


def _temporality(given: AggregationTemporality.ValueType) -> str:
    name: str = AggregationTemporality.Name(given)
    return name.removeprefix("AGGREGATION_TEMPORALITY_")


def _number(point: NumberDataPoint) -> ReceivedPoint:
    return ReceivedPoint(
        attributes=attributes(point.attributes),
        value=_value(point),
        histogram=None,
        exemplars=tuple(map(_exemplar, point.exemplars)),
        start_ns=point.start_time_unix_nano,
        end_ns=point.time_unix_nano,
    )


def _histogram(point: HistogramDataPoint) -> ReceivedPoint:
    return ReceivedPoint(
        attributes=attributes(point.attributes),
        value=None,
        histogram=ReceivedHistogram(
            point.count, point.sum, tuple(point.explicit_bounds), tuple(point.bucket_counts)
        ),
        exemplars=tuple(map(_exemplar, point.exemplars)),
        start_ns=point.start_time_unix_nano,
        end_ns=point.time_unix_nano,
    )


def _exemplar(exemplar: Exemplar) -> ReceivedExemplar:
    return ReceivedExemplar(
        value=_value(exemplar),
        trace_id=exemplar.trace_id.hex(),
        span_id=exemplar.span_id.hex(),
        attributes=attributes(exemplar.filtered_attributes),
    )


def _value(given: NumberDataPoint | Exemplar) -> float:
    return given.as_int if given.WhichOneof("value") == "as_int" else given.as_double
