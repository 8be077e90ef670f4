"""What got slower: runs that began to take longer at one point, and still do.

Each run is held against the usual ones of its own time: most workspaces have less to do at night
and on the weekend, and a Monday is no change for the worse.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from prefect_exporter.moments import DAY, HOUR
from prefect_exporter.report.remembered import remembered
from prefect_exporter.report.statistics import (
    ChangePoint,
    benjamini_hochberg,
    median,
    pettitt,
)
from prefect_exporter.report.workspace import Subject, Workspace

FEWEST_RUNS = 20
"""Below it Pettitt's p is not to be relied on."""

FEWEST_AFTER = 5
"""One or two slow runs are no new speed."""

FEWEST_OF_SLOT = 3
"""Runs of each part of the week, on the average, so that its rhythm is known."""

LEAST_SIDE = 0.1
"""Share of the runs on either side: a change at the very edge is mostly the rhythm of a day."""

MOST_P = 0.01
FALSE_RATE = 0.05
"""Of all that is said to be slower, at most this share by chance, however many flows there are."""

LEAST_GROWTH = 1.25
LEAST_SECONDS = 10.0
"""A median that grew by less than both of these costs nobody anything."""


@dataclass(frozen=True, slots=True)
class Slowing:
    """One subject whose runs take longer since a time; medians are seconds.

    Args:
        runs: That were looked at, in their order of time.
        changed_us: When the first run after the change began.
        runs_after: From then on.
    """

    subject: Subject
    runs: int
    changed_us: int
    runs_after: int
    before: float
    after: float
    p: float

    @property
    def growth(self) -> float:
        """How many times as long a run takes."""
        return self.after / self.before


@dataclass(frozen=True)
class _Series:
    started_us: array[int]
    durations: array[float]

    @cached_property
    def slots(self) -> Sequence[tuple[bool, int]]:
        """In which part of the week each run began."""
        return [_slot(at_us) for at_us in self.started_us]

    def level(self) -> array[float]:
        """Return the durations without the rhythm of the week, about as long as all of them are.

        As they are where there are too few to know the rhythm, or there is none to speak of.
        """
        usual = self.usual(len(self.durations))
        is_known = len(self.durations) >= FEWEST_OF_SLOT * len(usual)
        if not is_known or max(usual.values()) < LEAST_GROWTH * min(usual.values()):
            return self.durations
        all_of_them, quickest = median(self.durations), self._quickest()
        pairs = zip(self.slots, self.durations, strict=True)
        return array("d", (s * all_of_them / (quickest[slot] or 1.0) for slot, s in pairs))

    def _quickest(self) -> dict[tuple[bool, int], float]:
        """Return the median of each part of the week, in the week in which it was the least.

        The median of all weeks would take half of a change for rhythm, where one weekend lies
        before it and one after.
        """
        of_week: dict[tuple[tuple[bool, int], int], list[float]] = {}
        for at_us, slot, seconds in zip(self.started_us, self.slots, self.durations, strict=True):
            of_week.setdefault((slot, _week(at_us)), []).append(seconds)
        quickest: dict[tuple[bool, int], float] = {}
        for (slot, _), each in of_week.items():
            quickest[slot] = min(median(each), quickest.get(slot, math.inf))
        return quickest

    def usual(self, index: int) -> dict[tuple[bool, int], float]:
        """Return the median of the runs before an index, by the part of the week."""
        of_slot: dict[tuple[bool, int], list[float]] = {}
        for slot, seconds in zip(self.slots[:index], self.durations[:index], strict=True):
            of_slot.setdefault(slot, []).append(seconds)
        return {slot: median(each) for slot, each in of_slot.items()}


def _slot(at_us: int) -> tuple[bool, int]:
    """Return whether a time is on a weekend, and which quarter of the day it is, in UTC."""
    return _days(at_us) % 7 >= 5, at_us % DAY // (6 * HOUR)  # noqa: PLR2004 - Saturday


def _week(at_us: int) -> int:
    return _days(at_us) // 7


def _days(at_us: int) -> int:
    """Return how many days a time is after a Monday."""
    # 1970-01-01 was a Thursday.
    return at_us // DAY + 3


@remembered
def slowing(workspace: Workspace) -> Sequence[Slowing]:
    """Return what got slower by Pettitt's test, what costs the most time first.

    The runs of the period before are looked at too, if it is compared.
    """
    changes = {
        subject: (series, change)
        for subject, series in _series(workspace)
        if len(series.durations) >= FEWEST_RUNS and (change := pettitt(series.level()))
    }
    most_p = min(MOST_P, benjamini_hochberg([c.p for _, c in changes.values()], FALSE_RATE))
    found = [
        Slowing(
            subject,
            len(series.durations),
            series.started_us[change.index],
            len(series.durations) - change.index,
            median(series.durations[: change.index]),
            median(series.durations[change.index :]),
            change.p,
        )
        for subject, (series, change) in changes.items()
        if change.p <= most_p and _matters(series, change)
    ]
    return sorted(found, key=lambda each: -(each.after - each.before) * each.runs_after)


def _series(workspace: Workspace) -> Iterator[tuple[Subject, _Series]]:
    earlier = workspace.stats_of(workspace.period.before) if workspace.question.compare else {}
    for subject, stats in workspace.stats.items():
        if before := earlier.get(subject):
            started_us = before.started_us + stats.started_us
            yield subject, _Series(started_us, before.durations + stats.durations)
        else:
            yield subject, _Series(stats.started_us, stats.durations)


def _matters(series: _Series, change: ChangePoint) -> bool:
    """Return whether runs take much longer since then, and the last ones still do."""
    durations, index = series.durations, change.index
    fewest = max(FEWEST_AFTER, round(len(durations) * LEAST_SIDE))
    if not fewest <= index <= len(durations) - fewest:
        return False
    usual = series.usual(index)
    return _is_longer(median(durations[:index]), median(durations[index:])) and all(
        _are_longer(usual, zip(series.slots[since:], durations[since:], strict=True))
        for since in (index, len(durations) - fewest)
    )


def _are_longer(
    usual: Mapping[tuple[bool, int], float], runs: Iterable[tuple[tuple[bool, int], float]]
) -> bool:
    """Return whether most runs take longer than those of the same part of the week did before."""
    found = [_is_longer(usual[slot], seconds) for slot, seconds in runs if slot in usual]
    return len(found) >= FEWEST_AFTER and 2 * sum(found) > len(found)


def _is_longer(before: float, after: float) -> bool:
    return before > 0 and after >= max(before * LEAST_GROWTH, before + LEAST_SECONDS)


@dataclass(frozen=True, slots=True)
class SlowerTask:
    """The task that explains why a flow is slower: its seconds in a flow run, at the median."""

    name: str
    before: float
    after: float


FEWEST_TASK_RUNS = 3
"""Flow runs on either side, of those whose task runs were read."""

_TASK_SECONDS = """
SELECT task_runs.task, flow_runs.started_us >= ?, SUM(task_runs.seconds)
FROM task_runs JOIN flow_runs ON flow_runs.id = task_runs.flow_run_id
WHERE flow_runs.flow_id = ? AND flow_runs.deployment_id = ?
    AND flow_runs.state_type = 'COMPLETED' AND task_runs.child_flow_run_id = x''
GROUP BY task_runs.task, flow_runs.id
"""


def slower_task(workspace: Workspace, slow: Slowing) -> SlowerTask | None:
    """Return the task whose growth makes up most of the flow's; None where no one does."""
    seconds: dict[str, tuple[list[float], list[float]]] = {}
    values = (slow.changed_us, *slow.subject)
    for task, is_after, took in workspace.database.execute(_TASK_SECONDS, values):
        seconds.setdefault(task, ([], []))[is_after].append(took)
    known = [
        SlowerTask(task, median(before), median(after))
        for task, (before, after) in seconds.items()
        if min(len(before), len(after)) >= FEWEST_TASK_RUNS
    ]
    most = max(known, key=lambda each: each.after - each.before, default=None)
    if most is None or most.after - most.before < (slow.after - slow.before) / 2:
        return None
    return most
