"""docs/tutorial.md as what its reader does: diffs to apply, and commands to type."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
LEFT_OUT = "..."


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing to do.

    Args:
        step: the heading that it stands below; empty before the first one.
        command: what is typed; of a diff, what applies it.
        shown: what the page says is printed; empty where it says nothing.
        is_diff: whether the page has it as a diff.
    """

    step: str
    command: str
    shown: str
    is_diff: bool = False


def deeds(page: str) -> tuple[Deed, ...]:
    """Return what a page has its reader do, in order."""
    sections = re.split(r"^## (.+)$", page, flags=re.MULTILINE)
    headings = ["", *sections[1::2]]
    return tuple(
        deed
        for heading, section in zip(headings, sections[::2], strict=True)
        for kind, block in re.findall(r"^```(\w+)\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
        for deed in _of_block(heading, kind, block)
    )


def _of_block(step: str, kind: str, block: str) -> Iterator[Deed]:
    if kind == "diff":
        yield Deed(step, f"git apply <<'END OF DIFF'\n{block}END OF DIFF", "", is_diff=True)
    if kind == "console":
        # A command goes on where a line of it ends in a backslash.
        pattern = r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)"
        for command, shown in re.findall(pattern, block, re.MULTILINE):
            yield Deed(step, command, shown)


def as_shown(shown: str, printed: str) -> str:
    """Return what is shown where it tells of what was printed, else what was printed.

    A line that is `...` stands for any lines, and `...` within a line for anything in it. Blanks at
    the ends of lines do not count. Where nothing is shown, anything may have been printed.
    """
    lines = "".join(f"{line.rstrip()}\n" for line in printed.splitlines())
    pattern = "".join(map(_line_pattern, shown.splitlines()))
    return shown if not shown or re.fullmatch(pattern, lines) else lines


def _line_pattern(line: str) -> str:
    if line == LEFT_OUT:
        return r"(?:.*\n)*?"
    return ".*?".join(map(re.escape, line.split(LEFT_OUT))) + r"\n"
