"""Whether a group of failures grows: by a named test, and with its p. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from prefect_exporter.report.statistics import mann_kendall, poisson_ratio

ALPHA = 0.05
"""How often chance may show as a trend; each of the two tests has half of it."""


class Direction(StrEnum):
    """Which way it goes."""

    RISING = "rising"
    FALLING = "falling"
    STEADY = "steady"
    NEW = "new"
    """None before the last quarter of the time, and more in it than chance explains."""
    GONE = "gone"
    """None in the last quarter, and more before than chance explains."""


class Method(StrEnum):
    """Which test says so."""

    MANN_KENDALL = "mann-kendall"
    """Over all steps of the time: a slow rise or fall."""
    POISSON = "poisson-rate-ratio"
    """The last quarter against what was before it: a leap, also where there are few failures."""


@dataclass(frozen=True, slots=True)
class Trend:
    """Which way it goes, by which test, and how often chance alone would show as much."""

    direction: Direction
    method: Method
    p: float


def trend(buckets: Sequence[int]) -> Trend:
    """Return the trend of counts in equal steps of time, the oldest first.

    Both tests ask for failures that come independently of each other. Those of one outage do not,
    so a trend says what happened, not what will.
    """
    before, last = _quarters(buckets)
    leap = poisson_ratio(sum(last), len(last), sum(before), len(before))
    slope = mann_kendall(buckets)
    if leap.p < ALPHA / 2:
        return Trend(_of_leap(sum(before), sum(last)), Method.POISSON, leap.p)
    if slope.p < ALPHA / 2:
        direction = Direction.RISING if slope.s > 0 else Direction.FALLING
        return Trend(direction, Method.MANN_KENDALL, slope.p)
    method = Method.POISSON if leap.p < slope.p else Method.MANN_KENDALL
    return Trend(Direction.STEADY, method, min(leap.p, slope.p))


def _quarters(buckets: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
    cut = len(buckets) - max(1, len(buckets) // 4)
    return buckets[:cut], buckets[cut:]


def _of_leap(before: int, last: int) -> Direction:
    if not before:
        return Direction.NEW
    if not last:
        return Direction.GONE
    # Three quarters of the time are before, so that a steady group has three times as many there.
    return Direction.RISING if last * 3 > before else Direction.FALLING
