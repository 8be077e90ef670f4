"""Failures that are alike, counted: how often, since when, of which flows. Pure, bounded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heappush, heappushpop
from typing import TypeVar

from prefect_exporter.failures.model import Basis, Failed, Group, Signature
from prefect_exporter.labels import OTHER

_T = TypeVar("_T")

MOST_GROUPS = 1000
"""Groups that are returned; the rest is one more, ``other``."""

MOST_HELD = 10 * MOST_GROUPS
"""Groups that are held while failures come; failures of further ones go to ``other`` at once."""

MOST_FLOWS = 100
"""Flows that a group tells by name, and patterns that are held of it."""

EXAMPLES = 5

REST = Signature(OTHER, OTHER, "", "", Basis.MESSAGE)
"""Of the group that all others are counted in."""


@dataclass(slots=True)
class _Tally:
    """One group while it is counted."""

    buckets: list[int]
    count: int = 0
    first_us: int = 0
    last_us: int = 0
    flows: Counter[str] = field(default_factory=Counter)
    signatures: Counter[Signature] = field(default_factory=Counter)
    newest: list[tuple[int, bytes]] = field(default_factory=list)

    def add(self, failed: Failed, signature: Signature, bucket: int) -> None:
        """Count a failure."""
        at_us = failed.ended_us
        self.first_us = min(self.first_us, at_us) if self.count else at_us
        self.last_us = max(self.last_us, at_us) if self.count else at_us
        self.count += 1
        self.buckets[bucket] += 1
        _count(self.flows, subject(failed), OTHER)
        _count(self.signatures, signature, next(iter(self.signatures), signature))
        push = heappush if len(self.newest) < EXAMPLES else heappushpop
        push(self.newest, (at_us, failed.run_id))

    def merge(self, other: _Tally) -> None:
        """Count all that another one has."""
        self.first_us = min(self.first_us, other.first_us) if self.count else other.first_us
        self.last_us = max(self.last_us, other.last_us) if self.count else other.last_us
        self.count += other.count
        self.buckets = [a + b for a, b in zip(self.buckets, other.buckets, strict=True)]
        for flow, count in other.flows.items():
            _count(self.flows, flow, OTHER, count)
        self.newest = sorted([*self.newest, *other.newest])[-EXAMPLES:]

    def group(self, signature: Signature | None = None) -> Group:
        """Return it as a value; its words are those that are said most often."""
        return Group(
            signature or _most_common(self.signatures),
            self.count,
            self.first_us,
            self.last_us,
            dict(sorted(self.flows.items(), key=lambda each: (-each[1], each[0]))),
            tuple(run_id for _, run_id in sorted(self.newest, reverse=True)),
            tuple(self.buckets),
        )


def subject(failed: Failed) -> str:
    """Return ``flow/deployment``, or the flow alone."""
    return f"{failed.flow}/{failed.deployment}" if failed.deployment else failed.flow


def group(
    pairs: Iterable[tuple[Failed, Signature]],
    *,
    since_us: int,
    until_us: int,
    buckets: int,
    most: int = MOST_GROUPS,
) -> list[Group]:
    """Return the groups of failures, the most failures first; what is too much is one, the last.

    Args:
        pairs: Failures with their signatures, in any order, each once.
        since_us: Where the first bucket begins; what ended before counts in it.
        until_us: Where the last one ends; what ended after counts in that.
        buckets: Into how many equal steps that time is cut.
        most: How many groups there may be beside the one of the rest, whose id is ``other``.
    """
    step = max(1, -(-(until_us - since_us) // buckets))
    tallies: dict[str, _Tally] = {}
    rest = _Tally([0] * buckets)
    for failed, signature in pairs:
        bucket = min(max(0, (failed.ended_us - since_us) // step), buckets - 1)
        tally = tallies.get(signature.id)
        if tally is None and len(tallies) < MOST_HELD:
            tally = tallies[signature.id] = _Tally([0] * buckets)
        (tally or rest).add(failed, signature, bucket)
    return _ordered(tallies, rest, most)


def _ordered(tallies: Mapping[str, _Tally], rest: _Tally, most: int) -> list[Group]:
    ordered = sorted(tallies, key=lambda id_: (-tallies[id_].count, -tallies[id_].last_us, id_))
    for id_ in ordered[most:]:
        rest.merge(tallies[id_])
    groups = [tallies[id_].group() for id_ in ordered[:most]]
    return [*groups, rest.group(REST)] if rest.count else groups


def _most_common(signatures: Mapping[Signature, int]) -> Signature:
    """Return the one that most have; of several, the same whatever their order was."""
    return min(signatures, key=lambda each: (-signatures[each], each.pattern, each.category))


def _count(counter: Counter[_T], name: _T, rest: _T, by: int = 1) -> None:
    """Count *name*, or *rest* where there are too many of them."""
    counter[name if name in counter or len(counter) < MOST_FLOWS else rest] += by
