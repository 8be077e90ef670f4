"""Prefect's REST API over HTTP, as the ``Api`` that collectors read."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence, Sized
from functools import partial
from http import HTTPStatus
from typing import Annotated, Self, TypeVar
from uuid import UUID

import httpx
from msgspec import Meta
from msgspec.json import Decoder

from prefect_exporter.answers import BODY_LIMIT, ROW_LIMIT, LimitTooHigh, TooLong, page_token
from prefect_exporter.api import EventFilter, Page, RunFilter
from prefect_exporter.errors import Rejected
from prefect_exporter.exchanges import Call, Exchange, Exchanges
from prefect_exporter.queries import EVENT_PAGE, event_query, flow_run_filter, task_run_filter
from prefect_exporter.transport import Connection
from prefect_exporter.wire import Deployment, Event, EventRows, Flow, FlowRun, TaskRun

__all__ = ["Connection", "Exchange", "PrefectClient"]

RowT = TypeVar("RowT")
RowsT = TypeVar("RowsT", bound=Sized)

_FLOW_RUNS = Decoder(list[FlowRun])
_TASK_RUNS = Decoder(list[TaskRun])
_FLOWS = Decoder(list[Flow])
_DEPLOYMENTS = Decoder(list[Deployment])
_EVENTS = Decoder(EventRows)
_COUNT: Decoder[int] = Decoder(Annotated[int, Meta(ge=0)])
_VERSION: Decoder[str] = Decoder(Annotated[str, Meta(min_length=1, max_length=64)])
_ANYTHING: Decoder[object] = Decoder(object)


class PrefectClient:
    """The reads of ``Api`` on one Prefect server; an asynchronous context manager.

    Args:
        connection: The server, and how it is treated.
        observe: Called once at the end of each HTTP exchange; must neither raise nor wait.
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
        clock: Callable[[], float] = time.monotonic,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._page_size = connection.page_size
        self._fitting: dict[str, int] = {}
        self._exchanges = Exchanges(connection, observe=observe, clock=clock, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exchanges.close()

    async def flow_runs(self, where: RunFilter, sort: str, offset: int = 0) -> Page[FlowRun]:
        """Return one page of flow runs."""
        query = {"flow_runs": flow_run_filter(where), "sort": sort, "offset": offset}
        return await self._page("flow_runs/filter", _FLOW_RUNS, query)

    async def task_runs(self, where: RunFilter, sort: str, offset: int = 0) -> Page[TaskRun]:
        """Return one page of task runs."""
        query = {"task_runs": task_run_filter(where), "sort": sort, "offset": offset}
        return await self._page("task_runs/filter", _TASK_RUNS, query)

    async def count_flow_runs(self, where: RunFilter) -> int:
        """Return how many flow runs match."""
        query = {"flow_runs": flow_run_filter(where)}
        return (await self._exchanges.ask(Call("flow_runs/count", _COUNT, query))).value

    async def count_task_runs(self, where: RunFilter) -> int:
        """Return how many task runs match."""
        query = {"task_runs": task_run_filter(where)}
        return (await self._exchanges.ask(Call("task_runs/count", _COUNT, query))).value

    async def events(self, where: EventFilter) -> Page[Event]:
        """Return the first page of events, oldest first."""
        query = event_query(where)
        rows, _ = await self._fit(
            "events/filter", EVENT_PAGE, partial(_page_call, "events/filter", _EVENTS, query)
        )
        return _event_page("events/filter", rows)

    async def more_events(self, token: str) -> Page[Event]:
        """Return the page of events that follows the one that gave *token*."""
        params = {"page-token": token}
        # The token holds the page's size, so it cannot be asked for in parts.
        call = Call("events/filter/next", _EVENTS, params=params, longest=ROW_LIMIT)
        return _event_page(call.route, (await self._exchanges.ask(call)).value)

    async def flows(self, ids: Sequence[UUID]) -> Sequence[Flow]:
        """Return the flows of *ids* that exist."""
        return await self._by_id("flows", _FLOWS, ids)

    async def deployments(self, ids: Sequence[UUID]) -> Sequence[Deployment]:
        """Return the deployments of *ids* that exist."""
        return await self._by_id("deployments", _DEPLOYMENTS, ids)

    async def deployment_page(self, offset: int, limit: int) -> Page[Deployment]:
        """Return *limit* deployments, by name, or as many as Prefect allows at once."""
        query = {"sort": "NAME_ASC", "offset": offset}
        return await self._page("deployments/filter", _DEPLOYMENTS, query, longest=limit)

    async def version(self) -> str:
        """Return the version that the server says it has."""
        return (await self._exchanges.ask(Call("admin/version", _VERSION))).value

    async def ready(self) -> bool:
        """Return whether the server reaches its database."""
        try:
            await self._exchanges.ask(Call("ready", _ANYTHING))
        except Rejected as error:
            if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
                return False
            raise
        return True

    async def _page(
        self,
        route: str,
        into: Decoder[list[RowT]],
        query: Mapping[str, object],
        longest: int = sys.maxsize,
    ) -> Page[RowT]:
        # Rows in another order are other rows, small where those are large.
        name = f"{route} {query['sort']}"
        rows, limit = await self._rows(name, longest, partial(_page_call, route, into, query))
        return Page(rows, full=len(rows) >= limit)

    async def _by_id(
        self, what: str, into: Decoder[list[RowT]], ids: Sequence[UUID]
    ) -> Sequence[RowT]:
        rows: list[RowT] = []
        start = 0
        while start < len(ids):
            rest = ids[start:]
            call = partial(_by_id_call, what, into, rest)
            found, asked = await self._rows(f"{what} by id", len(rest), call)
            rows += found
            start += asked
        return rows

    async def _rows(
        self, name: str, longest: int, sized: Callable[[int], Call[RowsT]]
    ) -> tuple[RowsT, int]:
        """Return rows and the limit they were asked with: what Prefect allows, lowered for good.

        An operator can lower it (``PREFECT_SERVER_API_DEFAULT_LIMIT``), and only a 422 says so.
        """
        limit = min(self._page_size, longest)
        try:
            return await self._fit(name, limit, sized)
        except LimitTooHigh as error:
            if not 0 < error.allowed < limit:
                raise
            limit = self._page_size = min(self._page_size, error.allowed)
        return await self._fit(name, limit, sized)

    async def _fit(
        self, name: str, longest: int, sized: Callable[[int], Call[RowsT]]
    ) -> tuple[RowsT, int]:
        """Return rows and the limit they were asked with: halved while their bytes are too many.

        What fits is kept under *name*; it doubles again once a full page leaves room for that.
        """
        while True:
            limit = min(self._fitting.get(name, longest), longest)
            try:
                answer = await self._exchanges.ask(sized(limit))
            except TooLong:
                if limit == 1:
                    raise
                self._fitting[name] = limit // 2
                continue
            fits = self._fitting.get(name)
            if fits and len(answer.value) >= limit and 2 * answer.size <= BODY_LIMIT:
                self._fitting[name] = max(fits, 2 * limit)
            return answer.value, limit


def _page_call(
    route: str, into: Decoder[RowsT], query: Mapping[str, object], limit: int
) -> Call[RowsT]:
    longest = ROW_LIMIT if limit == 1 else BODY_LIMIT
    return Call(route, into, {**query, "limit": limit}, longest=longest)


def _by_id_call(
    what: str, into: Decoder[list[RowT]], ids: Sequence[UUID], limit: int
) -> Call[list[RowT]]:
    query = {what: {"id": {"any_": ids[:limit]}}}
    return _page_call(f"{what}/filter", into, query, limit)


def _event_page(route: str, answer: EventRows) -> Page[Event]:
    token = page_token(route, answer.next_page)
    return Page([row.event() for row in answer.events], full=token is not None, token=token)
