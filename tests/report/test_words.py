"""How numbers and times are written, and how a period is cut into steps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_exporter.moments import DAY, HOUR
from prefect_exporter.report import words
from prefect_exporter.report.question import Period
from prefect_exporter.report.timeline import MOST_STEPS, timeline
from report.worlds import NOW_US


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (0.44, "0.4 s"),
        (9.96, "10 s"),
        (59.7, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (3661, "1 h 1 min"),
        (86_399.6, "1 d"),
        (183_605, "2 d 3 h"),
        (86_405, "1 d"),
    ],
)
def test_durations_have_two_units_at_most(seconds: float, text: str) -> None:
    """The two greatest, rounded to the second, and no nought among them."""
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("part", "text"), [(0, "0 %"), (0.001, "0.1 %"), (0.0995, "10 %"), (0.5, "50 %"), (1, "100 %")]
)
def test_small_shares_have_a_decimal(part: float, text: str) -> None:
    """One of a thousand is not nought."""
    assert words.share(part) == text


@pytest.mark.parametrize(
    ("amount", "text"), [(100, "100 B"), (1024, "1 KiB"), (1.5 * 2**30, "1.5 GiB")]
)
def test_sizes_are_in_powers_of_1024(amount: float, text: str) -> None:
    """As Kubernetes counts them."""
    assert words.size(amount) == text


def test_times_and_counts() -> None:
    """Times are in UTC and say so; one thing has no s."""
    assert words.time(NOW_US) == "2026-11-20 12:00 UTC"
    assert words.rfc3339(NOW_US) == "2026-11-20T12:00:00Z"
    assert (words.count(1, "run"), words.count(1200, "run")) == ("1 run", "1,200 runs")


@given(st.integers(1, 4000 * DAY), st.integers(0, 7 * DAY))
def test_steps_cover_the_period_and_no_more(length_us: int, shift_us: int) -> None:
    """Each time of the period is in a step; what lies outside is in the nearest one."""
    period = Period(NOW_US - shift_us - length_us, NOW_US - shift_us)
    steps = timeline(period)

    assert len(steps.labels) == steps.count <= MOST_STEPS + 3
    assert steps.index(period.since_us) == 0
    assert steps.index(period.until_us - 1) == steps.count - 1
    assert steps.index(period.since_us - 30 * DAY) == 0
    assert steps.index(period.until_us + 30 * DAY) == steps.count - 1


def test_steps_begin_on_the_hour() -> None:
    """Labels are times that a person knows, whenever the report is made."""
    steps = timeline(Period(NOW_US - 3 * HOUR - 1234, NOW_US - 1234))

    assert steps.labels[:2] == ["11-20 08:55", "11-20 09:00"]
