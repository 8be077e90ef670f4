"""What was counted: in Prometheus, sample by sample, and key by key in the exporter's ledger."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from demo.prometheus import Prometheus, Sample
from exactness.truth import Key

EVERYTHING = "1h"
"""A range that holds every sample of a test."""

# An exporter that was killed begins its own counters anew, as their help says.
_PERSISTENT = (
    '{__name__=~"prefect_(work_pool_)?(flow|task)_runs?_.+_(total|count|sum|bucket)",'
    ' job="exporter"}'
)


@dataclass(frozen=True, slots=True)
class Series:
    """One counter over time.

    Args:
        first: Its first sample's value.
        last: Its last sample's value.
        samples: How many there are.
        increase: What ``increase()`` says over all of them.
    """

    labels: Mapping[str, str]
    first: float
    last: float
    samples: int
    increase: float

    @property
    def counted(self) -> int:
        """Last minus first."""
        return round(self.last - self.first)

    @property
    def most(self) -> float:
        """The most that ``increase()`` may say.

        It stretches what lies between the first and the last of n samples to the window's edges,
        by at most 1.1 of their mean distance on each side; and not at all to the side on which
        the series begins at zero. Of n - 1 such distances, that adds 1.1.
        """
        return self.counted * (1 + 1.1 / (self.samples - 1))


def read_series(prometheus: Prometheus, family: str) -> list[Series]:
    """Return every series of a family with all its samples' essence."""
    # Both queries see the same samples: what was scraped a second ago is stored.
    at = datetime.now(UTC) - timedelta(seconds=1)
    raised = prometheus.query(f"increase({family}[{EVERYTHING}])", at=at)
    increases = {_known_by(sample.labels): sample.value for sample in raised}
    found = []
    for series in _matrix(prometheus, family, at):
        labels, values = series["metric"], _values(series)
        # Of a single sample there is no increase.
        increase = increases.get(_known_by(labels), 0.0)
        found.append(Series(labels, values[0], values[-1], len(values), increase))
    return found


def _matrix(prometheus: Prometheus, family: str, at: datetime) -> list[dict[str, Any]]:
    """Return the samples as they are stored; a range query would give them at its own steps."""
    query = {"query": f"{family}[{EVERYTHING}]", "time": at.isoformat()}
    url = f"{prometheus.url}/api/v1/query"
    answer = httpx.post(url, data=query, timeout=30, trust_env=False).raise_for_status()
    result: list[dict[str, Any]] = answer.json()["data"]["result"]
    return result


def _values(series: dict[str, Any]) -> list[float]:
    return [float(value) for _, value in series["values"]]


def _known_by(labels: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset(item for item in labels.items() if item[0] != "__name__")


def resets(prometheus: Prometheus) -> list[Sample]:
    """Return the resets of each counter, and each part of a histogram, that the ledger keeps."""
    families = {sample.labels["__name__"] for sample in prometheus.query(_PERSISTENT)}
    # resets() drops the name, without which two families' series would be one.
    return [
        sample
        for family in families
        for sample in prometheus.query(f"resets({family}[{EVERYTHING}])")
    ]


def over_all_lives(prometheus: Prometheus, family: str) -> int:
    """Return what a counter that begins anew with its process has counted in all, at least."""
    return round(
        sum(
            after - before if after >= before else after
            for series in _matrix(prometheus, family, datetime.now(UTC))
            for before, after in pairwise([0.0, *_values(series)])
        )
    )


def read_keys(ledger: Path) -> Mapping[str, Sequence[Key]]:
    """Return what the ledger of a stopped exporter has counted, by feed."""
    keys: dict[str, list[Key]] = defaultdict(list)
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:
        for feed, run, at_us in connection.execute(
            "SELECT feed.name, seen.run_id, seen.at_us FROM seen JOIN feed ON feed.id = seen.feed"
        ):
            keys[feed].append((UUID(bytes=run), at_us))
    return keys
