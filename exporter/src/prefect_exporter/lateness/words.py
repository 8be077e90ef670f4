"""The words of a diagnosis: names, ages, commands that a shell takes as they are. Pure."""

from __future__ import annotations

import shlex

from prefect_exporter.durations import format_duration
from prefect_exporter.moments import SECOND


def command(*words: str) -> str:
    """Return a command line of Prefect's, quoted for a shell."""
    return shlex.join(("prefect", *words))


def named(name: str) -> str:
    """Return a name as a positional argument; one with a dash in front would be an option."""
    return f"--name={name}" if name.startswith("-") else name


def option(name: str, value: str) -> tuple[str, ...]:
    """Return an option with its value; one with a dash in front stands in the same word."""
    return (f"--{name}={value}",) if value.startswith("-") else (f"--{name}", value)


def ago(at_us: int | None, now_us: int) -> str:
    """Return how long ago something was, in its two largest units."""
    if at_us is None:
        return "never"
    return f"{duration((now_us - at_us) / SECOND)} ago"


def duration(seconds: float) -> str:
    """Return seconds in whole units, two at most: ``2h5m``."""
    whole = max(0, round(seconds))
    unit = 60 if whole >= 3_600 else 1  # noqa: PLR2004 - an hour
    unit = 3_600 if whole >= 86_400 else unit  # noqa: PLR2004 - a day
    return format_duration(whole // unit * unit)


def runs(number: int) -> str:
    """Return a number of flow runs."""
    return f"{number} flow run{'' if number == 1 else 's'}"


def workers(number: int) -> str:
    """Return a number of workers."""
    return f"{number} worker{'' if number == 1 else 's'}"
