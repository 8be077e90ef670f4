"""Ages and durations in few words, for people."""

from __future__ import annotations

_STEPS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def span(seconds: float) -> str:
    """Return a duration in its largest unit, such as ``12 min``; ``0 s`` for less than one."""
    whole = max(0, int(seconds))
    for length, unit in _STEPS:
        if whole >= length:
            return f"{whole // length} {unit}"
    return "0 s"


def ago(seconds: float) -> str:
    """Return an age, such as ``12 min ago``."""
    return f"{span(seconds)} ago" if seconds >= 1 else "just now"
