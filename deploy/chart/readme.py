"""The chart's README: a head written by hand, and a table of all values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from chart import CHART
from chart.values import Value, read
from generated import ROOT

FILE = CHART / "README.md"

_VALUES = CHART / "values.yaml"
_HEAD = ROOT / "deploy" / "helm" / "README.head.md"
_GENERAL = "General"
# A default that is longer is read where it stands.
_LONGEST = 160
_TYPES = {
    bool: "bool",
    dict: "object",
    float: "float",
    int: "int",
    list: "list",
    str: "string",
    type(None): "null",
}


def files() -> dict[Path, str]:
    """Return the text of the README.

    Raises:
        sources.BadSource: A key of values.yaml has no comment.
    """
    parts = [_HEAD.read_text(encoding="utf-8"), "## Values\n", *_sections(read(_VALUES))]
    return {FILE: "\n".join(parts)}


def _sections(values: Sequence[Value]) -> Iterator[str]:
    """Give a table for each map at the top, after one for the keys that are none."""
    maps = {value.path[0] for value in values if len(value.path) > 1}
    named = sorted(values, key=lambda value: value.path[0] in maps)
    for name, group in groupby(
        named, key=lambda value: value.path[0] if value.path[0] in maps else _GENERAL
    ):
        yield f"### {name}\n"
        rows = list(group)
        if rows[0].path == (name,):
            yield f"{rows.pop(0).text}\n"
        yield _table(rows)


def _table(values: Sequence[Value]) -> str:
    head = "| Key | Type | Default | Description |\n|---|---|---|---|\n"
    return head + "".join(map(_row, values))


def _row(value: Value) -> str:
    cells = (".".join(value.path), _TYPES[type(value.default)], _default(value), value.text)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _default(value: Value) -> str:
    if value.shown is not None:
        return value.shown
    text = json.dumps(value.default, ensure_ascii=False)
    return f"`{text}`" if len(text) <= _LONGEST else "see values.yaml"
