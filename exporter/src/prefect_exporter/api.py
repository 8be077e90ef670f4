"""What the exporter asks of Prefect: the seam between the HTTP client and everything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from logging import ERROR
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from prefect_exporter.wire import (
    Automation,
    ConcurrencyLimit,
    Deployment,
    Event,
    Flow,
    FlowRun,
    FlowRunRecord,
    StateRecord,
    TagLimit,
    TaskRun,
    ToldLog,
    Worker,
    WorkPool,
    WorkQueue,
)

RowT = TypeVar("RowT")


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of time; both ends belong to it, as in Prefect's filters. None means open."""

    after: datetime | None = None
    before: datetime | None = None

    def holds(self, at: datetime | None) -> bool:
        """Return whether a time is in it; no time never is."""
        return (
            at is not None
            and (self.after is None or at >= self.after)
            and (self.before is None or at <= self.before)
        )


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs; every condition that is given must hold.

    Args:
        ended: Bounds of ``end_time``.
        started: Bounds of ``start_time``; runs that have not started never match.
        due: Bounds of ``next_scheduled_start_time``.
        state_types: Any of these, for example ``("RUNNING", "PENDING")``.
        not_state_names: None of these, for example ``("Scheduled",)``.
        ids: Any of these runs.
        deployment_ids: Of any of these deployments; for flow runs.
        placeholders: For task runs: False leaves out the rows that only stand for a subflow.
        of: For task runs: which flow runs they belong to.
    """

    ended: Interval | None = None
    started: Interval | None = None
    due: Interval | None = None
    state_types: tuple[str, ...] = ()
    not_state_names: tuple[str, ...] = ()
    ids: tuple[UUID, ...] = ()
    deployment_ids: tuple[UUID, ...] = ()
    placeholders: bool = True
    of: RunFilter | None = None


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events.

    Args:
        prefix: What their names start with; "" for all.
        occurred: Bounds of their time.
        without: None of these names.
        names: Any of these names, which Prefect finds far faster than a prefix; () for all.
        resources: Of any of these resources, for example ``prefect.flow-run.<id>``; () for all.
        newest_first: The order; oldest first unless asked for.
        one_each: Of each of *resources* only the event that comes first in that order.
    """

    prefix: str
    occurred: Interval
    without: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    newest_first: bool = False
    one_each: bool = False


@dataclass(frozen=True, slots=True)
class Page(Generic[RowT]):
    """One page of an answer.

    Args:
        rows: In the order that was asked for.
        full: Whether the page is as long as the server allows, so that more may follow.
        token: For events: what ``more_events`` takes to go on.
    """

    rows: Sequence[RowT]
    full: bool
    token: str | None = None


class Api(Protocol):
    """The reads that collectors need; every one raises ``ApiError`` where Prefect gave no answer.

    *sort* is one of Prefect's own names, such as ``END_TIME_DESC``.
    """

    async def flow_runs(
        self, where: RunFilter, sort: str, offset: int = 0, limit: int | None = None
    ) -> Page[FlowRun]:
        """Return one page of flow runs; *limit* asks for fewer of them."""
        ...

    async def flow_run_records(
        self, where: RunFilter, sort: str, offset: int = 0
    ) -> Page[FlowRunRecord]:
        """Return one page of flow runs with their names and what their states say."""
        ...

    async def flow_run(self, run_id: UUID) -> FlowRunRecord | None:
        """Return one flow run; None where there is none, or none any more."""
        ...

    async def flow_run_states(self, run_id: UUID) -> Sequence[StateRecord]:
        """Return every state that a flow run has had, oldest first."""
        ...

    async def task_runs(self, where: RunFilter, sort: str, offset: int = 0) -> Page[TaskRun]:
        """Return one page of task runs."""
        ...

    async def logs(
        self, run_ids: Sequence[UUID], *, level: int = ERROR, offset: int = 0
    ) -> Page[ToldLog]:
        """Return one page of log lines of flow runs, of *level* and above, the newest first."""
        ...

    async def count_flow_runs(self, where: RunFilter) -> int:
        """Return how many flow runs match."""
        ...

    async def count_task_runs(self, where: RunFilter) -> int:
        """Return how many task runs match."""
        ...

    async def events(self, where: EventFilter) -> Page[Event]:
        """Return the first page of events."""
        ...

    async def more_events(self, token: str) -> Page[Event]:
        """Return the page of events that follows the one that gave *token*."""
        ...

    async def flows(self, ids: Sequence[UUID]) -> Sequence[Flow]:
        """Return the flows of *ids* that exist; at most a page of ids."""
        ...

    async def deployments(self, ids: Sequence[UUID]) -> Sequence[Deployment]:
        """Return the deployments of *ids* that exist; at most a page of ids."""
        ...

    async def deployment_page(self, offset: int, limit: int) -> Page[Deployment]:
        """Return *limit* deployments, newest first; they are dear, about 20 ms each."""
        ...

    async def count_events(self, where: EventFilter) -> Mapping[str, int]:
        """Return how many events there are of each name; both bounds of the time must be given."""
        ...

    async def work_pools(self, offset: int = 0) -> Page[WorkPool]:
        """Return one page of work pools."""
        ...

    async def workers(self, pool: str, offset: int = 0) -> Page[Worker]:
        """Return one page of the pool's workers, those that went offline included."""
        ...

    async def work_queues(self, offset: int = 0) -> Page[WorkQueue]:
        """Return one page of the work queues of all pools."""
        ...

    async def concurrency_limits(self, offset: int = 0) -> Page[ConcurrencyLimit]:
        """Return one page of global concurrency limits, those of tags and deployments included."""
        ...

    async def tag_limits(self, offset: int = 0) -> Page[TagLimit]:
        """Return one page of the limits of tags, with the task runs that hold their slots."""
        ...

    async def tag_limit(self, tag: str) -> TagLimit:
        """Return the limit of one tag."""
        ...

    async def automations(self, offset: int = 0) -> Page[Automation]:
        """Return one page of automations, newest first."""
        ...

    async def version(self) -> str:
        """Return the version that the server says it has."""
        ...

    async def ready(self) -> bool:
        """Return whether the server reaches its database."""
        ...
