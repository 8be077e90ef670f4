"""Schedules in words, and how often they are due. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from croniter import croniter

from prefect_exporter.recurrences import around
from prefect_exporter.report.words import duration
from prefect_exporter.schedules import LONGEST_TEXT
from prefect_exporter.wire import Schedule, Timing

_DAY_SECONDS = 86_400.0
# Weekdays count: a week has all of them. So many times in it tell how often a day.
_LOOK = timedelta(days=7)
_MOST_TIMES = 500
_LONGEST_SHOWN = 80


def words(timing: Timing) -> str:
    """Return a schedule as a person writes it: ``cron 0 3 * * * Europe/Berlin``, ``every 1 h``."""
    zone = f" {timing.timezone}" if timing.timezone else ""
    if timing.cron is not None:
        return _short(f"cron {timing.cron}{zone}")
    if timing.rrule is not None:
        return _short(f"rrule {timing.rrule}{zone}")
    if isinstance(timing.interval, str):
        return _short(f"every {timing.interval}")
    return f"every {duration(timing.interval)}" if timing.interval else "never"


def active(schedules: Iterable[Schedule]) -> list[Timing]:
    """Return what is switched on."""
    return [each.schedule for each in schedules if each.active]


def per_day(timing: Timing, at: datetime) -> float | None:
    """Return how often a day a schedule is due in the week after *at*; None for unreadable.

    Takes some milliseconds, of a hostile RRULE up to a second.
    """
    if max(len(timing.cron or ""), len(timing.rrule or "")) > LONGEST_TEXT:
        return None
    if isinstance(timing.interval, float | int):
        return _DAY_SECONDS / timing.interval if timing.interval > 0 else None
    try:
        return _counted(timing, _wall(timing, at))
    except Exception:  # noqa: BLE001 - two libraries read texts of anybody's
        return None


def _counted(timing: Timing, wall: datetime) -> float | None:
    if timing.cron is not None:
        times: Iterator[datetime] = croniter(timing.cron, wall, day_or=timing.day_or).all_next(
            datetime
        )
    elif timing.rrule is not None:
        times = around(timing.rrule, wall)[1]
    else:
        return None
    due = [each for each in islice(times, _MOST_TIMES) if each <= wall + _LOOK]
    if len(due) < _MOST_TIMES:
        return len(due) / _LOOK.days
    return len(due) / ((due[-1] - wall).total_seconds() / _DAY_SECONDS)


def _wall(timing: Timing, at: datetime) -> datetime:
    zone = ZoneInfo(timing.timezone) if timing.timezone else UTC
    return at.astimezone(zone).replace(tzinfo=None, fold=0)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."
