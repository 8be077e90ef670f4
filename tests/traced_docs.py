"""The trees of docs/tracing.md, which the tests hold against what arrives."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import otlp_receiver
from otlp_receiver import ReceivedSpan

DOCS = Path(__file__).parents[1] / "docs" / "tracing.md"


@dataclass(frozen=True, slots=True)
class Case:
    """One tree.

    Args:
        name: of the case.
        details: the attributes that it shows, `events` and `links`.
        tree: as the docs have it.
    """

    name: str
    details: tuple[str, ...]
    tree: str

    def draw(self, spans: Sequence[ReceivedSpan], *, by_start: bool = True) -> str:
        """Draw spans with the details of this tree."""
        return otlp_receiver.tree(
            spans,
            *[each for each in self.details if each not in ("events", "links")],
            events="events" in self.details,
            links="links" in self.details,
            by_start=by_start,
        )


def cases(kind: str) -> dict[str, Case]:
    """Return the trees in blocks of a kind, `trace` or `trace-between`, by name."""
    blocks = re.findall(
        rf"```{kind} ([\w-]+)([^\n]*)\n(.*?)\n```", DOCS.read_text(encoding="utf-8"), re.DOTALL
    )
    return {name: Case(name, tuple(details.split()), tree) for name, details, tree in blocks}
