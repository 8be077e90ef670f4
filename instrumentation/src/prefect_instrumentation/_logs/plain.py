"""A user's values as plain ones of bounded size, which every renderer and exporter takes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import islice

import orjson

from prefect_instrumentation._secrets import redactor, shown
from prefect_instrumentation._text import MAX_NAME, text, type_name

MAX_TEXT = 16_384
"""Most characters of one text."""

MAX_ITEMS = 64
"""Most items of one container."""

MAX_DEPTH = 8
"""Containers within containers, at most."""

CUT = "...[cut]"
"""Stands at the end of a text that was longer."""

_MARGIN = 4096
_MAX_INTEGER = 2**63 - 1


class Budget:
    """How much more a part of a line may hold, in bytes of JSON.

    Args:
        size: bytes at first; what is in excess is left out.
    """

    __slots__ = ("is_exceeded", "left")

    def __init__(self, size: int) -> None:
        self.left = size
        self.is_exceeded = False

    def spend(self, size: int) -> bool:
        """Take bytes; return whether there were so many."""
        self.left -= size
        if self.left < 0:
            self.is_exceeded = True
        return self.left >= 0


def plain(value: object, budget: Budget, depth: int = 0) -> object:
    """Return a value as None, bool, int, float, str, or a list or dict of such; it never raises.

    What is none of these is its own text.
    """
    try:
        return _plain(value, budget, depth)
    except Exception:  # noqa: BLE001 - the user's own class may do anything
        return f"<{type_name(type(value))}>"


def plain_text(value: object, budget: Budget) -> str:
    """Return a value's text; of one that is too long its beginning, without half a secret."""
    limit = max(min(MAX_TEXT, budget.left), 0)
    if isinstance(value, bytes | bytearray):
        value = repr(bytes(value[: limit + _MARGIN]))  # else what is in the middle is left out
    raw = text(value, limit + _MARGIN)
    if len(raw) <= limit and budget.spend(len(orjson.dumps(raw)) + 1):
        return raw
    budget.is_exceeded = True
    safe = redactor().text(raw)
    # A secret that the cut went through is known for none any more: it goes with the margin.
    lost = _MARGIN if len(raw) == limit + _MARGIN else 0
    short = safe[: max(0, min(limit, len(safe) - lost))]
    while len(orjson.dumps(short)) > limit + 2:  # a character takes up to six bytes
        short = short[: len(short) // 2]
    budget.spend(len(orjson.dumps(short)))
    return f"{short}{CUT}"


def name_of(value: object) -> str:
    """Return a name of at most `MAX_NAME` characters; of a longer one without half a secret."""
    is_short = type(value) is str and len(value) <= MAX_NAME
    return text(value, MAX_NAME) if is_short else shown(value, MAX_NAME)


def _plain(value: object, budget: Budget, depth: int) -> object:
    if value is None or value is True or value is False:
        return value if budget.spend(6) else None
    kind = type(value)
    if kind is int or kind is float:
        return _number(value, budget)  # type: ignore[arg-type]  # it is one of these
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        if depth < MAX_DEPTH and budget.left > 0:
            return _container(value, budget, depth + 1)
        budget.is_exceeded = True
        return "..."
    return plain_text(value, budget)


def _number(value: float, budget: Budget) -> object:
    if isinstance(value, int):
        fits = -_MAX_INTEGER <= value <= _MAX_INTEGER
        shown: object = value if fits else f"<int of {value.bit_length()} bits>"
    else:
        shown = value if math.isfinite(value) else str(value)
    budget.spend(24)
    return shown


def _container(
    value: Mapping[object, object] | Iterable[object], budget: Budget, depth: int
) -> object:
    if not isinstance(value, Mapping):
        items = list(islice(value, MAX_ITEMS + 1))
        found = [plain(item, budget, depth) for item in items[:MAX_ITEMS] if budget.spend(1)]
        if len(found) < len(items):
            budget.is_exceeded = True
            found.append("...")
        return found
    pairs = list(islice(value.items(), MAX_ITEMS + 1))
    kept: dict[str, object] = {}
    for key, item in pairs[:MAX_ITEMS]:
        name = name_of(key)
        if budget.spend(len(name) + 4):
            kept[name] = plain(item, budget, depth)
    if len(pairs) > MAX_ITEMS:
        budget.is_exceeded = True
    return kept
