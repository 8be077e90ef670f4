"""The fenced code blocks of the pages that people read, each with where it stands."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<info>[^`]*)")
_HEADING = re.compile(r"#{1,6} ")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block.

    Args:
        page: Its page, from the root of the repository.
        line: The number of the line that opens it, from 1.
        language: The first word behind the fence; empty where there is none.
        text: What stands in it, without the indent of the fence; ends with a line's end.
        before: The paragraph just before it, on one line.
        follows: The language of the block before it in the same section; None for the first.
    """

    page: str
    line: int
    language: str
    text: str
    before: str
    follows: str | None

    def __str__(self) -> str:
        """Return where it stands, as an editor finds it."""
        return f"{self.page}:{self.line}"


class UnclosedBlockError(Exception):
    """A fence is opened and never closed: the rest of the page would be a block."""


def pages() -> list[Path]:
    """Return every page for people: those of the root, of a folder's README, and all of docs."""
    found = {*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md")}
    found |= set(ROOT.glob("deploy/**/README.md"))
    return sorted(path for path in found if not path.relative_to(ROOT).parts[0].startswith("."))


@functools.cache
def blocks() -> tuple[Block, ...]:
    """Return the blocks of all pages."""
    return tuple(
        block
        for path in pages()
        for block in read(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
    )


def read(page: str, text: str) -> Iterator[Block]:
    """Yield the blocks of a page's text.

    Raises:
        UnclosedBlockError: The page ends within one.
    """
    lines = text.splitlines()
    follows: str | None = None
    place = 0
    while place < len(lines):
        if _HEADING.match(lines[place]):
            follows = None
        elif fence := _FENCE.fullmatch(lines[place]):
            end = _end(fence["fence"], lines, place, page)
            language = (fence["info"].split() or [""])[0]
            body = _dedent(lines[place + 1 : end], fence["indent"])
            yield Block(page, place + 1, language, body, _paragraph(lines[:place]), follows)
            follows, place = language, end
        place += 1


def _end(fence: str, lines: Sequence[str], begin: int, page: str) -> int:
    closing = re.compile(rf" *{fence[0]}{{{len(fence)},}} *")
    for place in range(begin + 1, len(lines)):
        if closing.fullmatch(lines[place]):
            return place
    raise UnclosedBlockError(f"{page}:{begin + 1} opens a block that nothing closes: add {fence}")


def _dedent(lines: Sequence[str], indent: str) -> str:
    return "".join(f"{line.removeprefix(indent)}\n" for line in lines)


def _paragraph(lines: Sequence[str]) -> str:
    """Return the last paragraph of these lines, on one line."""
    text = "\n".join(lines).rstrip()
    return " ".join(text[text.rfind("\n\n") + 1 :].split())
