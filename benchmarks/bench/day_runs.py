"""A simulated day's runs, minute by minute, made when they are asked for and forgotten again.

Every minute is a function of the seed and its number alone, so a day of millions of runs takes
the memory of the few minutes that are looked at.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from prefect_exporter.moments import DAY, MINUTE, SECOND, moment

BEGIN_US = 20_000 * DAY
"""Midnight of the first simulated day."""

# At nine in the morning four times the mean, at night two fifths of it.
_BASE, _PEAK_HOUR, _WIDTH_HOURS, _PEAK = 0.4, 9.0, 1.6, 4.0
# No run takes longer, and none waits longer: so few minutes ahead hold all that is under way.
_LONGEST_US, _LONGEST_WAIT_US = 10 * MINUTE, 2 * MINUTE
AHEAD = (_LONGEST_US + _LONGEST_WAIT_US) // MINUTE + 1
FLOWS, TASKS, POOLS, QUEUES = 100, 300, 20, 50
"""How many there are: a deployment's flow, queue and pool, and a task's flow, go by its number."""
LATEST_US = 300 * SECOND
"""How long after its end a task run's row may arrive."""

_FLOW_STATES = (
    ("COMPLETED", "Completed", 94.0),
    ("FAILED", "Failed", 3.0),
    ("FAILED", "TimedOut", 0.5),
    ("CRASHED", "Crashed", 1.0),
    ("CANCELLED", "Cancelled", 1.5),
)
_TASK_STATES = (
    ("COMPLETED", "Completed", 90.0),
    ("COMPLETED", "Cached", 5.0),
    ("FAILED", "Failed", 4.0),
    ("CRASHED", "Crashed", 1.0),
)
_TASKS_PER_FLOW_RUN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How much happens, and where.

    Args:
        flow_runs: That end each day; each has five task runs.
        first_hour: Of the day, when runs begin to end.
        hours: For which they do.
    """

    flow_runs: int = 1_000_000
    first_hour: float = 0.0
    hours: float = 26.0
    deployments: int = 1000
    seed: int = 1

    def ended_by(self, minute: int) -> int:
        """Return how many flow runs end before a minute, counted from the beginning."""
        # Nothing is under way at the beginning: what the exporter finds there it does not count.
        since = minute - BEGIN_US // MINUTE - AHEAD
        hour = self.first_hour + min(max(since, 0) / 60, self.hours)
        share = (_weight(hour) - _weight(self.first_hour)) / _weight(24.0)
        return math.floor(self.flow_runs * share)


class FlowRunEnd(NamedTuple):
    """A flow run that ends; times in microseconds since 1970."""

    end_us: int
    start_us: int
    due_us: int
    minute: int
    number: int
    deployment: int
    state_type: str
    state_name: str
    starts: int

    @property
    def id(self) -> str:
        """Return its id: where to find it again."""
        return f"{self.minute:08x}-{self.number:04x}-4000-8000-{self.deployment:012x}"


class TaskRunEnd(NamedTuple):
    """A task run that ends, and when its row arrives."""

    end_us: int
    visible_us: int
    id: str
    flow_run: str
    task: int
    state_type: str
    state_name: str
    starts: int
    seconds: float


@dataclass(slots=True)
class Truth:
    """What the runs of all minutes that were made add up to, by state name."""

    flow_runs: Counter[str] = field(default_factory=Counter)
    task_runs: Counter[str] = field(default_factory=Counter)
    flow_run_retries: int = 0
    task_run_retries: int = 0


class Runs:
    """The runs of every minute; ends are in the minute's order."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.truth = Truth()
        self._flow_counts: dict[int, int] = {}
        self._task_counts: dict[int, int] = {}
        # Seen from one moment: what is under way; and a few minutes back, for overlap and audit.
        self.flow_runs = lru_cache(maxsize=4 * AHEAD)(self._flow_runs)
        self._children = lru_cache(maxsize=3)(self._children_of)
        self.task_runs = lru_cache(maxsize=10)(self._task_runs)

    def number(self, minute: int, *, tasks: bool) -> int:
        """Return how many runs end in a minute; known for good once it was made."""
        counts = self._task_counts if tasks else self._flow_counts
        if minute not in counts:
            (self.task_runs if tasks else self.flow_runs)(minute)
        return counts[minute]

    def _flow_runs(self, minute: int) -> Sequence[FlowRunEnd]:
        pace = self.pace
        number = pace.ended_by(minute + 1) - pace.ended_by(minute)
        chance = random.Random(f"{pace.seed} flow runs {minute}")
        ends = sorted(minute * MINUTE + int(chance.random() * MINUTE) for _ in range(number))
        rows = [_flow_run(pace, chance, minute, *each) for each in enumerate(ends)]
        if minute not in self._flow_counts:
            self._flow_counts[minute] = number
            self.truth.flow_runs.update(row.state_name for row in rows)
            self.truth.flow_run_retries += sum(row.starts - 1 for row in rows)
        return rows

    def _children_of(self, minute: int) -> Sequence[TaskRunEnd]:
        chance = random.Random(f"{self.pace.seed} task runs {minute}")
        return [
            _task_run(chance, parent, number)
            for parent in self.flow_runs(minute)
            for number in range(_TASKS_PER_FLOW_RUN)
        ]

    def _task_runs(self, minute: int) -> Sequence[TaskRunEnd]:
        # A task run ends less than a minute before its flow run.
        near = (*self._children(minute), *self._children(minute + 1))
        rows = sorted(row for row in near if row.end_us // MINUTE == minute)
        if minute not in self._task_counts:
            self._task_counts[minute] = len(rows)
            self.truth.task_runs.update(row.state_name for row in rows)
            self.truth.task_run_retries += sum(row.starts - 1 for row in rows)
        return rows


def first_after(rows: Sequence[FlowRunEnd] | Sequence[TaskRunEnd], at_us: int) -> int:
    """Return how many of a minute's rows end before a time."""
    return bisect_left(rows, at_us, key=_end)


def _end(row: FlowRunEnd | TaskRunEnd) -> int:
    return row.end_us


def _weight(hour: float) -> float:
    """Return the area below the days' curve up to an hour."""
    days, hour = divmod(hour, 24)
    scale = _WIDTH_HOURS * math.sqrt(2)
    share = (math.erf((hour - _PEAK_HOUR) / scale) - math.erf(-_PEAK_HOUR / scale)) / 2
    bump = (_PEAK - _BASE) * scale * math.sqrt(math.pi)
    return days * (24 * _BASE + bump) + _BASE * hour + bump * share


def _flow_run(
    pace: Pace, chance: random.Random, minute: int, number: int, end_us: int
) -> FlowRunEnd:
    took_us = min(int(chance.lognormvariate(3.0, 1.2) * SECOND), _LONGEST_US)
    waited_us = min(int(chance.lognormvariate(0.7, 1.2) * SECOND), _LONGEST_WAIT_US)
    # Squared: a few deployments run often, most seldom.
    deployment = int(chance.random() ** 2 * pace.deployments)
    state = _chosen(chance, _FLOW_STATES)
    start_us = end_us - took_us
    due_us = start_us - waited_us
    starts = 2 if chance.random() < 0.01 else 1  # noqa: PLR2004  # one of a hundred is retried
    return FlowRunEnd(end_us, start_us, due_us, minute, number, deployment, *state, starts)


def _task_run(chance: random.Random, parent: FlowRunEnd, number: int) -> TaskRunEnd:
    flow = parent.deployment % FLOWS
    most_us = min(parent.end_us - parent.start_us, MINUTE - 1)
    end_us = parent.end_us - int(chance.random() * most_us)
    seconds = chance.lognormvariate(0.0, 1.2)
    lag = 0.05 + chance.expovariate(8.0)
    if chance.random() < 0.01:  # noqa: PLR2004  # one of a hundred arrives late
        lag = chance.uniform(20, LATEST_US / SECOND)
    return TaskRunEnd(
        end_us,
        end_us + int(lag * SECOND),
        f"{parent.minute:08x}-{parent.number:04x}-4000-9000-{number:012x}",
        parent.id,
        flow + FLOWS * chance.randrange(TASKS // FLOWS),
        *_chosen(chance, _TASK_STATES),
        2 if chance.random() < 0.01 else 1,  # noqa: PLR2004  # one of a hundred is retried
        seconds,
    )


def _chosen(chance: random.Random, states: Sequence[tuple[str, str, float]]) -> tuple[str, str]:
    left = chance.random() * 100
    for state_type, name, percent in states:
        left -= percent
        if left < 0:
            return state_type, name
    return states[0][:2]


def time_text(at_us: int) -> str:
    """Return a time as Prefect writes it."""
    return moment(at_us).isoformat()
