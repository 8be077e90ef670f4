"""Schedules in words, how often they are due, and what a narrowed report may speak of."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from prefect_exporter.report.cadence import per_day, words
from prefect_exporter.report.model import Column, Row
from prefect_exporter.report.scope import deployments, is_narrowed
from prefect_exporter.report.tables import table
from prefect_exporter.wire import Timing
from report.worlds import workspace

FRIDAY = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("timing", "text", "often"),
    [
        (Timing(cron="0 3 * * *"), "cron 0 3 * * *", 1.0),
        (
            Timing(cron="* * * * *", timezone="Europe/Berlin"),
            "cron * * * * * Europe/Berlin",
            1440.0,
        ),
        (Timing(cron="0 9-17 * * 1-5"), "cron 0 9-17 * * 1-5", 45 / 7),
        (Timing(interval=3600.0), "every 1 h", 24.0),
        (Timing(interval="P1M"), "every P1M", None),
        (Timing(rrule="FREQ=DAILY;COUNT=1"), "rrule FREQ=DAILY;COUNT=1", 0.0),
        (Timing(rrule="FREQ=HOURLY"), "rrule FREQ=HOURLY", 24.0),
        (Timing(cron="no cron"), "cron no cron", None),
        (Timing(cron="0 3 * * *", timezone="No/Where"), "cron 0 3 * * * No/Where", None),
        (Timing(), "never", None),
    ],
)
def test_schedule_is_told(timing: Timing, text: str, often: float | None) -> None:
    """A person reads when it is due; a week tells how often a day, weekends included."""
    assert text == words(timing)
    assert often == pytest.approx(per_day(timing, FRIDAY))


def test_hostile_schedules_are_cut_and_not_reckoned() -> None:
    """Texts of megabytes, and rules without end, take no time and no room."""
    long = Timing(cron="0 3 * * *," * 100_000)

    assert len(words(long)) == 80
    assert per_day(long, FRIDAY) is None
    assert per_day(Timing(rrule="FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30"), FRIDAY) == 0.0


def test_narrowed_report_knows_its_deployments() -> None:
    """By flow its name counts, by tag that of the deployment or its flow; both have to fit."""
    with workspace(flows=("a", "b"), tags=("x",)) as world:
        a, b, c = world.flow("a", tags=["x"]), world.flow("b"), world.flow("c", tags=["x"])
        for flow, name, tags in ((a, "1", []), (b, "2", ["x"]), (b, "3", ["y"]), (c, "4", ["x"])):
            world.deployment(flow, name, tags=tags)
        look = world.workspace

        assert is_narrowed(look)
        assert ["a/1", "b/2"] == [look.name(subject) for subject, _ in deployments(look)]


def test_table_says_what_it_leaves_out() -> None:
    """The note tells how many rows there are; the id is that of the title."""
    rows = [Row((number,)) for number in range(1_200)]
    short = table("Hours, by day", [Column("Day")], rows[:100], "In UTC.")
    long = table("Hours, by day", [Column("Day")], rows, "In UTC.")

    assert (short.id, short.note) == ("hours-by-day", "In UTC.")
    assert (len(long.rows), long.note) == (100, "In UTC. The first 100 of 1,200.")
