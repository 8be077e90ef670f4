"""Counters and histograms in memory, as they are in the file; what is still held back of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from prefect_exporter.facts import (
    Add,
    End,
    Ended,
    Exemplar,
    Fact,
    Latest,
    Observe,
    Retried,
    Series,
)
from prefect_exporter.ledger.exemplars import Exemplars
from prefect_exporter.metrics import Counted, Histogram, Kind, Labels, bucket


@dataclass(slots=True)
class Held:
    """A series that is published at 0 until that zero has been served.

    Args:
        version: The first publication that showed the zero; None before there was one.
        since: When that was, in seconds of a monotonic clock.
    """

    version: int | None = None
    since: float = 0.0


class Tally:
    """Every counted series; only what the file has committed gets in here.

    ``increase()`` cannot see the first count of a series that is born at 1, so a new series is
    held at 0 until a scrape has served it (https://github.com/prometheus/prometheus/issues/1673).
    """

    def __init__(self, families: Mapping[str, Counted]) -> None:
        self.families = families
        self.scalars: dict[str, dict[Labels, float]] = {name: {} for name in families}
        self.histograms: dict[str, dict[Labels, Histogram]] = {name: {} for name in families}
        self.held: dict[Series, Held] = {}
        self._exemplars = Exemplars()
        self._targets: frozenset[str] | None = None
        # What changed since somebody last took note; see ``changes``.
        self._changed: dict[str, set[Labels]] = {name: set() for name in families}

    def __contains__(self, series: Series) -> bool:
        family, labels = series
        return labels in self.scalars[family] or labels in self.histograms[family]

    def __len__(self) -> int:
        return sum(map(len, self.scalars.values())) + sum(map(len, self.histograms.values()))

    def holds(self, series: Series) -> bool:
        """Return whether a series of this family is held while it is new: only what counts is."""
        return self.families[series.family].kind is not Kind.GAUGE

    def load(self, series: Series, value: float | Histogram, *, released: bool) -> None:
        """Take in one series as the file has it."""
        self._changed[series.family].add(series.labels)
        if isinstance(value, Histogram):
            self.histograms[series.family][series.labels] = value
        else:
            self.scalars[series.family][series.labels] = value
        if not released:
            self.held.setdefault(series, Held())

    def exemplify(self, series: Series, exemplar: Exemplar) -> None:
        """Take in an example of what the series has counted."""
        bounds = self.families[series.family].bounds
        evicted = self._exemplars.put(series, bucket(bounds, exemplar.value), exemplar)
        for family, labels in filter(None, (series, evicted)):
            self._changed[family].add(labels)

    def forget(self, series: Series) -> None:
        """Drop one series."""
        self._exemplars.forget(series)
        self._changed[series.family].add(series.labels)
        self.scalars[series.family].pop(series.labels, None)
        self.histograms[series.family].pop(series.labels, None)
        self.held.pop(series, None)

    def show(self, series: Series) -> None:
        """Let a held series show its value."""
        self._changed[series.family].add(series.labels)
        self.held.pop(series, None)

    def changes(self, family: str) -> Collection[Labels]:
        """Return the label sets that changed since the last call, also those that are gone."""
        changed, self._changed[family] = self._changed[family], set()
        return changed

    def change_all(self) -> None:
        """Take every series for changed."""
        for family in self.families:
            self._changed[family] |= self.scalars[family].keys() | self.histograms[family].keys()

    def show_targets(self, targets: Iterable[str]) -> None:
        """Let the series of these targets show, and no others; what is counted stays."""
        before, self._targets = self._targets, frozenset(targets)
        if before != self._targets:
            self.change_all()

    def shown(self, series: Series) -> float | Histogram | None:
        """Return what a series shows: nothing counted while it is held; None where it is gone."""
        family, labels = series
        if not self._visible(series):
            return None
        held = series in self.held
        if labels in self.scalars[family]:
            return 0.0 if held else self.scalars[family][labels]
        if labels in self.histograms[family]:
            empty = empty_histogram(self.families[family])
            return empty if held else self.histograms[family][labels]
        return None

    def exemplars(self, series: Series) -> Mapping[int, Exemplar]:
        """Return the exemplars that a series shows, by the place of their bucket."""
        return {} if series in self.held else self._exemplars[series]

    def mark_shown(self, version: int, now: float) -> None:
        """Remember which publication was the first to show each held zero."""
        for series, held in self.held.items():
            if held.version is None and self._visible(series):
                held.version, held.since = version, now

    def _visible(self, series: Series) -> bool:
        return self._targets is None or series.labels[0] in self._targets

    def due(self, served: int, now: float, hold_seconds: float) -> list[Series]:
        """Return the held series whose zero was served, or that have waited long enough."""
        return [
            series
            for series, held in self.held.items()
            if held.version is not None
            and (held.version <= served or now - held.since >= hold_seconds)
        ]


def empty_histogram(family: Counted) -> Histogram:
    """Return a histogram of *family* with nothing in it."""
    return Histogram((0,) * (len(family.bounds) + 1))


class Draft:
    """What a commit would make of a tally; the tally itself stays as it is."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self.scalars: dict[Series, float] = {}
        self.histograms: dict[Series, Histogram] = {}
        self.exemplars: list[tuple[Series, Exemplar]] = []
        self.ended: dict[Labels, list[End]] = {}

    def seed(self, series: Series) -> None:
        """Let a series exist."""
        if series in self._tally or series in self.scalars or series in self.histograms:
            return
        family = self._tally.families[series.family]
        if family.bounds:
            self.histograms[series] = empty_histogram(family)
        else:
            self.scalars[series] = 0.0

    def take(self, fact: Fact, starts_counted: int) -> None:
        """Let one fact have its effects; of the run, so many starts are counted already."""
        for effect in fact.effects:
            match effect:
                case Add(series, amount, exemplar):
                    self._add(series, amount)
                    self._exemplify(series, exemplar)
                case Retried(series, run_count):
                    self._add(series, max(run_count - max(starts_counted, 1), 0))
                case Latest(series, value):
                    self.scalars[series] = max(self._scalar(series), value)
                case Observe(series, value, exemplar):
                    self._observe(series, value)
                    self._exemplify(series, exemplar)
                case Ended(deployment, success):
                    end = End(fact.at_us, fact.run_id, success)
                    self.ended.setdefault(deployment, []).append(end)

    def _exemplify(self, series: Series, exemplar: Exemplar | None) -> None:
        if exemplar is not None:
            self.exemplars.append((series, exemplar))

    def _scalar(self, series: Series) -> float:
        if series in self.scalars:
            return self.scalars[series]
        return self._tally.scalars[series.family].get(series.labels, 0.0)

    def _add(self, series: Series, amount: float) -> None:
        self.scalars[series] = self._scalar(series) + amount

    def _observe(self, series: Series, value: float) -> None:
        family = self._tally.families[series.family]
        before = self.histograms.get(series) or self._tally.histograms[series.family].get(
            series.labels, empty_histogram(family)
        )
        self.histograms[series] = before.plus(family.bounds, value)

    def items(self) -> Iterable[tuple[Series, float | Histogram]]:
        """Return every series that the draft changes, with its new value."""
        yield from self.scalars.items()
        yield from self.histograms.items()
