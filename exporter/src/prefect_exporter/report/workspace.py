"""What sections and checks look at: the catalogue, the runs, and what both together say.

Nothing here asks Prefect.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple
from uuid import UUID

from prefect_exporter.labels import outcome
from prefect_exporter.report.catalog import Catalog, load
from prefect_exporter.report.question import Period, Question
from prefect_exporter.report.rows import FlowRunRow, TaskRunRow
from prefect_exporter.report.store import Store

FAILED = ("failed", "timed_out", "crashed")
"""Outcomes that nobody wanted."""

NO_DEPLOYMENT = b""

GONE = "(deleted)"
"""The name of a flow or a deployment that has runs, and is there no more."""

_SELECT_FLOW_RUNS = "SELECT * FROM flow_runs"
_SELECT_TASK_RUNS = "SELECT * FROM task_runs"


class Subject(NamedTuple):
    """Whose runs: a flow's deployment, or what of a flow runs without one."""

    flow_id: bytes
    deployment_id: bytes = NO_DEPLOYMENT


@dataclass(slots=True)
class RunStats:
    """The runs of one subject that ended in a period, or are under way at its end.

    Args:
        outcomes: How many ended in each outcome of ``labels.OUTCOMES``.
        started_us: Of the runs that completed, in order.
        durations: Seconds of the same runs.
        waits: Seconds from due to start of all that started.
        failed_seconds: Of runs that failed, timed out or crashed, together.
        retries: Attempts beyond the first, of all ended runs.
        retried_to_success: Runs that completed after more than one attempt.
        active: Runs that have not ended.
    """

    outcomes: dict[str, int] = field(default_factory=dict)
    started_us: array[int] = field(default_factory=lambda: array("q"))
    durations: array[float] = field(default_factory=lambda: array("d"))
    waits: array[float] = field(default_factory=lambda: array("d"))
    failed_seconds: float = 0.0
    retries: int = 0
    retried_to_success: int = 0
    active: int = 0

    @property
    def ended(self) -> int:
        """How many runs ended."""
        return sum(self.outcomes.values())

    @property
    def failed(self) -> int:
        """How many runs failed, timed out or crashed."""
        return sum(self.outcomes.get(each, 0) for each in FAILED)


class Workspace:
    """One workspace as it was read.

    Args:
        store: What was read.
        question: What the report is about.
    """

    def __init__(self, store: Store, question: Question) -> None:
        self.store = store
        self.question = question

    @property
    def period(self) -> Period:
        """What the report is about."""
        return self.question.period

    @property
    def database(self) -> sqlite3.Connection:
        """The tables ``flow_runs``, ``task_runs`` and ``logs``, whose columns are the rows' fields.

        They hold what the report is narrowed to, of the period and of the one before if that is
        compared: say which.
        """
        return self.store.database

    @cached_property
    def catalog(self) -> Catalog:
        """What the workspace has besides runs."""
        return load(self.store)

    @cached_property
    def stats(self) -> Mapping[Subject, RunStats]:
        """The runs of the period, by subject."""
        return self.stats_of(self.period)

    def stats_of(self, period: Period) -> Mapping[Subject, RunStats]:
        """Return the runs of a period, by subject: ended in it, or under way at its end."""
        stats: dict[Subject, RunStats] = {}
        for run in self.flow_runs("ORDER BY started_us"):
            if run.ended_us is None and run.started_us is not None:
                in_it = run.started_us < period.until_us
            else:
                in_it = period.holds(run.ended_us)
            if in_it:
                subject = Subject(run.flow_id, run.deployment_id)
                _count(stats.setdefault(subject, RunStats()), run)
        return stats

    def flow_runs(self, clauses: str = "", values: Sequence[object] = ()) -> Iterator[FlowRunRow]:
        """Return flow runs; *clauses* are SQL after the table's name, *values* fill its marks."""
        query = f"{_SELECT_FLOW_RUNS} {clauses}"
        return map(FlowRunRow._make, self.database.execute(query, values))

    def task_runs(self, clauses: str = "", values: Sequence[object] = ()) -> Iterator[TaskRunRow]:
        """Return task runs, likewise; in a large workspace they are a sample (``Scope.notes``)."""
        query = f"{_SELECT_TASK_RUNS} {clauses}"
        return map(TaskRunRow._make, self.database.execute(query, values))

    def name(self, subject: Subject) -> str:
        """Return ``flow/deployment``, or the flow's name alone."""
        flow = self.flow_name(subject.flow_id)
        if not subject.deployment_id:
            return flow
        deployment = self.catalog.deployments.get(subject.deployment_id)
        return f"{flow}/{deployment.name if deployment else GONE}"

    def flow_name(self, flow_id: bytes) -> str:
        """Return a flow's name."""
        flow = self.catalog.flows.get(flow_id)
        return flow.name if flow else GONE

    def owner(self, subject: Subject) -> str:
        """Return who owns a subject, by its deployment's tags, else its flow's; "" for nobody."""
        deployment = self.catalog.deployments.get(subject.deployment_id)
        flow = self.catalog.flows.get(subject.flow_id)
        for tags in (deployment.tags if deployment else [], flow.tags if flow else []):
            for key in self.question.owner_tags:
                for tag in tags:
                    name, colon, value = tag.partition(":")
                    if colon and name == key and value:
                        return value
        return ""

    def run_url(self, run_id: bytes) -> str:
        """Return the address of a flow run's page."""
        return self.question.links.flow_run(UUID(bytes=run_id))


def _count(stats: RunStats, run: FlowRunRow) -> None:
    if run.started_us is not None and run.queued_us is not None:
        stats.waits.append(max(0.0, (run.started_us - run.queued_us) / 1_000_000))
    if run.ended_us is None:
        stats.active += 1
        return
    how = outcome(run.state_type, run.state_name)
    stats.outcomes[how] = stats.outcomes.get(how, 0) + 1
    stats.retries += max(0, run.attempts - 1)
    if how in FAILED:
        stats.failed_seconds += run.seconds
    elif how == "completed" and run.started_us is not None:
        stats.started_us.append(run.started_us)
        stats.durations.append(run.seconds)
        stats.retried_to_success += run.attempts > 1
