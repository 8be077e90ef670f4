"""Failures as the few series that metrics may have: by group, category and flow. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from prefect_exporter.failures.model import Failed, Signature
from prefect_exporter.labels import OTHER
from prefect_exporter.metrics import Labels

_REST: Labels = (OTHER, OTHER, OTHER)


@dataclass(frozen=True, slots=True)
class Series:
    """Failures of one series: how many, and when the first and the last of them ended."""

    count: int
    first_us: int
    last_us: int

    def plus(self, other: Series) -> Series:
        """Return both together."""
        return Series(
            self.count + other.count,
            min(self.first_us, other.first_us),
            max(self.last_us, other.last_us),
        )


def series_of(
    pairs: Iterable[tuple[Failed, Signature]], most: int
) -> tuple[dict[Labels, Series], int]:
    """Return the series with the most failures, the rest as one, and how many are in that.

    Args:
        pairs: Failures with their signatures.
        most: Series that keep their names.
    """
    found: dict[Labels, Series] = {}
    for failed, signature in pairs:
        at = (signature.id, signature.category, failed.flow)
        one = Series(1, failed.ended_us, failed.ended_us)
        found[at] = found[at].plus(one) if at in found else one
    ordered = sorted(found.items(), key=lambda each: (-each[1].count, -each[1].last_us, each[0]))
    shown = dict(ordered[:most])
    for _, series in ordered[most:]:
        shown[_REST] = shown[_REST].plus(series) if _REST in shown else series
    return shown, max(0, len(ordered) - most)
