"""When a schedule is due next, and when it was last, as Prefect reckons it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice
from zoneinfo import ZoneInfo

from croniter import croniter

from prefect_exporter.recurrences import around
from prefect_exporter.wire import Timing

# Prefect takes no longer RRULE. Anybody who may make a deployment writes these texts.
LONGEST_TEXT = 6_500
_SHORTEST_SECONDS, _LONGEST_SECONDS = 1.0, 100 * 366 * 86_400.0
# In the hour that comes twice a time may lie behind the clock: so many are passed over.
_MOST_PASSED = 3_700


@dataclass(frozen=True, slots=True)
class Due:
    """When a schedule was due last, that instant included, and is due next; None for never."""

    previous: datetime | None = None
    following: datetime | None = None


def due(timing: Timing, now: datetime) -> Due:
    """Return when a schedule is due around *now*; one that cannot be read never is.

    Takes some milliseconds, of a hostile RRULE up to a second.
    """
    if max(len(timing.cron or ""), len(timing.rrule or "")) > LONGEST_TEXT:
        return Due()
    try:
        return _due(timing, now.astimezone(_zone(timing.timezone)))
    except Exception:  # noqa: BLE001  # two libraries read texts of anybody's
        return Due()


def union(dues: Iterable[Due]) -> Due:
    """Return when any of several schedules is due."""
    known = list(dues)
    return Due(
        max((each.previous for each in known if each.previous), default=None),
        min((each.following for each in known if each.following), default=None),
    )


def _zone(name: str | None) -> tzinfo:
    return ZoneInfo(name) if name and name != "UTC" else UTC


def _due(timing: Timing, now: datetime) -> Due:
    wall = now.replace(tzinfo=None, fold=0)
    if timing.cron is not None:
        # Prefect walks along the local clock as well; croniter's own care of zones differs.
        second = wall.replace(microsecond=0)
        later = croniter(timing.cron, second, day_or=timing.day_or)
        earlier = croniter(timing.cron, second + timedelta(seconds=1), day_or=timing.day_or)
        return _nearest(earlier.all_prev(datetime), later.all_next(datetime), now)
    if timing.rrule is not None:
        before, after = around(timing.rrule, wall)
        return _nearest(before, after, now)
    if isinstance(timing.interval, float) and timing.anchor_date is not None:
        return _by_interval(timing.interval, timing.anchor_date, now)
    return Due()


def _nearest(earlier: Iterator[datetime], later: Iterator[datetime], now: datetime) -> Due:
    """Return the nearest of local times; one that does not exist is as much later as it lacks."""
    at = now.astimezone(UTC)

    def instants(walls: Iterator[datetime]) -> Iterator[datetime]:
        for wall in islice(walls, _MOST_PASSED):
            yield wall.replace(tzinfo=now.tzinfo).astimezone(UTC)

    return Due(
        next((each for each in instants(earlier) if each <= at), None),
        next((each for each in instants(later) if each > at), None),
    )


def _by_interval(seconds: float, anchor: datetime, now: datetime) -> Due:
    """Return the times around *now* that lie whole intervals from the anchor.

    Prefect counts seconds up to the last one, and from there days of the local calendar.
    """
    if not _SHORTEST_SECONDS <= seconds <= _LONGEST_SECONDS:
        return Due()
    interval = timedelta(seconds=seconds)
    at = now.astimezone(UTC)
    previous = anchor.astimezone(UTC) + (at - anchor) // interval * interval
    following = previous + interval
    if previous >= anchor:
        days = timedelta(days=interval.days)
        rest = interval - days
        following = previous
        while following <= at:
            previous = following
            following = (following.astimezone(now.tzinfo) + days).astimezone(UTC) + rest
    return Due(previous, following)
