"""Durations as people write them: ``15m``, ``1h30m``, ``6h``, or plain seconds."""

from __future__ import annotations

import re

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PARTS = re.compile("".join(rf"(?:(\d{{1,9}}){unit})?" for unit in _UNITS), re.ASCII)
_PLAIN = re.compile(r"\d{1,9}", re.ASCII)


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
    return float(sum(int(amount) * seconds for amount, seconds in amounts if amount))


def format_duration(seconds: float) -> str:
    """Return whole seconds as ``parse_duration`` reads them, for example ``1h30m``."""
    left, parts = round(seconds), []
    for unit, length in _UNITS.items():
        amount, left = divmod(left, length)
        if amount:
            parts.append(f"{amount}{unit}")
    return "".join(parts) or "0s"
