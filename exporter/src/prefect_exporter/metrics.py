"""How a metric family is declared: a value that says what it promises and where its samples are."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeAlias, TypeVar

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.utils import floatToGoString

StateT = TypeVar("StateT")
Labels: TypeAlias = tuple[str, ...]
Samples: TypeAlias = Iterable[tuple[Labels, float]]


class Kind(Enum):
    """The Prometheus types that we declare."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Histogram:
    """Observations by bucket.

    Args:
        counts: One number a bound, not cumulative, and a last one for what is above all bounds.
        total: The sum of what was observed.
    """

    counts: tuple[int, ...]
    total: float = 0.0

    def plus(self, bounds: tuple[float, ...], value: float) -> Histogram:
        """Return the histogram with *value* in it."""
        place = bucket(bounds, value)
        counts = (*self.counts[:place], self.counts[place] + 1, *self.counts[place + 1 :])
        return Histogram(counts, self.total + value)


def bucket(bounds: tuple[float, ...], value: float) -> int:
    """Return the place of the bucket that *value* falls in; a bound belongs to what is below it."""
    return bisect_left(bounds, value)


@dataclass(frozen=True, slots=True)
class Family(Generic[StateT]):
    """A family that is read off a state, once for each target.

    Args:
        name: The metric's name, whole.
        kind: ``COUNTER`` or ``GAUGE``.
        help: What it promises to the user.
        labels: Label names beside ``target``.
        read: The samples that a state holds, without the target's label: the same each time, so
            that they are rendered once for each state.
    """

    name: str
    kind: Kind
    help: str
    labels: Labels
    read: Callable[[StateT], Samples]

    def fill(self, states: Iterable[tuple[str, StateT]]) -> Metric:
        """Return the family with the samples of each (target, state)."""
        return self.of(self.samples(states))

    def samples(self, states: Iterable[tuple[str, StateT]]) -> Samples:
        """Return the samples of each (target, state), the target's label first."""
        return (
            ((target, *labels), value)
            for target, state in states
            for labels, value in self.read(state)
        )

    def of(self, samples: Samples) -> Metric:
        """Return the family with these samples, whose labels start with the target."""
        return _scalar_family(self.kind, self.name, self.help, ("target", *self.labels), samples)


@dataclass(frozen=True, slots=True)
class Counted:
    """A family whose samples stand in the ledger; ``bounds`` makes it a histogram.

    Args:
        name: The metric's name, whole.
        kind: ``COUNTER``, ``HISTOGRAM``, or ``GAUGE`` for the largest value seen.
        help: What it promises to the user.
        labels: Label names beside ``target``.
        bounds: A histogram's upper bounds, ascending, in seconds.
    """

    name: str
    kind: Kind
    help: str
    labels: Labels
    bounds: tuple[float, ...] = ()

    def fill(self, samples: Sequence[tuple[Labels, float | Histogram]]) -> Metric:
        """Return the family with samples whose labels start with the target."""
        labels = ("target", *self.labels)
        histograms = [(at, value) for at, value in samples if isinstance(value, Histogram)]
        if self.kind is Kind.HISTOGRAM:
            return histogram_family(self.name, self.help, labels, self.bounds, histograms)
        scalars = ((at, value) for at, value in samples if isinstance(value, float))
        return _scalar_family(self.kind, self.name, self.help, labels, scalars)


def histogram_family(
    name: str,
    documentation: str,
    labels: Labels,
    bounds: tuple[float, ...],
    samples: Iterable[tuple[Labels, Histogram]],
) -> Metric:
    """Return a family with cumulative buckets, as Prometheus reads them."""
    family = HistogramMetricFamily(name, documentation, labels=labels)
    names: list[str] = [floatToGoString(bound) for bound in (*bounds, float("inf"))]  # type: ignore[no-untyped-call]  # theirs
    for values, histogram in samples:
        running, buckets = 0, []
        for le, count in zip(names, histogram.counts, strict=True):
            running += count
            buckets.append((le, float(running)))
        family.add_metric(values, buckets, histogram.total)
    return family


def _scalar_family(
    kind: Kind, name: str, documentation: str, labels: Labels, samples: Samples
) -> Metric:
    family: CounterMetricFamily | GaugeMetricFamily
    if kind is Kind.COUNTER:
        family = CounterMetricFamily(name, documentation, labels=labels)
    else:
        family = GaugeMetricFamily(name, documentation, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family
