"""How long each flow's runs are, how much they vary, and what share of all time they take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from prefect_exporter.report.remembered import remembered
from prefect_exporter.report.statistics import quantiles, variation
from prefect_exporter.report.workspace import Subject, Workspace


@dataclass(frozen=True, slots=True)
class Lengths:
    """The runs of one subject that completed in the period; times are seconds.

    Args:
        runs: How many.
        total: Of all its runs that ended, however they ended.
        variation: Coefficient of variation.
    """

    subject: Subject
    runs: int
    p50: float
    p95: float
    longest: float
    total: float
    variation: float

    @property
    def spread(self) -> float:
        """How many times as long as the median one of twenty runs takes at least."""
        return self.p95 / self.p50 if self.p50 else math.inf if self.p95 else 1.0


@remembered
def lengths(workspace: Workspace) -> Sequence[Lengths]:
    """Return those of all subjects with a completed run, the longest p95 first."""
    found = []
    for subject, stats in workspace.stats.items():
        if seconds := stats.durations:
            p50, p95, longest = quantiles(seconds, 0.5, 0.95, 1.0)
            total = math.fsum(seconds) + stats.failed_seconds
            found.append(
                Lengths(subject, len(seconds), p50, p95, longest, total, variation(seconds))
            )
    return sorted(found, key=lambda each: each.p95, reverse=True)
