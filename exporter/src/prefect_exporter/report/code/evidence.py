"""Findings from places in the code: one for each subject, with the places as its evidence. Pure."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from prefect_exporter.failures.redaction import redact
from prefect_exporter.report.code.sources import Runnable, Source
from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Severity

SECTION = "risks"
MOST_PLACES = 5
MOST_WRITTEN = 500
"""Characters of an expression."""


class Place(NamedTuple):
    """A line of code, what it does, and the line that ought to stand there."""

    source: Source
    line: int
    text: str
    change: str


@dataclass(frozen=True, slots=True)
class Rule:
    """What all findings of one rule have in common.

    Args:
        title: With ``{subject}`` and ``{number}`` in it.
        detail: What it means for whoever runs the flow.
    """

    check: str
    severity: Severity
    title: str
    detail: str
    effort: Effort
    risk: str
    rollback: str = "take the change back in the code"

    def findings(self, places: Iterable[tuple[str, Place]]) -> Iterable[Finding]:
        """Return one finding for each subject, in the order in which they come."""
        subjects: dict[str, list[Place]] = {}
        for subject, place in places:
            subjects.setdefault(subject, []).append(place)
        return [self._finding(subject, found) for subject, found in subjects.items()]

    def _finding(self, subject: str, places: list[Place]) -> Finding:
        changes = list(dict.fromkeys(place.change for place in places[:MOST_PLACES]))
        return Finding(
            check=self.check,
            section=SECTION,
            severity=self.severity,
            subject=subject,
            title=self.title.format_map({"subject": _braced(subject), "number": len(places)}),
            detail=self.detail,
            evidence=tuple(_evidence(place, len(places)) for place in places[:MOST_PLACES]),
            action=Action("\n".join(changes), self.effort, self.risk, self.rollback),
        )


def at(
    source: Source, node: ast.stmt | ast.expr | ast.ExceptHandler, text: str, change: str
) -> Place:
    """Return a place."""
    return Place(source, node.lineno, text, change)


def subject_of(source: Source, runnable: Runnable) -> str:
    """Return the flow's name; for a task its file, since several flows may call it."""
    return runnable.name if runnable.kind == "flow" else source.place


def decorated(runnable: Runnable, option: str) -> str:
    """Return the decorator as it ought to be, with one more option, and whose it is."""
    options: Mapping[str, ast.expr] = runnable.options
    given = [f"{name}={written(value)}" for name, value in options.items()]
    arguments = ", ".join([*given, option])
    return f"@{runnable.kind}({arguments})  # def {runnable.node.name}"


def written(node: ast.expr) -> str:
    """Return an expression as code, without secrets; ``...`` where it is too long to be shown."""
    try:
        text = ast.unparse(node)
    except (RecursionError, ValueError):
        # Too deep, or a number of thousands of digits.
        return "..."
    return redact(text) if len(text) <= MOST_WRITTEN else "..."


def _evidence(place: Place, places: int) -> Evidence:
    source = f"{place.source.place}:{place.line}"
    return Evidence(place.text, {"line": place.line, "places": places}, source=source)


def _braced(text: str) -> str:
    return text.replace("{", "(").replace("}", ")")
