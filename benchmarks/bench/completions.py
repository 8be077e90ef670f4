"""Run ends as the collectors hand them to the ledger, made up without a Prefect."""

from __future__ import annotations

import itertools
import random
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from prefect_exporter import collectors
from prefect_exporter.collectors import flow_runs, task_runs
from prefect_exporter.facts import Add, Fact, Latest, Observe, Retried, Series
from prefect_exporter.labels import result
from prefect_exporter.metrics import Counted, Labels
from prefect_exporter.moments import seconds
from prefect_exporter.settings import Settings

_TARGET = "default"
_TASKS_PER_FLOW = 5


@dataclass(frozen=True, slots=True)
class Families:
    """Every counted family by name, and the two whose names are made from settings."""

    by_name: Mapping[str, Counted]
    flow_run_duration: str
    task_run_duration: str


def families(settings: Settings) -> Families:
    """Return what the exporter's ledger is opened with."""
    counted = {f.name: f for each in collectors.build(settings) for f in each.counted}
    return Families(counted, flow_runs.duration(settings).name, task_runs.duration(settings).name)


class Completions:
    """A source of completions with known names; the same *seed* gives the same ones.

    Args:
        declared: Where the effects go.
        deployments: How many there are, five to a flow.
        tasks: How many there are, five to a flow.
        seed: Of run ids, names and durations.
    """

    def __init__(self, declared: Families, *, deployments: int, tasks: int, seed: int) -> None:
        self._declared = declared
        self._random = random.Random(seed)
        self.deployments = _names("deployment", deployments)
        self.tasks = _names("task", tasks)

    def flow_run(self, at_us: int, name: Labels | None = None, outcome: str = "") -> Fact:
        """Return a flow run's end at *at_us*, of any deployment and mostly completed."""
        labels = (_TARGET, *(name or self._random.choice(self.deployments)))
        ending = outcome or self._outcome()
        effects: list[Add | Observe | Latest | Retried] = [
            Add(Series(flow_runs.FINISHED.name, (*labels, "false", ending))),
            Latest(Series(flow_runs.LAST_FINISHED.name, (*labels, ending)), seconds(at_us)),
            Retried(Series(flow_runs.RETRIES.name, labels), 1),
            self._observe(self._declared.flow_run_duration, labels, ending),
            Add(Series(flow_runs.POOL_FINISHED.name, (_TARGET, "pool", "default", ending))),
        ]
        return Fact(self._id(), at_us, tuple(effects))

    def task_run(self, at_us: int, name: Labels | None = None, outcome: str = "") -> Fact:
        """Return a task run's end at *at_us*, of any task and mostly completed."""
        labels = (_TARGET, *(name or self._random.choice(self.tasks)))
        ending = outcome or self._outcome()
        effects = (
            Add(Series(task_runs.FINISHED.name, (*labels, ending))),
            Retried(Series(task_runs.RETRIES.name, labels), 1),
            self._observe(self._declared.task_run_duration, labels, ending),
        )
        return Fact(self._id(), at_us, effects)

    def moments(self, start_us: int, stop_us: int, number: int) -> Sequence[int]:
        """Return *number* ends from *start_us* to *stop_us*, newest first, as scans see them."""
        return sorted(
            (self._random.randrange(start_us, stop_us) for _ in range(number)), reverse=True
        )

    def _outcome(self) -> str:
        return self._random.choices(("completed", "failed"), (95, 5))[0]

    def _observe(self, family: str, labels: Labels, outcome: str) -> Observe:
        series = Series(family, (*labels, result(outcome) or "failure"))
        return Observe(series, self._random.expovariate(1 / 30))

    def _id(self) -> UUID:
        return uuid.UUID(int=self._random.getrandbits(128), version=4)


def _names(what: str, number: int) -> Sequence[Labels]:
    flows = (f"flow-{i:04d}" for i in itertools.count())
    return [*itertools.islice(_pairs(flows, what), number)]


def _pairs(flows: Iterator[str], what: str) -> Iterator[Labels]:
    for flow in flows:
        for number in range(_TASKS_PER_FLOW):
            yield flow, f"{what}-{number}"
