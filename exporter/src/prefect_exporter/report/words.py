"""Numbers as a person reads them: 4 min 30 s, 12 %, 1.5 GiB. Pure."""

from __future__ import annotations

from prefect_exporter.moments import moment

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))
_SIZES = ("B", "KiB", "MiB", "GiB", "TiB")


def duration(seconds: float) -> str:
    """Return a duration in its two greatest units: ``0.4 s``, ``4 min 30 s``, ``2 d 3 h``."""
    if seconds < 9.95:  # noqa: PLR2004 - rounds to less than ten
        return f"{seconds:.1f} s"
    rest = round(seconds)
    parts: list[str] = []
    for unit, size in _UNITS:
        if rest >= size or parts:
            parts.append(f"{rest // size} {unit}")
            rest %= size
    parts.append(f"{rest} s")
    first = next(i for i, part in enumerate(parts) if not part.startswith("0 "))
    return " ".join(part for part in parts[first : first + 2] if not part.startswith("0 "))


def share(part: float) -> str:
    """Return a share of 1 as per cent."""
    percent = part * 100
    return f"{percent:.1f} %" if 0 < percent < 9.95 else f"{percent:.0f} %"  # noqa: PLR2004 - as above


def size(amount: float) -> str:
    """Return bytes in the greatest unit that they fill."""
    unit = 0
    while amount >= 1024 and unit < len(_SIZES) - 1:  # noqa: PLR2004 - of the next unit
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.4g} {_SIZES[unit]}"


def time(at_us: int) -> str:
    """Return a time to the minute, in UTC."""
    return f"{moment(at_us):%Y-%m-%d %H:%M} UTC"


def rfc3339(at_us: int) -> str:
    """Return a time as ``model.Kind.TIME`` has it, to the second."""
    return f"{moment(at_us):%Y-%m-%dT%H:%M:%SZ}"


def count(number: int, thing: str) -> str:
    """Return ``1 run``, ``2 runs``; *thing* is a noun that takes an s."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"
