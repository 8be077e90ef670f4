"""How much each system outside is used, and how that goes: its task runs, and the failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

import msgspec

from prefect_exporter.report.integrations.systems import (
    Seen,
    in_block,
    in_logger,
    in_name,
    in_text,
    kinds,
)
from prefect_exporter.report.remembered import remembered
from prefect_exporter.report.workspace import Subject, Workspace

_MOST_SYSTEMS = 100
_OTHER_HOSTS = "HTTP: other hosts"
_MOST_EXAMPLES = 5
_MOST_SHOWN = 3

_TASKS = (
    "SELECT task.task, task.tags, run.flow_id, run.deployment_id, count(*), sum(task.seconds),"
    " sum(task.state_type IN ('FAILED', 'CRASHED'))"
    " FROM task_runs AS task JOIN flow_runs AS run ON run.id = task.flow_run_id"
    " WHERE task.child_flow_run_id = x'' AND task.ended_us IS NOT NULL GROUP BY 1, 2, 3, 4"
)
_FAILED_RUNS = (
    "SELECT id, flow_id, deployment_id, state_message FROM flow_runs"
    " WHERE state_type IN ('FAILED', 'CRASHED') AND ended_us >= ? AND ended_us < ?"
    " ORDER BY ended_us DESC, id"
)
_FAILED_TASKS = (
    "SELECT DISTINCT task, tags FROM task_runs WHERE flow_run_id = ?"
    " AND state_type IN ('FAILED', 'CRASHED') AND child_flow_run_id = x''"
)
_LOGS = "SELECT logger, message FROM logs WHERE flow_run_id = ?"


@dataclass(slots=True)
class Use:
    """What was seen of one system in the period.

    Args:
        seen: By what it was known, by where that was: at most three of each.
        task_runs: That ended, of those that were read; *seconds* they took together.
        failed_by_task: Failed task runs, by task.
        subjects: Whose task runs or failures show it; *failing* those with failed task runs.
        failed_runs: Failed flow runs that show it, by a failed task, their message or their logs.
        examples: Five of them, the newest.
    """

    name: str
    kind: str
    seen: dict[str, list[str]] = field(default_factory=dict)
    task_runs: int = 0
    seconds: float = 0.0
    failed_by_task: Counter[str] = field(default_factory=Counter)
    subjects: set[Subject] = field(default_factory=set)
    failing: set[Subject] = field(default_factory=set)
    failed_runs: int = 0
    examples: list[bytes] = field(default_factory=list)

    @property
    def failed_task_runs(self) -> int:
        """How many of its task runs failed."""
        return self.failed_by_task.total()


@dataclass(frozen=True, slots=True)
class Uses:
    """All systems that were seen.

    Args:
        task_runs, failed_task_runs, seconds: Of all task runs that were read.
        failed_runs: All failed flow runs of the period.
    """

    systems: Mapping[str, Use]
    task_runs: int
    failed_task_runs: int
    seconds: float
    failed_runs: int


@remembered
def uses(workspace: Workspace) -> Uses:
    """Return how the systems outside are used in the period."""
    found = _Found(workspace)
    found.catalog()
    totals = found.tasks()
    return Uses(found.uses, *totals, found.failures())


class _Found:
    """What was found until now: one look through the catalogue, the task runs and the failures."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.uses: dict[str, Use] = {}
        self._prefect = urlsplit(workspace.question.api_url).hostname or ""

    def catalog(self) -> None:
        """Look at blocks, and at the tags of flows and deployments."""
        catalog = self.workspace.catalog
        for block in catalog.blocks:
            self._note(in_block(block.block_type.slug))
        of_flows = (tag for each in catalog.flows.values() for tag in each.tags)
        of_deployments = (tag for each in catalog.deployments.values() for tag in each.tags)
        for tag in dict.fromkeys(chain(of_flows, of_deployments)):
            self._note(in_name(tag, "tags"))

    def tasks(self) -> tuple[int, int, float]:
        """Look at all task runs; return how many there are, how many failed, and their seconds."""
        runs = failed_runs = 0
        total = 0.0
        for task, tags, flow, deployment, count, seconds, failed in self._rows(_TASKS):
            runs, failed_runs, total = runs + count, failed_runs + failed, total + seconds
            for use in self._note(_of_task(task, tags)):
                use.task_runs += count
                use.seconds += seconds
                use.subjects.add(Subject(flow, deployment))
                if failed:
                    use.failed_by_task[task] += failed
                    use.failing.add(Subject(flow, deployment))
        return runs, failed_runs, total

    def failures(self) -> int:
        """Look at all failed flow runs; return how many there are."""
        period = self.workspace.period
        count = 0
        rows = self._rows(_FAILED_RUNS, period.since_us, period.until_us)
        for run_id, flow, deployment, message in rows:
            count += 1
            for use in self._note(self._of_failure(run_id, message)):
                use.failed_runs += 1
                use.subjects.add(Subject(flow, deployment))
                if len(use.examples) < _MOST_EXAMPLES:
                    use.examples.append(run_id)
        return count

    def _of_failure(self, run_id: bytes, message: str) -> Iterator[Seen]:
        yield from in_text(message, "messages")
        for task, tags in self._rows(_FAILED_TASKS, run_id):
            yield from _of_task(task, tags)
        for logger, said in self._rows(_LOGS, run_id):
            yield from in_logger(logger)
            yield from in_text(said, "logs")

    def _rows(self, query: str, *values: object) -> Iterator[Any]:
        return self.workspace.database.execute(query, values)

    def _note(self, seen: Iterable[Seen]) -> list[Use]:
        """Remember by what systems are known; return each of them once."""
        noted = {}
        for system, how, what in seen:
            if what == self._prefect:
                continue
            use = self._use(system)
            known = use.seen.setdefault(how, [])
            if what not in known and len(known) < _MOST_SHOWN:
                known.append(what)
            noted[use.name] = use
        return list(noted.values())

    def _use(self, system: str) -> Use:
        if system not in self.uses and system not in kinds() and len(self.uses) >= _MOST_SYSTEMS:
            system = _OTHER_HOSTS
        return self.uses.setdefault(system, Use(system, kinds().get(system, "HTTP")))


def _of_task(task: str, tags: str) -> Iterator[Seen]:
    yield from in_name(task, "task names")
    for tag in msgspec.json.decode(tags, type=list[str]):
        yield from in_name(tag, "tags")
