"""What can be chosen for a dashboard's variables, and choices of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pictures.asking import SCRAPE_SECONDS, Ask, Window, macros, vector
from pictures.boards import Board
from pictures.variables import Choice, Chosen, fill

_LABEL_VALUES = re.compile(r"label_values\((?:(?P<series>.+),)?\s*(?P<label>\w+)\s*\)")
_QUERY_RESULT = re.compile(r"query_result\((?P<expr>.+)\)", re.DOTALL)


def choose(
    board: Board,
    prometheus: Ask,
    window: Window,
    *,
    everything: bool = True,
    preferred: Mapping[str, str] = MappingProxyType({}),
) -> Choice:
    """Return what somebody may have chosen.

    Args:
        board: Its variables are filled in one after the other, each with those before it.
        prometheus: Tells the values that there are.
        window: Values of this span of time.
        everything: All where a variable has it, as when the dashboard is opened; else one value.
        preferred: Values to choose, by the variable's name, where there are such; of others the
            first one.

    Raises:
        LookupError: Nobody knows how to ask for the values of a variable.
    """
    choice: dict[str, Chosen] = {}

    def options(text: str) -> Sequence[str]:
        return _options(
            fill(text, {**choice, **macros(SCRAPE_SECONDS, window)}), prometheus, window
        )

    for variable in board.get("templating", {}).get("list", ()):
        name = variable["name"]
        chosen = _chosen(variable, options)
        choice[name] = (
            chosen
            if everything and variable.get("includeAll")
            else _one(chosen, preferred.get(name))
        )
    return choice


def _chosen(variable: Mapping[str, Any], options: Callable[[str], Sequence[str]]) -> Chosen:
    """Return all values that the variable has."""
    many = bool(variable.get("includeAll")) or bool(variable.get("multi"))
    if variable["type"] == "query":
        values = _matching(variable, options(_definition(variable)))
    elif variable["type"] == "custom":
        values = [each["value"] for each in variable["options"] if each["value"] != "$__all"]
    else:
        values = [_current(variable)]
    return Chosen(values, many, variable.get("allValue") or None)


def _one(chosen: Chosen, wanted: str | None) -> Chosen:
    values = [wanted] if wanted in chosen.values else chosen.values[:1]
    return Chosen([value for value in values if value is not None], chosen.many)


def _current(variable: Mapping[str, Any]) -> str:
    current = variable.get("current", {}).get("value") or variable.get("query") or ""
    return str(current)


def _definition(variable: Mapping[str, Any]) -> str:
    query = variable["query"]
    return str(query["query"] if isinstance(query, dict) else query)


def _matching(variable: Mapping[str, Any], values: Sequence[str]) -> Sequence[str]:
    pattern = (variable.get("regex") or "").strip("/")
    if not pattern:
        return values
    # Groups are named the same in Python, but for one letter.
    found = (re.search(pattern.replace("(?<", "(?P<"), value) for value in values)
    return list(dict.fromkeys(_captured(match) for match in found if match))


def _captured(match: re.Match[str]) -> str:
    return match.groupdict().get("value") or (match[1] if match.re.groups else match[0])


def _options(text: str, prometheus: Ask, window: Window) -> Sequence[str]:
    filled = text.strip()
    if of := _LABEL_VALUES.fullmatch(filled):
        bounds = {"start": f"{window.start}", "end": f"{window.end}"}
        series = {"match[]": of["series"].strip()} if of["series"] else {}
        values: Sequence[str] = prometheus(f"/api/v1/label/{of['label']}/values", bounds | series)[
            "data"
        ]
        return values
    if of := _QUERY_RESULT.fullmatch(filled):
        return list(_lines(vector(prometheus("/api/v1/query", {"query": of["expr"]})["data"])))
    raise LookupError(f"no query of a variable: {text}")


def _lines(vector: Sequence[Any]) -> Iterator[str]:
    for each in vector:
        metric = dict(each["metric"])
        labels = ",".join(f'{key}="{value}"' for key, value in metric.items() if key != "__name__")
        at, value = each["value"]
        yield f"{metric.get('__name__', '')}{{{labels}}} {value} {at * 1000:.0f}"
