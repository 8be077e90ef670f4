"""What the tags of a deployment say: whose it is, and what is expected of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from prefect_exporter.durations import parse_duration
from prefect_exporter.labels import clip

OBJECTIVE_PREFIX = "slo:"
_DURATIONS = frozenset({"fresh", "duration", "delay"})
_RATIO = re.compile(r"\d{1,3}(?:\.\d{1,9})?(%?)", re.ASCII)


def tag_value(tags: Iterable[str], key: str) -> str:
    """Return the value of the first tag that is ``key:value`` or ``key=value``; "" without one."""
    return next(_values(tags, key), "")


def _values(tags: Iterable[str], key: str) -> Iterator[str]:
    for tag in tags:
        for mark in ":=":
            name, _, value = tag.partition(mark)
            if name.strip() == key and value.strip():
                yield clip(value.strip())


def objectives(tags: Sequence[str]) -> tuple[dict[str, float], tuple[str, ...]]:
    """Return the objectives that tags name, in seconds or as a ratio, and the tags that are bad.

    The first good tag for an objective decides: ``slo:fresh=2h``, ``slo:success=99.5%``.
    """
    found: dict[str, float] = {}
    bad = []
    for tag in (each for each in tags if each.startswith(OBJECTIVE_PREFIX)):
        name, _, text = tag.removeprefix(OBJECTIVE_PREFIX).partition("=")
        try:
            found.setdefault(name, _objective(name, text))
        except ValueError:
            bad.append(tag)
    return found, tuple(bad)


def _objective(name: str, text: str) -> float:
    """Return the number of one objective.

    Raises:
        ValueError: There is no such objective, or it is nothing to aim at.
    """
    value = _ratio(text) if name == "success" else parse_duration(text)
    if name not in {"success", *_DURATIONS} or value <= 0:
        raise ValueError(name)
    return value


def _ratio(text: str) -> float:
    match = _RATIO.fullmatch(text)
    if match is None:
        raise ValueError("is not a ratio")
    value = float(text.removesuffix("%")) / (100 if match[1] else 1)
    # A budget of no failures at all divides by zero wherever its use is reckoned.
    if value >= 1:
        raise ValueError("leaves no room for a failure")
    return value
