"""Truth beside count, end by end: what is missing, and where the numbers differ."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from exactness.truth import TOLERANCE_US, End, Key

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Matched:
    """The ends of one kind of run beside the keys that the exporter has counted.

    Args:
        counted: The ends that have a key.
        missing: The ends that have none.
        extra: The keys that belong to no end.
    """

    counted: Sequence[End]
    missing: Sequence[End]
    extra: Sequence[Key]

    @property
    def nobodys(self) -> Sequence[End]:
        """What nobody can count: missing, with neither a row that shows it nor an event.

        The run was retried or deleted before a poll had seen its end, and the server lost the
        event, which was still in its memory when it was killed.
        """
        return [end for end in self.missing if not end.standing and not end.told]


def match(ends: Iterable[End], keys: Iterable[Key]) -> Matched:
    """Find each end's key: the same run within a millisecond; no key serves two ends."""
    open_keys: dict[UUID, list[int]] = defaultdict(list)
    for run, at_us in keys:
        open_keys[run].append(at_us)
    counted, missing = [], []
    for end in ends:
        times = open_keys[end.run_id]
        near = [at_us for at_us in times if abs(at_us - end.at_us) <= TOLERANCE_US]
        if near:
            times.remove(near[0])
            counted.append(end)
        else:
            missing.append(end)
    extra = [(run, at_us) for run, times in open_keys.items() for at_us in times]
    return Matched(counted, missing, extra)


@dataclass(frozen=True, slots=True)
class Expected:
    """What counters may say, by their labels.

    Args:
        least: At least this.
        most: At most this.
        totals: Exactly this, over all values of the last label; None where they are not exact.
    """

    least: Counter[Labels]
    most: Counter[Labels]
    totals: Counter[Labels] | None = None

    def disagreements(self, counted: Mapping[Labels, int]) -> Mapping[str, object]:
        """Return where counts are not as expected, with both; empty for nowhere."""
        wrong: dict[str, object] = {}
        for labels in self.most.keys() | counted.keys():
            number = counted.get(labels, 0)
            if not self.least[labels] <= number <= self.most[labels]:
                wrong["/".join(labels)] = number, (self.least[labels], self.most[labels])
        if self.totals is not None:
            found = totals(counted)
            for labels in self.totals.keys() | found.keys():
                if found[labels] != self.totals[labels]:
                    wrong["/".join(labels)] = found[labels], self.totals[labels]
        return wrong


def finished(ends: Sequence[End]) -> Expected:
    """Return what the counters of ended runs must say, by the ends' labels and outcome.

    An end that was forced into another one counts under what stood when it was first read: under
    either, but once.
    """
    least, most = _bounds(ends, lambda end: set(end.outcomes), lambda _: True)
    return Expected(least, most, Counter(end.labels for end in ends))


def durations(ends: Sequence[End], labels: int) -> Expected:
    """Return how many durations were observed, by the first *labels* labels and the result.

    Cancelled runs and runs that never started have none; an end that its row no longer shows has
    one where a poll was in time, and none where its event alone told of it.
    """
    timed = [end for end in ends if end.started]
    least, most = _bounds(timed, _results, lambda end: end.standing)
    return Expected(_shorten(least, labels), _shorten(most, labels))


def totals(counted: Mapping[Labels, int]) -> Counter[Labels]:
    """Return the sums over the last label."""
    sums = Counter[Labels]()
    for labels, number in counted.items():
        sums[labels[:-1]] += number
    return sums


def by_outcome(counted: Mapping[Labels, int]) -> Counter[str]:
    """Return the sums over all labels but the last."""
    sums = Counter[str]()
    for labels, number in counted.items():
        sums[labels[-1]] += number
    return sums


def _results(end: End) -> set[str]:
    named = {"completed": "success", "cached": "success", "cancelled": ""}
    return {named.get(outcome, "failure") for outcome in end.outcomes}


def _bounds(
    ends: Iterable[End],
    options_of: Callable[[End], set[str]],
    is_certain: Callable[[End], bool],
) -> tuple[Counter[Labels], Counter[Labels]]:
    least, most = Counter[Labels](), Counter[Labels]()
    for end in ends:
        options = options_of(end)
        for option in options - {""}:
            most[*end.labels, option] += 1
            if len(options) == 1 and is_certain(end):
                least[*end.labels, option] += 1
    return least, most


def _shorten(counts: Counter[Labels], labels: int) -> Counter[Labels]:
    shortened = Counter[Labels]()
    for name, number in counts.items():
        shortened[*name[:labels], name[-1]] += number
    return shortened
