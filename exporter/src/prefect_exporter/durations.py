"""Durations as people write them: ``15s``, ``1h30m``, ``7d``, or plain seconds."""

from __future__ import annotations

import re

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_NUMBER = r"\d{1,12}(?:\.\d{1,9})?"
_PLAIN = re.compile(_NUMBER, re.ASCII)
_PARTS = re.compile("".join(rf"(?:({_NUMBER}){unit})?" for unit in _UNITS), re.ASCII)


def parse_duration(text: str) -> float:
    """Return the seconds that *text* names.

    Units go from the longest to the shortest, each at most once.

    Raises:
        ValueError: The text is no duration.
    """
    if _PLAIN.fullmatch(text):
        return float(text)
    match = _PARTS.fullmatch(text)
    if not text or match is None:
        raise ValueError("is not a duration")
    amounts = zip(match.groups(), _UNITS.values(), strict=True)
    return sum(float(amount) * seconds for amount, seconds in amounts if amount)


def format_duration(seconds: float) -> str:
    """Return seconds as ``parse_duration`` reads them, for example ``1h30m`` or ``0.05s``."""
    parts = []
    for unit, length in _UNITS.items():
        if unit == "s":
            break
        whole, seconds = divmod(seconds, length)
        if whole:
            parts.append(f"{whole:.0f}{unit}")
    if seconds or not parts:
        parts.append(f"{seconds:.9f}".rstrip("0").rstrip(".") + "s")
    return "".join(parts)
