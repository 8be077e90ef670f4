"""Environment variables as values; a bad one is told of and left at its default."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

from prefect_instrumentation._guard import logger

# As many digits as no clock and no lock of Python's finds too many.
_DURATION = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)\s*(ms|s|m|h|d|)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}

_LONGEST_VALUE = 60

_Default = TypeVar("_Default", bound=float | None)
_Choice = TypeVar("_Choice", bound=str)
_ChoiceDefault = TypeVar("_ChoiceDefault", bound=str | None)


def warn(name: str, value: str, wanted: str, used: str) -> None:
    """Tell of a variable whose value is of no use, and of what is used in its place."""
    logger.warning("%s=%r is not %s; using %s", name, value[:_LONGEST_VALUE], wanted, used)


def duration(environ: Mapping[str, str], name: str, default: _Default) -> float | _Default:
    """Return a variable's seconds, such as of `30s` or `2h`."""
    text = environ.get(name, "").strip()
    if not text:
        return default
    if match := _DURATION.fullmatch(text.lower()):
        return float(match[1]) * _SECONDS[match[2]]
    used = "none" if default is None else f"{default:g}s"
    warn(name, text, "a duration such as 0.5, 30s, 10m or 2h", used)
    return default


def choice(
    environ: Mapping[str, str],
    name: str,
    choices: tuple[_Choice, ...],
    default: _ChoiceDefault,
) -> _Choice | _ChoiceDefault:
    """Return which of a few words a variable says, in whatever case."""
    text = environ.get(name, "").strip()
    if not text:
        return default
    for each in choices:
        if each == text.lower():
            return each
    warn(name, text, f"one of {', '.join(choices)}", str(default or "the default"))
    return default
