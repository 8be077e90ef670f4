"""When a job is due, as cron's five fields say it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from apscheduler.triggers.cron import CronTrigger  # type: ignore[import-untyped] # has none

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = ("minute", "hour", "day", "month", "day_of_week")
_RANGE = re.compile(r"(\*|([0-7])(?:-([0-7]))?)(?:/([1-7]))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Cron:
    """Five fields: minute, hour, day of the month, month, day of the week.

    Raises:
        ValueError: The text is none such; the words follow a setting's name.
    """

    text: str

    def __post_init__(self) -> None:
        self.trigger()

    def __str__(self) -> str:
        return self.text

    def trigger(self, jitter_seconds: float = 0) -> CronTrigger:
        """Return when that is; at most *jitter_seconds* later each time."""
        fields = self.text.split()
        if len(fields) != len(_FIELDS):
            raise ValueError(f"has {len(fields)} fields")
        try:
            named = dict(zip(_FIELDS, [*fields[:-1], _weekdays(fields[-1])], strict=True))
            return CronTrigger(**named, jitter=round(jitter_seconds) or None)
        except ValueError:
            raise ValueError("is no time of cron's") from None

    def next(self, since: datetime) -> datetime | None:
        """Return when it is due at *since* or first after it; None where it never is."""
        due: datetime | None = self.trigger().get_next_fire_time(None, since)
        return due

    def missed(self, since: datetime, now: datetime) -> bool:
        """Return whether it was due after *since*, and before now."""
        due = self.next(since)
        return due is not None and due < now


def _weekdays(field: str) -> str:
    """Write numbers of days as names: APScheduler counts from Monday, cron from Sunday.

    https://github.com/agronholm/apscheduler/issues/286
    """
    if field == "*" or not any(character.isdigit() for character in field):
        return field
    return ",".join(dict.fromkeys(day for part in field.split(",") for day in _days(part)))


def _days(part: str) -> list[str]:
    match = _RANGE.fullmatch(part)
    if match is None:
        return [part]
    whole, first, last, step = match.groups()
    low, high = (0, 6) if whole == "*" else (int(first), int(last or first))
    return [_DAYS[day % 7] for day in range(low, high + 1, int(step or 1))]
