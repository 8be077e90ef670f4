"""Prefect's REST API over HTTP, as the ``Api`` that collectors read."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from logging import ERROR
from operator import attrgetter
from typing import Annotated, Self
from urllib.parse import quote
from uuid import UUID

import httpx
from aiolimiter import AsyncLimiter
from msgspec import Meta
from msgspec.json import Decoder

from prefect_exporter.answers import ROW_LIMIT, page_token
from prefect_exporter.api import EventFilter, Page, RunFilter
from prefect_exporter.errors import Rejected
from prefect_exporter.exchanges import Call, Exchange, Exchanges, budget_of
from prefect_exporter.pages import Pages
from prefect_exporter.queries import (
    EVENT_PAGE,
    event_filter,
    event_query,
    flow_run_filter,
    task_run_query,
)
from prefect_exporter.transport import Connection
from prefect_exporter.wire import (
    Automation,
    ConcurrencyLimit,
    Deployment,
    Event,
    EventCount,
    EventRows,
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

__all__ = ["Connection", "Exchange", "PrefectClient"]

_FLOW_RUNS = Decoder(list[FlowRun])
_FLOW_RUN = Decoder(FlowRunRecord)
_FLOW_RUN_RECORDS = Decoder(list[FlowRunRecord])
_LOGS = Decoder(list[ToldLog])
_STATES = Decoder(list[StateRecord])
_TASK_RUNS = Decoder(list[TaskRun])
_FLOWS = Decoder(list[Flow])
_DEPLOYMENTS = Decoder(list[Deployment])
_WORK_POOLS = Decoder(list[WorkPool])
_WORKERS = Decoder(list[Worker])
_WORK_QUEUES = Decoder(list[WorkQueue])
_LIMITS = Decoder(list[ConcurrencyLimit])
_TAG_LIMITS = Decoder(list[TagLimit])
_TAG_LIMIT = Decoder(TagLimit)
_AUTOMATIONS = Decoder(list[Automation])
_EVENTS = Decoder(EventRows)
_EVENT_COUNTS = Decoder(list[EventCount])
_COUNT: Decoder[int] = Decoder(Annotated[int, Meta(ge=0)])
_VERSION: Decoder[str] = Decoder(Annotated[str, Meta(min_length=1, max_length=64)])
_ANYTHING: Decoder[object] = Decoder(object)


class PrefectClient:
    """The reads of ``Api`` on one Prefect server; an asynchronous context manager.

    Args:
        connection: The server, and how it is treated.
        observe: Called once at the end of each HTTP exchange; must neither raise nor wait.
        budget: What it shares with other clients, in place of the connection's own.
        clock: Seconds that only rise.
        transport: Takes the place of the network in tests.

    Raises:
        OSError: The file of certificates cannot be read, or holds none.
        ValueError: The environment names a proxy that cannot be used.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        observe: Callable[[Exchange], None],
        budget: AsyncLimiter | None = None,
        clock: Callable[[], float] = time.monotonic,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        own = connection.requests_per_minute
        self._exchanges = Exchanges(
            connection,
            observe=observe,
            budget=budget or (budget_of(own) if own else None),
            clock=clock,
            transport=transport,
        )
        self.pages = Pages(self._exchanges, connection.page_size)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exchanges.close()

    async def flow_runs(
        self, where: RunFilter, sort: str, offset: int = 0, limit: int | None = None
    ) -> Page[FlowRun]:
        """Return one page of flow runs; *limit* asks for fewer of them."""
        query = {"flow_runs": flow_run_filter(where), "sort": sort, "offset": offset}
        return await self.pages.page("flow_runs/filter", _FLOW_RUNS, query, limit or sys.maxsize)

    async def flow_run_records(
        self, where: RunFilter, sort: str, offset: int = 0
    ) -> Page[FlowRunRecord]:
        """Return one page of flow runs with their names and what their states say."""
        query = {"flow_runs": flow_run_filter(where), "sort": sort, "offset": offset}
        return await self.pages.page("flow_runs/filter", _FLOW_RUN_RECORDS, query)

    async def flow_run(self, run_id: UUID) -> FlowRunRecord | None:
        """Return one flow run; None where there is none, or none any more."""
        try:
            call = Call("flow_runs", _FLOW_RUN, path=f"flow_runs/{run_id}")
            return await self.pages.ask(call)
        except Rejected as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return None

    async def flow_run_states(self, run_id: UUID) -> Sequence[StateRecord]:
        """Return every state that a flow run has had, oldest first."""
        # Prefect redirects to the path with the slash, and redirects are not followed.
        params = {"flow_run_id": str(run_id)}
        call = Call("flow_run_states", _STATES, params=params, path="flow_run_states/")
        states = await self.pages.ask(call)
        return sorted(states, key=attrgetter("timestamp"))

    async def task_runs(self, where: RunFilter, sort: str, offset: int = 0) -> Page[TaskRun]:
        """Return one page of task runs."""
        query = {**task_run_query(where), "sort": sort, "offset": offset}
        return await self.pages.page("task_runs/filter", _TASK_RUNS, query)

    async def logs(
        self, run_ids: Sequence[UUID], *, level: int = ERROR, offset: int = 0
    ) -> Page[ToldLog]:
        """Return one page of log lines of flow runs, the newest first."""
        logs = {"flow_run_id": {"any_": run_ids}, "level": {"ge_": level}}
        query = {"logs": logs, "sort": "TIMESTAMP_DESC", "offset": offset}
        return await self.pages.page("logs/filter", _LOGS, query)

    async def count_flow_runs(self, where: RunFilter) -> int:
        """Return how many flow runs match."""
        query = {"flow_runs": flow_run_filter(where)}
        return await self.pages.ask(Call("flow_runs/count", _COUNT, query))

    async def count_task_runs(self, where: RunFilter) -> int:
        """Return how many task runs match."""
        call = Call("task_runs/count", _COUNT, task_run_query(where))
        return await self.pages.ask(call)

    async def events(self, where: EventFilter) -> Page[Event]:
        """Return the first page of events."""
        query = event_query(where)
        rows = await self.pages.fitting("events/filter", _EVENTS, query, EVENT_PAGE)
        return _event_page("events/filter", rows)

    async def more_events(self, token: str) -> Page[Event]:
        """Return the page of events that follows the one that gave *token*."""
        params = {"page-token": token}
        # The token holds the page's size, so it cannot be asked for in parts.
        call = Call("events/filter/next", _EVENTS, params=params, longest=ROW_LIMIT)
        return _event_page(call.route, await self.pages.ask(call))

    async def count_events(self, where: EventFilter) -> Mapping[str, int]:
        """Return how many events there are of each name."""
        # Prefect refuses a time cut into more than 1,000 units, though it gives one sum a name.
        query = {"filter": event_filter(where), "time_unit": "day"}
        call = Call("events/count-by/event", _EVENT_COUNTS, query)
        return {row.value: row.count for row in await self.pages.ask(call)}

    async def flows(self, ids: Sequence[UUID]) -> Sequence[Flow]:
        """Return the flows of *ids* that exist."""
        return await self.pages.by_id("flows", _FLOWS, ids)

    async def deployments(self, ids: Sequence[UUID]) -> Sequence[Deployment]:
        """Return the deployments of *ids* that exist."""
        return await self.pages.by_id("deployments", _DEPLOYMENTS, ids)

    async def deployment_page(self, offset: int, limit: int) -> Page[Deployment]:
        """Return *limit* deployments, newest first, or as many as Prefect allows at once."""
        # Of equal names PostgreSQL gives another order with each offset, and so never some of them.
        query = {"sort": "CREATED_DESC", "offset": offset}
        return await self.pages.page("deployments/filter", _DEPLOYMENTS, query, longest=limit)

    async def work_pools(self, offset: int = 0) -> Page[WorkPool]:
        """Return one page of work pools."""
        return await self.pages.page("work_pools/filter", _WORK_POOLS, {"offset": offset})

    async def workers(self, pool: str, offset: int = 0) -> Page[Worker]:
        """Return one page of the pool's workers, those that went offline included."""
        path = f"work_pools/{_quoted(pool)}/workers/filter"
        return await self.pages.page(
            "work_pools/workers/filter", _WORKERS, {"offset": offset}, path=path
        )

    async def work_queues(self, offset: int = 0) -> Page[WorkQueue]:
        """Return one page of the work queues of all pools."""
        return await self.pages.page("work_queues/filter", _WORK_QUEUES, {"offset": offset})

    async def concurrency_limits(self, offset: int = 0) -> Page[ConcurrencyLimit]:
        """Return one page of global concurrency limits, those of tags and deployments included."""
        return await self.pages.page("v2/concurrency_limits/filter", _LIMITS, {"offset": offset})

    async def tag_limits(self, offset: int = 0) -> Page[TagLimit]:
        """Return one page of the limits of tags, with the task runs that hold their slots."""
        return await self.pages.page("concurrency_limits/filter", _TAG_LIMITS, {"offset": offset})

    async def tag_limit(self, tag: str) -> TagLimit:
        """Return the limit of one tag."""
        path = f"concurrency_limits/tag/{_quoted(tag)}"
        call = Call("concurrency_limits/tag", _TAG_LIMIT, path=path)
        return await self.pages.ask(call)

    async def automations(self, offset: int = 0) -> Page[Automation]:
        """Return one page of automations, newest first."""
        query = {"sort": "CREATED_DESC", "offset": offset}
        return await self.pages.page("automations/filter", _AUTOMATIONS, query)

    async def version(self) -> str:
        """Return the version that the server says it has."""
        return await self.pages.ask(Call("admin/version", _VERSION))

    async def ready(self) -> bool:
        """Return whether the server reaches its database."""
        try:
            await self.pages.ask(Call("ready", _ANYTHING))
        except Rejected as error:
            if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
                return False
            raise
        return True


def _quoted(name: str) -> str:
    """Return a name as a part of a path; one of dots alone would be taken for a step up."""
    return quote(name, safe="").replace(".", "%2E")


def _event_page(route: str, answer: EventRows) -> Page[Event]:
    token = page_token(route, answer.next_page)
    return Page([row.told() for row in answer.events], full=token is not None, token=token)
