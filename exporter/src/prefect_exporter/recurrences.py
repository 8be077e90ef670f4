"""When an RRULE is due around a time, in bounded time: dateutil alone looks until the year 9999."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from heapq import merge
from itertools import chain, dropwhile, islice
from typing import Any

from dateutil.rrule import DAILY, HOURLY, MINUTELY, SECONDLY, WEEKLY, rrule, rrulestr

# Where a rule has no DTSTART, as in Prefect.
ANCHOR = datetime(2020, 1, 1)  # noqa: DTZ001  # a time of the schedule's own zone
_END = datetime(9999, 12, 31)  # noqa: DTZ001  # as above
_EARLIEST_YEAR = 1970
_UNITS = {
    SECONDLY: timedelta(seconds=1),
    MINUTELY: timedelta(minutes=1),
    HOURLY: timedelta(hours=1),
    DAILY: timedelta(days=1),
    WEEKLY: timedelta(weeks=1),
}
# The calendar, with its weekdays, repeats itself after so many days: a rule that is moved to the
# last years that there are never has more than the rest of them to look through.
_ERA, _ERA_YEARS, _LAST_YEAR = timedelta(days=146_097), 400, 9990
_MOST_RULES, _MOST_TIMES = 3, 20_000
# So many of a rule's steps are looked through for when it was last due, one after the other.
_LOOKS = (3, 300, 30_000, 3_000_000)


def around(text: str, wall: datetime) -> tuple[Iterator[datetime], Iterator[datetime]]:
    """Return when a rule is due up to *wall*, newest first, and after it; all times are local.

    A rule that has ended is not told of any more.

    Raises:
        ValueError: The rule is none, or one that could take for ever; so may other errors.
    """
    parts = _parts(text)
    shift = _ERA * ((_LAST_YEAR - wall.year) // _ERA_YEARS)
    for look in _LOOKS:
        rules = [_near(rule, wall, look, shift) for rule in parts["_rrule"]]
        dates = sorted(_naive(at) + shift for at in parts["_rdate"])
        without = {_naive(at) + shift for at in parts["_exdate"]}
        times = islice(merge(*rules, dates), _MOST_TIMES)
        due = (at - shift for at in times if at not in without)
        past: list[datetime] = []
        for at in due:
            if at > wall:
                if past or look == _LOOKS[-1]:
                    return reversed(past), chain((at,), due)
                break
            past.append(at)
        else:
            break
    return iter(()), iter(())


def _parts(text: str) -> dict[str, Any]:
    # Prefect reads these attributes too: dateutil has no other way to its rules' parts.
    parts = vars(rrulestr(text, dtstart=ANCHOR, forceset=True))
    if parts["_exrule"] or len(parts["_rrule"]) > _MOST_RULES:
        raise ValueError("could exclude every time that there is")
    return parts


def _near(rule: rrule, wall: datetime, look: int, shift: timedelta) -> Iterator[datetime]:
    """Return a rule's times from some steps before *wall* on, and all of them *shift* later."""
    parts = vars(rule)
    start, until, interval = _naive(parts["_dtstart"]), parts["_until"], parts["_interval"]
    # A place within a second, or none that there is, would be looked for in every single one.
    placed = parts["_bysetpos"] and parts["_freq"] in (HOURLY, MINUTELY, SECONDLY)
    if interval < 1 or start.year < _EARLIEST_YEAR or parts["_byeaster"] or placed:
        raise ValueError("could take for ever")
    begin = first = start
    if parts["_count"] is None and (unit := _UNITS.get(parts["_freq"])):
        step = unit * interval
        begin += step * max((wall - start) // step - look, 0)
        # BYSETPOS counts from where a rule begins: its first step may not be a whole one.
        first = begin if begin == start else begin + step
    if until is not None:
        until = _naive(until)
        until = until + shift if until < _END - shift else None
    moved = rule.replace(dtstart=begin + shift, until=until)
    return dropwhile(lambda at: at < first + shift, moved)


def _naive(at: datetime) -> datetime:
    return at.replace(tzinfo=None)
