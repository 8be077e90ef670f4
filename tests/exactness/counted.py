"""What was counted: in Prometheus, sample by sample, and key by key in the exporter's ledger."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx

from demo.prometheus import Prometheus
from exactness.truth import Key

EVERYTHING = "1h"
"""A range that holds every sample of a test."""

# An exporter that was killed begins these anew, as their help says: "since the exporter started".
PERSISTENT = '{__name__=~"prefect_(flow|task|work_pool)_run.*_(total|count|sum|bucket)"}'
"""The counters and histograms that the ledger keeps."""


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
    answer = httpx.post(
        f"{prometheus.url}/api/v1/query",
        data={"query": f"{family}[{EVERYTHING}]"},
        timeout=30,
        trust_env=False,
    )
    raised = prometheus.query(f"increase({family}[{EVERYTHING}])")
    increases = {_known_by(sample.labels): sample.value for sample in raised}
    found = []
    for series in answer.raise_for_status().json()["data"]["result"]:
        labels = series["metric"]
        values = [float(value) for _, value in series["values"]]
        increase = increases[_known_by(labels)]
        found.append(Series(labels, values[0], values[-1], len(values), increase))
    return found


def _known_by(labels: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset(item for item in labels.items() if item[0] != "__name__")


def resets(prometheus: Prometheus) -> Mapping[str, float]:
    """Return the resets of every persistent series that has any, by name; and how many there are.

    The number of series that were looked at stands under the empty name.
    """
    found: dict[str, float] = defaultdict(float)
    # resets() drops the name, without which two families' series would be one.
    families = {sample.labels["__name__"] for sample in prometheus.query(PERSISTENT)}
    for family in families:
        for sample in prometheus.query(f"resets({family}[{EVERYTHING}])"):
            found[""] += 1
            if sample.value:
                found[family] += sample.value
    return found


def total(prometheus: Prometheus, promql: str) -> int:
    """Return the sum of an instant vector, 0 where it is empty."""
    return round(sum(sample.value for sample in prometheus.query(promql)))


def read_keys(ledger: Path) -> Mapping[str, Sequence[Key]]:
    """Return what the ledger of a stopped exporter has counted, by feed."""
    keys: dict[str, list[Key]] = defaultdict(list)
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:
        for feed, run, at_us in connection.execute(
            "SELECT feed.name, seen.run_id, seen.at_us FROM seen JOIN feed ON feed.id = seen.feed"
        ):
            keys[feed].append((UUID(bytes=run), at_us))
    return keys
