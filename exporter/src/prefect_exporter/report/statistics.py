"""Numbers about numbers: quantiles, trends, change points, rates compared. Pure, O(n log n).

What is tested for chance has a named test and says its p: how often pure chance would show as much.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

FEWEST_FOR_A_CHANGE = 4
"""Values without which no change point is looked for: two on either side."""


@dataclass(frozen=True, slots=True)
class Trend:
    """Whether values rise or fall in their order, by Mann and Kendall.

    Args:
        s: Pairs that rise less pairs that fall.
        tau: The same as a share of all pairs without a tie (Kendall's tau-b): from -1 to 1.
        p: Two-sided; 1.0 where there are fewer than three values, or all are the same.
    """

    s: int
    tau: float
    p: float


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """Where values began to be others, by Pettitt.

    Args:
        index: Of the first value after the change.
        before: Median of the values before it; *after* of the others.
        p: Two-sided, Pettitt's approximation.
    """

    index: int
    before: float
    after: float
    p: float


@dataclass(frozen=True, slots=True)
class Ratio:
    """One rate against another.

    Args:
        ratio: The first divided by the second; infinite where the second is zero and the first is
            not, 1.0 where both are.
        p: Two-sided: twice the smaller tail.
    """

    ratio: float
    p: float


def quantile(values: Sequence[float], q: float) -> float:
    """Return the value that a share *q* of *values* is not above, between neighbours in proportion.

    Raises:
        ValueError: There are no values.
    """
    return quantiles(values, q)[0]


def quantiles(values: Sequence[float], *qs: float) -> tuple[float, ...]:
    """Return several quantiles of the same values, which are sorted but once.

    Raises:
        ValueError: There are no values.
    """
    if not values:
        raise ValueError("there is no quantile of nothing")
    ordered = sorted(values)
    return tuple(_at(ordered, q) for q in qs)


def _at(ordered: Sequence[float], q: float) -> float:
    place = q * (len(ordered) - 1)
    below = math.floor(place)
    low, high = ordered[below], ordered[math.ceil(place)]
    return low + (high - low) * (place - below)


def median(values: Sequence[float]) -> float:
    """Return the middle one, or the mean of the middle two.

    Raises:
        ValueError: There are no values.
    """
    return quantile(values, 0.5)


def variation(values: Sequence[float]) -> float:
    """Return the coefficient of variation: standard deviation by mean; 0.0 where the mean is 0."""
    mean = math.fsum(values) / len(values) if values else 0.0
    if not mean:
        return 0.0
    return math.sqrt(math.fsum((each - mean) ** 2 for each in values) / len(values)) / mean


def mann_kendall(values: Sequence[float]) -> Trend:
    """Return the trend of *values*, which are in the order of time; ties are allowed for.

    The test asks for independent values: of ones that depend on their neighbours p is too small.
    """
    n = len(values)
    ties = Counter(values).values()
    pairs = n * (n - 1) // 2
    untied = pairs - sum(t * (t - 1) // 2 for t in ties)
    if n < 3 or not untied:  # noqa: PLR2004 - of two values either order is as likely
        return Trend(0, 0.0, 1.0)
    s = untied - 2 * _falling(values)
    variance = (_weight(n) - sum(map(_weight, ties))) / 18
    z = max(0, abs(s) - 1) / math.sqrt(variance)
    return Trend(s, s / math.sqrt(pairs * untied), math.erfc(z / math.sqrt(2)))


def _weight(n: int) -> int:
    return n * (n - 1) * (2 * n + 5)


def _falling(values: Sequence[float]) -> int:
    """Return how many pairs fall: the exchanges that a merge sort makes."""
    runs, falling = [[each] for each in values], 0
    while len(runs) > 1:
        merged = []
        for left, right in zip(runs[::2], runs[1::2], strict=False):
            run, exchanges = _merge(left, right)
            falling += exchanges
            merged.append(run)
        if len(runs) % 2:
            merged.append(runs[-1])
        runs = merged
    return falling


def _merge(left: list[float], right: list[float]) -> tuple[list[float], int]:
    merged, falling, i = [], 0, 0
    for value in right:
        while i < len(left) and left[i] <= value:
            merged.append(left[i])
            i += 1
        merged.append(value)
        falling += len(left) - i
    return merged + left[i:], falling


def pettitt(values: Sequence[float]) -> ChangePoint | None:
    """Return where *values*, in the order of time, most likely became others; ties are allowed for.

    None where there are too few, or all are the same. The test asks for independent values, and
    finds one change: what came and went again is found once, or not at all.
    """
    n = len(values)
    if n < FEWEST_FOR_A_CHANGE or len(set(values)) == 1:
        return None
    ranks = accumulate(_ranks(values))
    # Twice Mann and Whitney's U of the values before a point against those after it, centred.
    us = [2 * total - t * (n + 1) for t, total in enumerate(ranks, start=1)]
    index = max(range(1, n), key=lambda t: abs(us[t - 1]))
    k = abs(us[index - 1])
    p = min(1.0, 2 * math.exp(-6 * k * k / (n**3 + n**2)))
    return ChangePoint(index, median(values[:index]), median(values[index:]), p)


def _ranks(values: Sequence[float]) -> list[float]:
    """Return the place of each value among all, from 1; the same values share their mean place."""
    ranks: dict[float, float] = {}
    below = 0
    for value, times in sorted(Counter(values).items()):
        ranks[value] = below + (times + 1) / 2
        below += times
    return [ranks[value] for value in values]


def poisson_ratio(count: int, exposure: float, other: int, other_exposure: float) -> Ratio:
    """Return how many times as often one thing happens as another, and whether chance explains it.

    The exact conditional test: of all events together the first has a binomial share. Both
    exposures are what the events were counted in, such as hours or runs, in one unit.
    """
    if not (exposure > 0 and other_exposure > 0 and count + other):
        return Ratio(1.0, 1.0)
    ratio = (count / exposure) / (other / other_exposure) if other else math.inf
    share = exposure / (exposure + other_exposure)
    total = count + other
    tail = min(binomial_tail(count, total, share), binomial_tail(other, total, 1 - share))
    return Ratio(ratio, min(1.0, 2 * tail))


def binomial_tail(count: int, total: int, share: float) -> float:
    """Return the chance of *count* or more of *total*, each with the chance *share*."""
    log = math.lgamma(total + 1) - math.lgamma(count + 1) - math.lgamma(total - count + 1)
    term = math.exp(log + count * math.log(share) + (total - count) * math.log1p(-share))
    if count < total * share:
        # The terms below are the fewer and fall as they go away from the mean.
        return 1.0 - sum(_terms(term, count, total, share, down=True))
    return term + sum(_terms(term, count, total, share, down=False))


def _terms(term: float, count: int, total: int, share: float, *, down: bool) -> Sequence[float]:
    """Return the chances beside *count*, going away from it until they no longer matter."""
    odds, terms = share / (1 - share), []
    k = count
    while term > 1e-18 and (k > 0 if down else k < total):  # noqa: PLR2004 - below a float's grain
        term *= k / ((total - k + 1) * odds) if down else (total - k) / (k + 1) * odds
        k += -1 if down else 1
        terms.append(term)
    return terms


def benjamini_hochberg(ps: Sequence[float], rate: float) -> float:
    """Return the greatest of *ps* that still counts when so many things were looked at.

    Of all that are not above it a share of *rate* at most is due to chance; 0.0 if none counts.
    """
    ordered = sorted(ps)
    limits = (rate * place / len(ps) for place in range(1, len(ps) + 1))
    return max((p for p, limit in zip(ordered, limits, strict=True) if p <= limit), default=0.0)
