"""Trends: by which test, and that chance alone shows none."""

from __future__ import annotations

import random

import pytest

from prefect_exporter.failures.trends import ALPHA, Direction, Method, trend


@pytest.mark.parametrize(
    ("buckets", "direction", "method"),
    [
        ([0] * 18 + [0, 0, 2, 3, 2, 4], Direction.NEW, Method.POISSON),
        ([5] * 18 + [0] * 6, Direction.GONE, Method.POISSON),
        ([2] * 18 + [9] * 6, Direction.RISING, Method.POISSON),
        ([9] * 18 + [1] * 6, Direction.FALLING, Method.POISSON),
        ([at // 3 for at in range(24)], Direction.RISING, Method.POISSON),
        ([3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5], Direction.RISING, Method.MANN_KENDALL),
        ([5, 5, 5, 5, 4, 4, 4, 4, 3, 3, 3, 3], Direction.FALLING, Method.MANN_KENDALL),
        ([4] * 24, Direction.STEADY, None),
        ([0] * 23 + [1], Direction.STEADY, None),
        ([0] * 24, Direction.STEADY, None),
        ([1, 0] * 12, Direction.STEADY, None),
        ([7], Direction.STEADY, None),
    ],
)
def test_trend(buckets: list[int], direction: Direction, method: Method | None) -> None:
    """A leap by Poisson, a slope by Mann and Kendall, and one failure is no trend."""
    found = trend(buckets)

    assert direction == found.direction
    assert method is None or method == found.method
    assert (found.p < ALPHA / 2) == (direction is not Direction.STEADY)
    assert 0.0 <= found.p <= 1.0


def test_chance_is_no_trend() -> None:
    """Of steady failures few groups show one: not more than both tests may be wrong together."""
    chance = random.Random(7)
    found = [
        trend([sum(chance.random() < 0.1 for _ in range(40)) for _ in range(24)])
        for _ in range(1000)
    ]
    wrong = sum(each.direction is not Direction.STEADY for each in found)

    assert wrong <= 1000 * ALPHA
