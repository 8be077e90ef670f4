"""Metric families: what a declaration and a state make."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from prefect_exporter.metrics import Counted, Family, Histogram, Kind, Samples
from worlds import text_of

BOUNDS = (1.0, 10.0)


def _twice(state: int) -> Samples:
    yield ("a",), float(state)
    yield ("b",), 2.0 * state


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        (Kind.GAUGE, "x_seconds", 'x_seconds{target="t",which="b"} 6.0\n'),
        (Kind.COUNTER, "x_total", 'x_total{target="t",which="b"} 6.0\n'),
    ],
    ids=["gauge", "counter"],
)
def test_family_reads_each_target(kind: Kind, name: str, expected: str) -> None:
    """A family has what each target's state holds, under that target's name."""
    family = Family(name, kind, "Help.", ("which",), _twice)
    text = text_of(family.fill([("t", 3), ("u", 5)]))

    assert expected in text
    assert 4 == text.count("{target=")


def test_family_of_no_state_has_no_line() -> None:
    """A family that nothing is known of is not there, rather than at 0."""
    family = Family("x", Kind.GAUGE, "Help.", ("which",), _twice)

    assert "" == text_of(family.fill([]))


def test_histogram_is_cumulative() -> None:
    """Buckets hold what is at or below their bound; the last one holds everything."""
    family = Counted("x_seconds", Kind.HISTOGRAM, "Help.", ("flow",), BOUNDS)
    text = text_of(family.fill([(("t", "etl"), Histogram((1, 2, 4), 99.5))]))

    (parsed,) = text_string_to_metric_families(text)
    expected = [("1.0", 1.0), ("10.0", 3.0), ("+Inf", 7.0), (None, 7.0), (None, 99.5)]
    assert expected == [(each.labels.get("le"), each.value) for each in parsed.samples]
    assert {("t", "etl")} == {
        (each.labels["target"], each.labels["flow"]) for each in parsed.samples
    }


@pytest.mark.parametrize(
    ("value", "place"), [(-1.0, 0), (0.0, 0), (1.0, 0), (1.1, 1), (10.0, 1), (10.1, 2), (1e9, 2)]
)
def test_bound_belongs_to_its_bucket(value: float, place: int) -> None:
    """A value equal to a bound counts below it, one above all bounds in the last bucket."""
    counts = [0, 0, 0]
    counts[place] = 1

    assert Histogram(tuple(counts), value) == Histogram((0, 0, 0)).plus(BOUNDS, value)


@given(st.lists(st.floats(0, 100, allow_nan=False)))
def test_histogram_loses_nothing(values: list[float]) -> None:
    """However many values, their number and sum are kept."""
    histogram = Histogram((0, 0, 0))
    for value in values:
        histogram = histogram.plus(BOUNDS, value)

    assert len(values) == sum(histogram.counts)
    assert math.isclose(sum(values), histogram.total)
