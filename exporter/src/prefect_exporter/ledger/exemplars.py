"""The newest exemplars, in memory alone: a restart, or time, loses an example and no count."""

from __future__ import annotations

from collections.abc import Mapping

from prefect_exporter.facts import Exemplar, Series

# Prometheus keeps what it has scraped, so an exemplar need only stand here until the next scrape;
# a million flow runs a day are 700 ends a minute. A series with exemplars is rendered twice.
MOST_SERIES = 1000


class Exemplars:
    """The newest exemplar of each bucket, for the series that had one last; a counter is bucket 0.

    Args:
        most: How many series may have some.
    """

    def __init__(self, most: int = MOST_SERIES) -> None:
        self._most = most
        self._by_series: dict[Series, dict[int, Exemplar]] = {}

    def __getitem__(self, series: Series) -> Mapping[int, Exemplar]:
        return self._by_series.get(series, {})

    def put(self, series: Series, bucket: int, exemplar: Exemplar) -> Series | None:
        """Take in an exemplar unless a newer one is there; return the series that lost its own.

        Prometheus takes the exemplars of a series in the order of their times, and no others.
        """
        held = self._by_series.pop(series, {})
        if bucket not in held or held[bucket].at_us < exemplar.at_us:
            held[bucket] = exemplar
        self._by_series[series] = held
        if len(self._by_series) <= self._most:
            return None
        oldest = next(iter(self._by_series))
        del self._by_series[oldest]
        return oldest

    def forget(self, series: Series) -> None:
        """Drop what a series has."""
        self._by_series.pop(series, None)
