"""Numbers, times and names as people read them, the same in all formats."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

from prefect_exporter.report.model import Cell, Kind, Link

NOTHING = "-"
"""What stands where there is no value."""

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_WHOLE = 10
"""From here on a number says enough without decimals."""
_BINARY = 1_024
_MOST_URL = 2_048
_UNSAFE_IN_URL = re.compile(r"[\s<>\"'`\\^{|}()\[\]]")


def shown(cell: Cell, kind: Kind) -> str:
    """Return a cell as text for people; `NOTHING` for none."""
    if cell is None or (isinstance(cell, float) and not math.isfinite(cell)):
        return NOTHING
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, str):
        return moment(cell) if kind is Kind.TIME else cell
    return _NUMBERS.get(kind, _count)(cell)


def moment(text: str) -> str:
    """Return an RFC 3339 time to the minute, in UTC; what is none is returned as it is."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def visible(text: str, *, lines: bool = False) -> str:
    """Spell out what nobody can see, such as an override of the writing direction.

    That also makes any text fit for UTF-8. With *lines*, line breaks and tabs stay.
    """
    if text.isprintable():
        return text
    kept = "\n\t" if lines else ""
    return "".join(
        each if each.isprintable() or each in kept else ascii(each)[1:-1] for each in text
    )


def clipped(text: str, most: int) -> str:
    """Return a text of at most so many characters, which says where it was cut."""
    return text if len(text) <= most else text[: most - 1] + "…"


def address(link: Link | None) -> str | None:
    """Return where a link leads if it may be followed: http or https, and nothing odd in it."""
    if link is None or len(link.url) > _MOST_URL or not link.url.isprintable():
        return None
    try:
        parts = urlsplit(link.url)
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    return None if _UNSAFE_IN_URL.search(link.url) else link.url


def _count(value: float) -> str:
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= _BINARY else f"{value:,.1f}"


def _seconds(value: float) -> str:
    if value < 0:
        return f"-{_seconds(-value)}"
    if value < 1:
        return f"{value * 1_000:.0f} ms" if value else "0 s"
    if value < _MINUTE:
        return f"{value:.0f} s" if value >= _WHOLE else f"{value:.1f} s"
    whole = round(value)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def _hours(value: float) -> str:
    return f"{value:,.0f} h" if abs(value) >= _WHOLE else f"{value:.1f} h"


def _share(value: float) -> str:
    percent = value * 100
    return f"{percent:.0f} %" if percent >= _WHOLE or percent == 0 else f"{percent:.1f} %"


def _bytes(value: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < _BINARY:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= _BINARY
    return f"{value:,.1f} TiB"


def _money(value: float) -> str:
    return f"{value:,.2f}"


_NUMBERS: Mapping[Kind, Callable[[float], str]] = {
    Kind.SECONDS: _seconds,
    Kind.HOURS: _hours,
    Kind.SHARE: _share,
    Kind.BYTES: _bytes,
    Kind.MONEY: _money,
}
