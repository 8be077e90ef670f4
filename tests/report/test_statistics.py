"""The tests of chance and the quantiles, held against scipy and against counting by hand."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from prefect_exporter.report.statistics import (
    benjamini_hochberg,
    mann_kendall,
    median,
    pettitt,
    poisson_ratio,
    quantile,
    quantiles,
    variation,
)

# Few different values, so that there are ties.
TIED = st.lists(st.integers(0, 6).map(float), min_size=3, max_size=40)
VALUES = st.lists(st.floats(0, 1e6), min_size=1, max_size=60)


@given(VALUES, st.floats(0, 1))
def test_quantile_lies_between_the_extremes(values: list[float], q: float) -> None:
    """A quantile is one of the values, or lies between two that are neighbours."""
    found = quantile(values, q)

    assert min(values) <= found <= max(values)
    assert sum(each <= found for each in values) >= math.floor(q * (len(values) - 1)) + 1


def test_quantiles_go_between_neighbours_in_proportion() -> None:
    """They are those that numpy, R and Excel give by default."""
    assert quantiles([4, 1, 3, 2], 0, 0.5, 0.95, 1) == pytest.approx((1, 2.5, 3.85, 4))
    assert median([5]) == 5


def test_there_is_no_quantile_of_nothing() -> None:
    """Who asks for one of no values has a mistake, and hears of it."""
    with pytest.raises(ValueError, match="nothing"):
        quantile([], 0.5)


def test_variation_is_the_deviation_by_the_mean() -> None:
    """Values without spread have none, and neither has nothing."""
    assert variation([1, 3]) == pytest.approx(0.5)
    assert variation([2, 2, 2]) == 0
    assert variation([]) == variation([0, 0]) == 0


@given(TIED)
def test_mann_kendall_agrees_with_scipy(values: list[float]) -> None:
    """Its tau is Kendall's tau-b against time; its p has the usual correction for whole numbers."""
    found = mann_kendall(values)
    pairs = combinations(values, 2)

    assert found.s == sum((later > earlier) - (later < earlier) for earlier, later in pairs)
    if len(set(values)) == 1:
        assert found.p == 1
        return
    expected = stats.kendalltau(range(len(values)), values, method="asymptotic")
    assert found.tau == pytest.approx(expected.statistic)
    z = stats.norm.isf(expected.pvalue / 2)
    corrected = z * max(0, abs(found.s) - 1) / abs(found.s) if found.s else 0
    assert found.p == pytest.approx(2 * stats.norm.sf(corrected), abs=1e-9)


@pytest.mark.parametrize(
    ("values", "s"),
    [([], 0), ([1.0], 0), ([1.0, 2.0], 0), (range(10), 45), (range(9, -1, -1), -45)],
)
def test_mann_kendall_knows_rising_from_falling(values: Sequence[float], s: int) -> None:
    """S has the sign of the trend, and too few values have none."""
    assert mann_kendall(values).s == s


@given(st.lists(st.integers(0, 9).map(float), min_size=4, max_size=40))
def test_pettitt_finds_the_greatest_difference_of_ranks(values: list[float]) -> None:
    """No other place splits the values into two that Mann and Whitney find further apart."""
    found = pettitt(values)
    if len(set(values)) == 1:
        assert found is None
        return
    assert found is not None

    n = len(values)
    apart = [
        abs(2 * stats.mannwhitneyu(values[:t], values[t:]).statistic - t * (n - t))
        for t in range(1, n)
    ]
    assert apart[found.index - 1] == max(apart)
    k = max(apart)
    assert found.p == pytest.approx(min(1, 2 * math.exp(-6 * k**2 / (n**3 + n**2))))


def test_pettitt_says_where_and_from_what_to_what() -> None:
    """The index is that of the first value after the change."""
    chance = random.Random(9)
    values = [chance.gauss(10, 1) for _ in range(30)] + [chance.gauss(20, 1) for _ in range(20)]

    found = pettitt(values)

    assert found is not None
    assert (found.index, round(found.before), round(found.after)) == (30, 10, 20)
    assert found.p < 1e-6


def test_pettitt_seldom_cries_over_chance() -> None:
    """Of values without a change it says p < 0.01 in no more than one of a hundred."""
    chance = random.Random(9)
    found = [pettitt([chance.random() for _ in range(60)]) for _ in range(500)]

    assert sum(each is not None and each.p < 0.01 for each in found) <= 5


@pytest.mark.parametrize("values", [[], [1.0, 2.0, 3.0], [7.0] * 50])
def test_pettitt_is_silent_without_data(values: list[float]) -> None:
    """Too few values, or the same ones, have no change."""
    assert pettitt(values) is None


@given(st.integers(0, 300), st.integers(0, 300), st.floats(0.01, 100))
def test_poisson_ratio_agrees_with_scipy(count: int, other: int, exposure: float) -> None:
    """Its p is twice the smaller tail of the binomial, exactly."""
    found = poisson_ratio(count, exposure, other, 1.0)
    if not count + other:
        assert found.p == found.ratio == 1
        return
    binomial = stats.binom(count + other, exposure / (exposure + 1))
    expected = min(1, 2 * min(binomial.cdf(count), binomial.sf(count - 1)))

    assert found.p == pytest.approx(expected, rel=1e-6, abs=1e-12)
    if other:
        assert found.ratio == pytest.approx(count / exposure / other)


@pytest.mark.parametrize(
    ("counts", "p"), [((50_000, 50_000), 1.0), ((51_000, 49_000), 2.6e-10), ((100_000, 0), 0.0)]
)
def test_poisson_ratio_holds_for_many(counts: tuple[int, int], p: float) -> None:
    """Neither many events nor a certain difference make it overflow."""
    assert poisson_ratio(counts[0], 1, counts[1], 1).p == pytest.approx(p, rel=0.1, abs=0.004)


def test_rate_against_none_is_infinite() -> None:
    """Where the other thing never happened, the ratio says so; without a time there is none."""
    assert poisson_ratio(3, 1, 0, 1).ratio == math.inf
    assert poisson_ratio(3, 0, 1, 1).p == 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.sampled_from([0.01, 0.05, 0.2]))
def test_benjamini_hochberg_agrees_with_scipy(ps: list[float], rate: float) -> None:
    """What is not above its limit is what scipy's adjusted p lets through."""
    limit = benjamini_hochberg(ps, rate)
    adjusted = stats.false_discovery_control(ps)

    for p, fair in zip(ps, adjusted, strict=True):
        # A p on the very edge may round either way.
        if abs(fair - rate) > 1e-12:
            assert (p <= limit) == (fair <= rate) or (p == 0 == limit)


def test_nothing_to_look_at_lets_nothing_through() -> None:
    """Without a p there is no limit but nought."""
    assert benjamini_hochberg([], 0.05) == 0
