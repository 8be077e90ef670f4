"""Which events an automation waits for: its trigger, which may be of any shape, as plain leaves.

Prefect knows ``event``, ``compound`` and ``sequence`` triggers, Cloud ``metric`` ones too. Whoever
may write automations writes them, so all is bounded, and what is not understood is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeAlias

Labels: TypeAlias = Mapping[str, str]
Pattern: TypeAlias = Mapping[str, Sequence[str]]
"""By label, the values of which one has to match; ``*`` stands for any text, ``!`` for not."""

RESOURCE_ID = "prefect.resource.id"

_GLOB = frozenset("*?[!")
_DEEPEST = 8
_MOST_LEAVES = 64
_MOST_PATTERNS = 64
_LONGEST_TEXT = 512


@dataclass(frozen=True, slots=True)
class Leaf:
    """One thing that is waited for.

    Args:
        events: Names, perhaps with ``*``; empty for any.
        resource: What the event is about.
        related: What it is related to: each has to match one of them.
        absence: Whether it is waited that the events do not come.
        metric: Name of the metric, where it is one.
    """

    events: tuple[str, ...]
    resource: Pattern
    related: tuple[Pattern, ...]
    absence: bool = False
    metric: str = ""

    def hears(self, event: str) -> bool:
        """Return whether it waits for events of a name."""
        return not self.events or any(_matches(pattern, event) for pattern in self.events)

    def covers(self, resource: Labels) -> bool:
        """Return whether an event about *resource* counts, if it is related to the right ones."""
        return _fits(self.resource, (resource,))

    def covers_related(self, related: Sequence[Labels]) -> bool:
        """Return whether an event with these related resources counts."""
        return all(_fits(pattern, related) for pattern in self.related)

    @property
    def named(self) -> Iterator[Sequence[str]]:
        """Ids of related resources, one of each of which an event has; globs name none."""
        for pattern in self.related:
            ids = pattern.get(RESOURCE_ID, ())
            if ids and not any(_GLOB.intersection(each) for each in ids):
                yield ids


def leaves(trigger: object) -> list[Leaf]:
    """Return what a trigger waits for."""
    found: list[Leaf] = []
    for leaf in _leaves(trigger, 0):
        found.append(leaf)
        if len(found) == _MOST_LEAVES:
            break
    return found


def _leaves(trigger: object, depth: int) -> Iterator[Leaf]:
    if not isinstance(trigger, Mapping) or depth > _DEEPEST:
        return
    inner = trigger.get("triggers")
    if isinstance(inner, list):
        for each in inner[:_MOST_LEAVES]:
            yield from _leaves(each, depth + 1)
        return
    related = trigger.get("match_related")
    patterns = related if isinstance(related, list) else [related]
    metric = trigger.get("metric")
    yield Leaf(
        (*_texts(trigger.get("expect")), *_texts(trigger.get("after"))),
        _pattern(trigger.get("match")),
        tuple(_pattern(each) for each in patterns[:_MOST_PATTERNS]),
        trigger.get("posture") == "Proactive",
        _text(metric.get("name")) if isinstance(metric, Mapping) else "",
    )


def _pattern(told: object) -> Pattern:
    if not isinstance(told, Mapping):
        return {}
    labels = list(told.items())[:_MOST_PATTERNS]
    return {_text(label): _texts(values) for label, values in labels}


def _texts(told: object) -> tuple[str, ...]:
    values = told if isinstance(told, list) else [told]
    return tuple(_text(each) for each in values[:_MOST_PATTERNS] if isinstance(each, str))


def _text(told: object) -> str:
    return told[:_LONGEST_TEXT] if isinstance(told, str) else ""


def _fits(pattern: Pattern, candidates: Sequence[Labels]) -> bool:
    """Return whether some candidate has all labels of a pattern, as Prefect compares them."""
    return not pattern or any(
        all(_any(values, candidate.get(label)) for label, values in pattern.items())
        for candidate in candidates
    )


def _any(patterns: Sequence[str], value: str | None) -> bool:
    return value is not None and any(_matches(each, value) for each in patterns)


def _matches(pattern: str, value: str) -> bool:
    negated = pattern.startswith("!")
    return fnmatchcase(value, pattern.removeprefix("!")) is not negated
