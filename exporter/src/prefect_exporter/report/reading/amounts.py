"""Numbers of Prefect's, cut to what can be: SQLite keeps 64 bits, and sums must stay finite."""

from __future__ import annotations

LONGEST_SECONDS = 1e10
"""Some three hundred years."""

MOST_RETRIES = 2**31 - 1


def seconds(told: float) -> float:
    """Return how long something took as it is kept."""
    return min(max(told, 0.0), LONGEST_SECONDS)


def retries(told: int | None) -> int:
    """Return how many retries are allowed as it is kept; -1 where Prefect does not know."""
    return -1 if told is None else max(-1, min(told, MOST_RETRIES))
