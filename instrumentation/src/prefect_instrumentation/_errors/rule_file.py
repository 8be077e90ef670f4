"""A user's own rules, which are asked before all others: a TOML file that a setting names."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from prefect_instrumentation._errors.rules import CATEGORIES, Rule, Rules
from prefect_instrumentation._guard import logger
from prefect_instrumentation._text import text

ERROR_RULES = "PREFECT_INSTRUMENTATION_ERROR_RULES"

MAX_RULES = 1000
"""Most rules of a file; every failure is held against all of them."""

MAX_FILE = 1_000_000
"""Most bytes of the file."""

_KEYS = ("category", "types", "packages", "message", "states", "statuses")
_LONGEST_VALUE = 60


class _BadRuleError(Exception):
    """Says what is wrong with a rule, and what would be right."""


def read(environ: Mapping[str, str]) -> Rules:
    """Return the rules of the file that the setting names; what is bad is told of and left out."""
    path = environ.get(ERROR_RULES, "").strip()
    if not path:
        return ()
    try:
        tables = _tables(Path(path))
    except (OSError, ValueError, _BadRuleError) as error:
        _warn(path, f"cannot be used: {text(error)}. No rules of your own are in force")
        return ()
    return tuple(_rules(path, tables))


def _tables(path: Path) -> list[object]:
    with path.open("rb") as file:
        raw = file.read(MAX_FILE + 1)
    if len(raw) > MAX_FILE:
        raise _BadRuleError(f"it has more than {MAX_FILE} bytes")
    document = tomllib.loads(raw.decode())
    tables = document.pop("rule", [])
    if document or not isinstance(tables, list):
        raise _BadRuleError("it may hold nothing but tables named [[rule]]")
    return tables[:MAX_RULES]


def _rules(path: str, tables: list[object]) -> Iterator[Rule]:
    for number, table in enumerate(tables, 1):
        try:
            yield _rule(table)
        except _BadRuleError as error:
            _warn(path, f"has a bad [[rule]], number {number}: {error}. It is left out")


def _rule(table: object) -> Rule:
    if not isinstance(table, dict):
        raise _BadRuleError("it is no table; write [[rule]]")
    if unknown := sorted(table.keys() - {*_KEYS}):
        raise _BadRuleError(f"{_short(unknown[0])} is unknown; use {', '.join(_KEYS)}")
    category = table.get("category")
    if category not in CATEGORIES:
        raise _BadRuleError(f"category is {_short(category)}; use one of {', '.join(CATEGORIES)}")
    if table.keys() == {"category"}:
        raise _BadRuleError(f"it has no condition; add one of {', '.join(_KEYS[1:])}")
    return Rule(
        category,
        types=_names(table, "types"),
        packages=_names(table, "packages"),
        message=_pattern(table.get("message")),
        states=_names(table, "states"),
        statuses=_names(table, "statuses"),
    )


def _names(table: Mapping[str, object], key: str) -> frozenset[str]:
    value = table.get(key)
    if value is None:
        return frozenset()
    if isinstance(value, list) and value and all(item and isinstance(item, str) for item in value):
        return frozenset(value)
    raise _BadRuleError(f"{key} is {_short(value)}; give a list of texts")


def _pattern(value: object) -> re.Pattern[str] | None:
    if value is None:
        return None
    try:
        if isinstance(value, str) and value:
            return re.compile(value)
    except re.error as error:
        raise _BadRuleError(f"message is no regular expression: {error}") from error
    raise _BadRuleError(f"message is {_short(value)}; give a regular expression")


def _short(value: object) -> str:
    return text(repr(value), _LONGEST_VALUE)


def _warn(path: str, problem: str) -> None:
    logger.warning("%s=%r %s", ERROR_RULES, path, " ".join(problem.split()))
