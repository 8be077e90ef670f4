"""Times as whole microseconds since 1970-01-01 UTC: exact, small, and equal when they are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(at: datetime) -> int:
    """Return the microseconds of an aware time."""
    return (at - _EPOCH) // _MICROSECOND


def micros_if(at: datetime | None) -> int | None:
    """Return the microseconds of a time that may not be known."""
    return None if at is None else micros(at)


def moment(at_us: int) -> datetime:
    """Return the time, in UTC, of so many microseconds."""
    return _EPOCH + timedelta(microseconds=at_us)


def seconds(duration_us: int) -> float:
    """Return microseconds as seconds."""
    return duration_us / SECOND
