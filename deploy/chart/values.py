"""The keys of values.yaml with the comments above them, as helm-docs reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sources import bad

_MARK = "# -- "
_DEFAULT = "# @default -- "


@dataclass(frozen=True, slots=True)
class Value:
    """A key of values.yaml that is a row of the table.

    Args:
        path: The key and those above it.
        default: What it is set to.
        text: What the comment above it says.
        shown: What to show as its default, where the comment says so.
    """

    path: tuple[str, ...]
    default: Any
    text: str
    shown: str | None = None


@dataclass(frozen=True, slots=True)
class _Comment:
    text: str
    shown: str | None


def read(path: Path) -> tuple[Value, ...]:
    """Return the keys that have a comment ``# -- ...``, in their order.

    A map's comment speaks for all below it that has none of its own.

    Raises:
        sources.BadSource: A key has no comment, and neither has one above it.
    """
    text = path.read_text(encoding="utf-8")
    root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    lines = text.splitlines()
    missing = [
        f"line {key.start_mark.line + 1}: {'.'.join(names)}: has no comment: "
        f"write `{_MARK}what it does` above it"
        for names, key in _silent(root, lines, ())
    ]
    if missing:
        raise bad(path, missing)
    return tuple(_spoken(root, lines, ()))


def _spoken(node: yaml.Node, lines: Sequence[str], above: tuple[str, ...]) -> Iterator[Value]:
    for key, value in _entries(node):
        names = (*above, key.value)
        comment = _comment(lines, key.start_mark)
        if comment is not None:
            yield Value(names, _content(value), comment.text, comment.shown)
        yield from _spoken(value, lines, names)


def _silent(
    node: yaml.Node, lines: Sequence[str], above: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], yaml.Node]]:
    for key, value in _entries(node):
        if _comment(lines, key.start_mark) is not None:
            continue
        names = (*above, key.value)
        if _entries(value):
            yield from _silent(value, lines, names)
        else:
            yield names, key


def _entries(node: yaml.Node) -> list[tuple[Any, Any]]:
    return node.value if isinstance(node, yaml.MappingNode) else []


def _content(node: yaml.Node) -> Any:  # noqa: ANN401  YAML holds anything
    return yaml.SafeLoader("").construct_document(node)


def _comment(lines: Sequence[str], key: yaml.Mark) -> _Comment | None:
    """Return the comment that ends right above a key's line, from its ``# --`` on."""
    if lines[key.line][: key.column].strip():
        return None  # in the middle of a line: the comment is of the key that begins it
    found: list[str] = []
    shown = None
    for above in reversed(lines[: key.line]):
        text = above.strip()
        if text.startswith(_DEFAULT):
            shown = text.removeprefix(_DEFAULT)
        elif text.startswith(_MARK):
            found.append(text.removeprefix(_MARK))
            return _Comment(" ".join(reversed(found)), shown)
        elif text.startswith("# "):
            found.append(text.removeprefix("# "))
        else:
            return None
    return None
