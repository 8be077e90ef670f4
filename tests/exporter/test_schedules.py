"""When schedules are due: as Prefect itself reckons it, and nothing for what is no schedule."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from prefect.server.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule

from prefect_exporter.schedules import Due, due, union
from prefect_exporter.wire import Timing

NOW = datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)
ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe")
SLOWEST_SECONDS = 5.0

moments = st.datetimes(datetime(2024, 1, 1), datetime(2028, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001  # bounds have no zone here
anchors = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # as above
zones = st.sampled_from(ZONES)


def field(low: int, high: int) -> st.SearchStrategy[str]:
    """Return texts for one field of a cron expression."""
    numbers = st.integers(low, high)
    lists = st.lists(numbers, min_size=1, max_size=3).map(lambda each: ",".join(map(str, each)))
    steps = st.integers(1, max(high // 2, 2)).map(lambda step: f"*/{step}")
    ranges = st.tuples(numbers, numbers).map(lambda ends: f"{min(ends)}-{max(ends)}")
    return st.one_of(st.just("*"), lists, steps, ranges)


crons = st.tuples(field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 6)).map(" ".join)
days = st.sampled_from(["", ";BYDAY=MO,WE,FR", ";BYDAY=SA", ";BYMONTHDAY=1,15", ";BYMONTH=3,11"])
rules = st.one_of(
    st.builds(
        "FREQ={};INTERVAL={}{}".format,
        st.sampled_from(["MINUTELY", "HOURLY"]),
        st.integers(1, 90),
        days,
    ),
    st.builds(
        "FREQ={};INTERVAL={}{};BYHOUR={}".format,
        st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]),
        st.integers(1, 3),
        days,
        st.sampled_from(["9", "2,14"]),
    ),
)


def steady(zone: str, around: datetime) -> bool:
    """Return whether no clock is set within some days: there Prefect depends on its Python."""
    days = [(around + timedelta(days=each)).astimezone(ZoneInfo(zone)) for each in range(-3, 4)]
    return len({each.utcoffset() for each in days}) == 1


async def following(
    schedule: CronSchedule | IntervalSchedule | RRuleSchedule, now: datetime
) -> datetime | None:
    """Return the first date that Prefect would make a run for after *now*."""
    dates = await schedule.get_dates(n=1, start=now + timedelta(microseconds=1))
    return dates[0].astimezone(UTC) if dates else None


def agrees(
    schedule: CronSchedule | IntervalSchedule | RRuleSchedule, told: Due, now: datetime, zone: str
) -> None:
    """Check the next time and the one before it with Prefect's own dates."""
    expected = asyncio.run(following(schedule, now))
    assume(steady(zone, now) and (expected is None or steady(zone, expected)))

    assert expected == told.following
    if told.previous is not None and steady(zone, told.previous):
        before = told.previous - timedelta(microseconds=1)
        assert told.previous == asyncio.run(following(schedule, before))
        assert told.previous <= now
        assert told.following == asyncio.run(following(schedule, told.previous))


@given(now=moments, cron=crons, zone=zones, day_or=st.booleans())
@settings(max_examples=80, deadline=None)
def test_cron_is_due_when_prefect_says(
    now: datetime, cron: str, zone: str, *, day_or: bool
) -> None:
    """The next time of a cron is Prefect's, and none lies between it and the one before."""
    told = due(Timing(cron=cron, timezone=zone, day_or=day_or), now)
    assume(told.following is not None)

    agrees(CronSchedule(cron=cron, timezone=zone, day_or=day_or), told, now, zone)


@given(now=moments, anchor=anchors, seconds=st.integers(1, 40 * 86_400), zone=zones)
@settings(max_examples=80, deadline=None)
def test_interval_is_due_when_prefect_says(
    now: datetime, anchor: datetime, seconds: int, zone: str
) -> None:
    """The next time of an interval is Prefect's, before its anchor too."""
    told = due(Timing(interval=float(seconds), anchor_date=anchor, timezone=zone), now)
    schedule = IntervalSchedule.model_validate(
        {"interval": timedelta(seconds=seconds), "anchor_date": anchor, "timezone": zone}
    )
    expected = asyncio.run(following(schedule, now))
    assume(steady(zone, now) and (expected is None or steady(zone, expected)))

    assert expected == told.following
    assert told.previous is not None
    assert told.previous <= now


@given(now=moments, age=st.integers(1, 1_000), rule=rules, zone=zones)
@settings(max_examples=40, deadline=None)
def test_rrule_is_due_when_prefect_says(now: datetime, age: int, rule: str, zone: str) -> None:
    """The next time of an RRULE is Prefect's, and none lies between it and the one before."""
    # Prefect goes through all the times since the start, one by one.
    unit = timedelta(minutes=1) if "MINUTELY" in rule or "HOURLY" in rule else timedelta(days=1)
    text = f"DTSTART:{now - age * unit:%Y%m%dT%H%M%S}\nRRULE:{rule}"
    told = due(Timing(rrule=text, timezone=zone), now)

    agrees(RRuleSchedule(rrule=text, timezone=zone), told, now, zone)


@given(now=moments, seconds=st.integers(1, 40 * 86_400), zone=zones, cron=crons)
@settings(max_examples=80, deadline=None)
def test_now_lies_between_the_times(now: datetime, seconds: int, zone: str, cron: str) -> None:
    """Also where clocks are set, the previous time has come and the next has not."""
    interval = Timing(interval=float(seconds), anchor_date=NOW, timezone=zone)
    for told in (due(interval, now), due(Timing(cron=cron, timezone=zone), now)):
        assert told.previous is None or told.previous <= now
        assert told.following is None or now < told.following


def test_sundays_previous_time_is_fridays() -> None:
    """A weekday schedule was last due on Friday, also on Sunday."""
    sunday = datetime(2026, 11, 22, 15, tzinfo=UTC)
    told = due(Timing(cron="0 9 * * 1-5", timezone="UTC"), sunday)

    assert datetime(2026, 11, 20, 9, tzinfo=UTC) == told.previous
    assert datetime(2026, 11, 23, 9, tzinfo=UTC) == told.following


def test_local_hour_stays_over_the_year() -> None:
    """A cron at nine is due at nine by the local clock, in summer and in winter."""
    timing = Timing(cron="0 9 * * *", timezone="America/New_York")
    winter = due(timing, datetime(2026, 1, 10, tzinfo=UTC)).following
    summer = due(timing, datetime(2026, 7, 10, tzinfo=UTC)).following

    assert (datetime(2026, 1, 10, 14, tzinfo=UTC), datetime(2026, 7, 10, 13, tzinfo=UTC)) == (
        winter,
        summer,
    )


def test_time_that_the_new_clock_brought_forward_has_come() -> None:
    """On the morning of summer time, what was due by the new clock is the last time."""
    zone = ZoneInfo("America/New_York")
    daily = Timing(
        interval=86_400.0,
        anchor_date=datetime(2026, 1, 1, 10, 17, tzinfo=zone),
        timezone="America/New_York",
    )

    found = due(daily, datetime(2026, 3, 8, 10, 30, tzinfo=zone))

    assert datetime(2026, 3, 8, 10, 17, tzinfo=zone).astimezone(UTC) == found.previous


def test_hour_that_comes_twice_is_due_once() -> None:
    """In the second of two equal hours nothing is due: Prefect makes its runs for the first."""
    timing = Timing(cron="*/30 * * * *", timezone="America/New_York")
    second = datetime(2026, 11, 1, 6, 10, tzinfo=UTC)

    assert datetime(2026, 11, 1, 7, 0, tzinfo=UTC) == due(timing, second).following


def test_time_that_is_left_out_is_due_an_hour_later() -> None:
    """A time that the clocks jump over is due when they have jumped."""
    timing = Timing(cron="30 2 * * *", timezone="America/New_York")

    assert (
        datetime(2026, 3, 8, 7, 30, tzinfo=UTC)
        == due(timing, datetime(2026, 3, 8, 6, 0, tzinfo=UTC)).following
    )


def test_time_that_is_left_out_has_not_come_before_that() -> None:
    """Just after the clocks have jumped, the time they jumped over is still to come."""
    timing = Timing(cron="30 2 * * *", timezone="America/New_York")
    told = due(timing, datetime(2026, 3, 8, 7, 10, tzinfo=UTC))

    assert datetime(2026, 3, 7, 7, 30, tzinfo=UTC) == told.previous


def test_several_schedules_are_one() -> None:
    """Of several schedules the latest time before now counts, and the earliest after it."""
    crons = [Timing(cron=f"0 {hour} * * *", timezone="UTC") for hour in (6, 11, 20)]
    told = union(due(each, NOW) for each in crons)

    assert datetime(2026, 11, 21, 11, tzinfo=UTC) == told.previous
    assert datetime(2026, 11, 21, 20, tzinfo=UTC) == told.following


def test_dates_are_added_and_taken_out() -> None:
    """RDATE and EXDATE stand beside the rule, as in a calendar."""
    text = "RRULE:FREQ=DAILY\nRDATE:20261121T150000\nEXDATE:20261121T000000"

    assert Due(datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, 15, tzinfo=UTC)) == due(
        Timing(rrule=text, timezone="UTC"), NOW
    )


ALL_TIMES = "BYHOUR={};BYMINUTE={};BYSECOND={}".format(
    *(",".join(map(str, range(many))) for many in (24, 60, 60))
)
NEVER = "BYMONTH=2;BYMONTHDAY=30"


@pytest.mark.parametrize(
    "timing",
    [
        Timing(),
        Timing(interval=1e-9, anchor_date=NOW),
        Timing(interval=1e300, anchor_date=NOW),
        Timing(interval=-60.0, anchor_date=NOW),
        Timing(interval=0.0, anchor_date=NOW),
        Timing(interval=float("nan"), anchor_date=NOW),
        Timing(interval="P1M", anchor_date=NOW),
        Timing(interval=60.0),
        Timing(cron=""),
        Timing(cron="every day"),
        Timing(cron="0 0 30 2 *"),
        Timing(cron="* " * 500_000),
        Timing(cron="0 9 * * *", timezone="Mars/Olympus"),
        Timing(cron="0 9 * * *", timezone="../../etc/passwd"),
        Timing(cron="0 9 * * *", timezone="x" * 1_000_000),
        Timing(cron="0 9 * * *", timezone="\x00"),
        Timing(rrule=""),
        Timing(rrule="FREQ=NEVER"),
        Timing(rrule="RRULE:" * 1_000),
        Timing(rrule=f"FREQ=SECONDLY;{NEVER}"),
        Timing(rrule=f"FREQ=MINUTELY;{NEVER}"),
        Timing(rrule=f"FREQ=DAILY;{NEVER}"),
        Timing(rrule=f"FREQ=YEARLY;{NEVER}"),
        Timing(rrule=f"DTSTART:19700101T000000\nRRULE:FREQ=SECONDLY;COUNT=999999999;{NEVER}"),
        Timing(rrule="DTSTART:00010101T000000\nRRULE:FREQ=SECONDLY;COUNT=999999999"),
        Timing(rrule="DTSTART:19700101T000000\nRRULE:FREQ=SECONDLY;COUNT=999999999"),
        Timing(rrule="FREQ=SECONDLY;BYSETPOS=5"),
        Timing(rrule="FREQ=DAILY;INTERVAL=0"),
        Timing(rrule="FREQ=SECONDLY;INTERVAL=99999999999999"),
        Timing(rrule="FREQ=DAILY;BYEASTER=0"),
        Timing(rrule="RRULE:FREQ=SECONDLY\nEXRULE:FREQ=SECONDLY"),
        Timing(rrule="\n".join([f"RRULE:FREQ=DAILY;{NEVER}"] * 100)),
        Timing(rrule="\n".join([f"RRULE:FREQ=DAILY;{NEVER}"] * 3)),
        Timing(rrule=f"FREQ=MONTHLY;{ALL_TIMES}"),
        Timing(rrule="FREQ=DAILY;UNTIL=20200101T000000"),
        Timing(rrule="FREQ=DAILY;COUNT=5"),
    ],
    ids=lambda timing: str(timing)[:60],
)
def test_what_makes_no_sense_is_never_due(timing: Timing) -> None:
    """Whatever stands in a schedule, nothing is raised, and it is given up within a bound."""
    began = time.perf_counter()
    told = due(timing, NOW)
    took = time.perf_counter() - began

    assert Due() == told
    assert took < SLOWEST_SECONDS


@pytest.mark.parametrize("seconds", [0, 29, 59])
def test_rule_without_an_end_takes_no_time(seconds: int) -> None:
    """A rule for each second since 1970 is due this second and the next."""
    timing = Timing(rrule="DTSTART:19700101T000000\nRRULE:FREQ=SECONDLY", timezone="UTC")
    now = NOW.replace(second=seconds)

    assert Due(now, now + timedelta(seconds=1)) == due(timing, now)
