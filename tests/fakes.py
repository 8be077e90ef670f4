"""Prefect as collectors see it: runs and events in memory, on a clock that tests move."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from logging import ERROR
from uuid import UUID

from prefect_exporter.api import EventFilter, Interval, Page, RowT, RunFilter
from prefect_exporter.errors import ApiError, Rejected
from prefect_exporter.moments import SECOND, micros, moment
from prefect_exporter.wire import (
    Automation,
    ConcurrencyLimit,
    Deployment,
    Event,
    EventPayload,
    EventState,
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

START_US = micros(datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC))
EVENT_PAGE = 50


class Crash(BaseException):
    """The process is gone: nothing of ours may catch this."""


@dataclass(slots=True)
class FakePrefect:
    """An ``Api`` over lists.

    Args:
        page_size: How many rows an answer has at most.
        now_us: The time; tests set it.
        fail: Called before every answer with the route; raises what the test wants.
    """

    page_size: int = 200
    now_us: int = START_US
    fail: Callable[[str], None] = lambda _route: None
    flow_rows: dict[UUID, FlowRun] = field(default_factory=dict)
    task_rows: dict[UUID, TaskRun] = field(default_factory=dict)
    state_rows: dict[UUID, list[StateRecord]] = field(default_factory=dict)
    visible_us: dict[UUID, int] = field(default_factory=dict)
    event_rows: list[tuple[int, Event]] = field(default_factory=list)
    flow_names: dict[UUID, str] = field(default_factory=dict)
    flow_tags: dict[UUID, list[str]] = field(default_factory=dict)
    deployment_rows: dict[UUID, Deployment] = field(default_factory=dict)
    placeholders: set[UUID] = field(default_factory=set)
    pool_rows: list[WorkPool] = field(default_factory=list)
    worker_rows: dict[str, list[Worker]] = field(default_factory=dict)
    queue_rows: list[WorkQueue] = field(default_factory=list)
    limit_rows: list[ConcurrencyLimit] = field(default_factory=list)
    tag_rows: list[TagLimit] = field(default_factory=list)
    automation_rows: list[Automation] = field(default_factory=list)
    log_rows: list[ToldLog] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def _ask(self, route: str) -> None:
        self.asked.append(route)
        self.fail(route)

    def _flow_runs(self, where: RunFilter) -> list[FlowRun]:
        rows = [row for row in self.flow_rows.values() if self.shows(row.id)]
        return [row for row in rows if _matches(row, where) and _due(row, where.due)]

    def _task_runs(self, where: RunFilter) -> list[TaskRun]:
        rows = [row for row in self.task_rows.values() if self.shows(row.id)]
        if not where.placeholders:
            rows = [row for row in rows if row.id not in self.placeholders]
        if where.of is not None:
            runs = {row.id for row in self._flow_runs(where.of)}
            rows = [row for row in rows if row.flow_run_id in runs]
        return [row for row in rows if _matches(row, where)]

    def shows(self, run_id: UUID) -> bool:
        """Return whether a row has arrived by now."""
        return self.visible_us.get(run_id, 0) <= self.now_us

    async def flow_runs(
        self, where: RunFilter, sort: str, offset: int = 0, limit: int | None = None
    ) -> Page[FlowRun]:
        """Return one page."""
        self._ask("flow_runs/filter")
        return self._page(_sorted(self._flow_runs(where), sort)[:limit], offset)

    async def flow_run_records(
        self, where: RunFilter, sort: str, offset: int = 0
    ) -> Page[FlowRunRecord]:
        """Return one page of those runs that a test has put there as records."""
        self._ask("flow_runs/filter")
        rows = [row for row in self._flow_runs(where) if isinstance(row, FlowRunRecord)]
        return self._page(_sorted(rows, sort), offset)

    async def flow_run(self, run_id: UUID) -> FlowRunRecord | None:
        """Return a run that a test has put there as a record."""
        self._ask("flow_runs")
        row = self.flow_rows.get(run_id)
        return row if isinstance(row, FlowRunRecord) and self.shows(run_id) else None

    async def flow_run_states(self, run_id: UUID) -> Sequence[StateRecord]:
        """Return a run's states as a test gave them."""
        self._ask("flow_run_states")
        return self.state_rows.get(run_id, [])

    async def task_runs(self, where: RunFilter, sort: str, offset: int = 0) -> Page[TaskRun]:
        """Return one page."""
        self._ask("task_runs/filter")
        return self._page(_sorted(self._task_runs(where), sort), offset)

    async def logs(
        self, run_ids: Sequence[UUID], *, level: int = ERROR, offset: int = 0
    ) -> Page[ToldLog]:
        """Return one page, the newest first."""
        self._ask("logs/filter")
        rows = [row for row in self.log_rows if row.flow_run_id in run_ids and row.level >= level]
        return self._page(sorted(rows, key=lambda row: row.timestamp, reverse=True), offset)

    async def count_flow_runs(self, where: RunFilter) -> int:
        """Return a count."""
        self._ask("flow_runs/count")
        return len(self._flow_runs(where))

    async def count_task_runs(self, where: RunFilter) -> int:
        """Return a count."""
        self._ask("task_runs/count")
        return len(self._task_runs(where))

    def _events_of(self, where: EventFilter) -> list[Event]:
        rows = [
            event
            for visible_us, event in self.event_rows
            if visible_us <= self.now_us
            and _within(event.occurred, where.occurred)
            and (not event.name or event.name.startswith(where.prefix))
            and event.name not in where.without
            and (not where.names or event.name in where.names)
            and (
                not where.resources or event.resource.get("prefect.resource.id") in where.resources
            )
        ]
        rows.sort(key=lambda event: event.occurred, reverse=where.newest_first)
        if where.one_each:
            first = {row.resource.get("prefect.resource.id"): row for row in reversed(rows)}
            return [row for row in rows if first[row.resource.get("prefect.resource.id")] is row]
        return rows

    async def events(self, where: EventFilter) -> Page[Event]:
        """Return the first page; an event that a test gave no name matches every prefix."""
        self._ask("events/filter")
        return self._events(self._events_of(where), 0)

    async def count_events(self, where: EventFilter) -> Mapping[str, int]:
        """Return counts by name."""
        self._ask("events/count-by/event")
        assert where.occurred.after is not None
        assert where.occurred.before is not None
        return Counter(event.name for event in self._events_of(where))

    async def more_events(self, token: str) -> Page[Event]:
        """Return the page that a token names; tokens are "microseconds/offset"."""
        self._ask("events/filter/next")
        since, _, offset = token.partition("/")
        rows = [
            event
            for visible_us, event in self.event_rows
            if visible_us <= self.now_us and micros(event.occurred) >= int(since)
        ]
        return self._events(sorted(rows, key=lambda event: event.occurred), int(offset))

    def _events(self, rows: list[Event], offset: int) -> Page[Event]:
        size = min(self.page_size, EVENT_PAGE)
        page = rows[offset : offset + size]
        token = f"{micros(rows[0].occurred)}/{offset + size}" if rows else None
        return Page(page, len(page) == size, token)

    async def flows(self, ids: Sequence[UUID]) -> Sequence[Flow]:
        """Return flows."""
        self._ask("flows/filter")
        return [
            Flow(key, self.flow_names[key], self.flow_tags.get(key, []))
            for key in ids
            if key in self.flow_names
        ]

    async def deployments(self, ids: Sequence[UUID]) -> Sequence[Deployment]:
        """Return deployments."""
        self._ask("deployments/filter")
        return [self.deployment_rows[key] for key in ids if key in self.deployment_rows]

    async def deployment_page(self, offset: int, limit: int) -> Page[Deployment]:
        """Return deployments by name."""
        self._ask("deployments/filter")
        rows = sorted(self.deployment_rows.values(), key=lambda row: row.name)
        page = rows[offset : offset + limit]
        return Page(page, len(page) == limit)

    async def work_pools(self, offset: int = 0) -> Page[WorkPool]:
        """Return one page."""
        self._ask("work_pools/filter")
        return self._page(self.pool_rows, offset)

    async def workers(self, pool: str, offset: int = 0) -> Page[Worker]:
        """Return one page."""
        self._ask("work_pools/workers/filter")
        return self._page(self.worker_rows.get(pool, []), offset)

    async def work_queues(self, offset: int = 0) -> Page[WorkQueue]:
        """Return one page."""
        self._ask("work_queues/filter")
        return self._page(self.queue_rows, offset)

    async def concurrency_limits(self, offset: int = 0) -> Page[ConcurrencyLimit]:
        """Return one page."""
        self._ask("v2/concurrency_limits/filter")
        return self._page(self.limit_rows, offset)

    async def tag_limits(self, offset: int = 0) -> Page[TagLimit]:
        """Return one page."""
        self._ask("concurrency_limits/filter")
        return self._page(self.tag_rows, offset)

    async def tag_limit(self, tag: str) -> TagLimit:
        """Return one row."""
        self._ask("concurrency_limits/tag")
        for row in self.tag_rows:
            if row.tag == tag:
                return row
        raise Rejected("concurrency_limits/tag", "no", status=404)

    async def automations(self, offset: int = 0) -> Page[Automation]:
        """Return one page."""
        self._ask("automations/filter")
        return self._page(self.automation_rows, offset)

    async def version(self) -> str:
        """Return a version."""
        self._ask("admin/version")
        return "3.8.8"

    async def ready(self) -> bool:
        """Return whether the database is reached."""
        self._ask("ready")
        return True

    def _page(self, rows: Sequence[RowT], offset: int) -> Page[RowT]:
        page = rows[offset : offset + self.page_size]
        return Page(page, len(page) == self.page_size)

    def down(self, error: ApiError) -> None:
        """Answer every question with *error* from now on."""

        def fail(_route: str) -> None:
            raise error

        self.fail = fail

    def up(self) -> None:
        """Answer again."""
        self.fail = lambda _route: None


def _sorted(rows: list[RowT], sort: str) -> list[RowT]:
    name, _, order = sort.lower().rpartition("_")

    def key(row: object) -> datetime | UUID:
        value = getattr(row, name)
        assert isinstance(value, datetime | UUID)
        return value

    return sorted(rows, key=key, reverse=order == "desc")


def _matches(row: FlowRun | TaskRun, where: RunFilter) -> bool:
    return (
        (where.ended is None or _within(row.end_time, where.ended))
        and (where.started is None or _within(row.start_time, where.started))
        and (not where.state_types or row.state_type in where.state_types)
        and row.state_name not in where.not_state_names
        and (not where.ids or row.id in where.ids)
        and (
            not where.deployment_ids or getattr(row, "deployment_id", None) in where.deployment_ids
        )
    )


def _due(row: FlowRun, due: Interval | None) -> bool:
    return due is None or _within(row.next_scheduled_start_time, due)


def _within(at: datetime | None, interval: Interval) -> bool:
    return (
        at is not None
        and (interval.after is None or at >= interval.after)
        and (interval.before is None or at <= interval.before)
    )


def flow_run_event(
    run: FlowRun,
    at_us: int,
    before: str,
    after: tuple[str, str],
    related: Iterable[tuple[str, str]],
) -> Event:
    """Return the event of a state change; *after* is (type, name), *related* is (role, name)."""
    return Event(
        moment(at_us),
        {
            "prefect.resource.id": f"prefect.flow-run.{run.id}",
            "prefect.run-count": str(run.run_count),
        },
        [{"prefect.resource.role": role, "prefect.resource.name": name} for role, name in related],
        EventPayload(EventState(before), EventState(*after)),
    )


def after_seconds(seconds: float) -> datetime:
    """Return the time so long after the fake's first one."""
    return moment(START_US + round(seconds * SECOND))
