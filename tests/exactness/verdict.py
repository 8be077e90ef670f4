"""Truth and count, end by end: what is missing, and whether that is among the known causes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from exactness.truth import TOLERANCE_US, End, Key

LOST_EVENT = "its row was replaced or deleted before a poll, and no event of it is stored"
LOST_ROW = "its row was replaced before a poll, and task runs have no second source"


@dataclass(frozen=True, slots=True)
class Matched:
    """One feed's ends beside its keys.

    Args:
        counted: The ends that have a key.
        missing: The ends that have none.
        extra: The keys that belong to no end.
    """

    counted: Sequence[End]
    missing: Sequence[End]
    extra: Sequence[Key]


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


def cause_of_flow_run(end: End) -> str | None:
    """Return why nobody could count this end of a flow run; None where the exporter should have."""
    return None if end.standing or end.told else LOST_EVENT


def cause_of_task_run(end: End, blind_us: int) -> str | None:
    """Return why nobody could count this end of a task run; None where the exporter should have.

    Args:
        end: What is missing.
        blind_us: The longest time in which no poll may have looked.
    """
    if end.replaced_us is None or end.replaced_us - end.at_us > blind_us:
        return None
    return LOST_ROW


def disagreements(
    ends: Sequence[End], counted: Mapping[tuple[str, ...], int]
) -> Mapping[str, object]:
    """Return where counts by labels and outcome differ from what the ends allow; empty for nowhere.

    The labels' totals are exact. An end that was forced into another one counts under the one that
    stood when it was first read: under either, but once.

    Args:
        ends: What was to be counted.
        counted: By the labels of the ends with the outcome behind them.
    """
    wrong: dict[str, object] = {}
    totals = Counter(end.labels for end in ends)
    found = Counter[tuple[str, ...]]()
    for labels, number in counted.items():
        found[labels[:-1]] += number
    for name in totals.keys() | found.keys():
        if totals[name] != found[name]:
            wrong["/".join(name)] = {"truth": totals[name], "counted": found[name]}
    least, most = bounds(ends)
    for labels in most.keys() | counted.keys():
        if not least[labels] <= counted.get(labels, 0) <= most[labels]:
            wrong["/".join(labels)] = {
                "truth": (least[labels], most[labels]),
                "counted": counted.get(labels, 0),
            }
    return wrong


def bounds(
    ends: Iterable[End],
) -> tuple[Counter[tuple[str, ...]], Counter[tuple[str, ...]]]:
    """Return the least and the most that each outcome may be counted, by labels and outcome."""
    least, most = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
    for end in ends:
        options = set(end.outcomes)
        most.update((*end.labels, outcome) for outcome in options)
        if len(options) == 1:
            least[*end.labels, end.outcomes[0]] += 1
    return least, most
