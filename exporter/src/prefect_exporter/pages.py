"""Lists of Prefect's, asked for in pages that it allows and that fit into the memory."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence, Sized
from functools import partial
from typing import TypeVar
from uuid import UUID

from msgspec.json import Decoder

from prefect_exporter.answers import BODY_LIMIT, ROW_LIMIT, LimitTooHigh, TooLong
from prefect_exporter.api import Page
from prefect_exporter.exchanges import Call, Exchanges

AnswerT = TypeVar("AnswerT")
RowT = TypeVar("RowT")
RowsT = TypeVar("RowsT", bound=Sized)


class Pages:
    """What all reads of one server share: how long a page may be, and who asks for it.

    Args:
        exchanges: With the server.
        page_size: The most rows to ask for at once.
    """

    def __init__(self, exchanges: Exchanges, page_size: int) -> None:
        self._exchanges = exchanges
        self._page_size = page_size
        self._fitting: dict[str, int] = {}

    async def ask(self, call: Call[AnswerT]) -> AnswerT:
        """Return the answer to a question that has no pages."""
        return (await self._exchanges.ask(call)).value

    async def page(
        self,
        route: str,
        into: Decoder[list[RowT]],
        query: Mapping[str, object],
        longest: int = sys.maxsize,
        path: str | None = None,
    ) -> Page[RowT]:
        """Return one page of the list at *route*, of *longest* rows or what Prefect allows."""
        # Rows in another order are other rows, small where those are large.
        name = f"{route} {query.get('sort')}"
        call = partial(_page_call, route, into, query, path=path)
        rows, limit = await self._rows(name, longest, call)
        return Page(rows, full=len(rows) >= limit)

    async def by_id(
        self, what: str, into: Decoder[list[RowT]], ids: Sequence[UUID]
    ) -> Sequence[RowT]:
        """Return those of *ids* that exist."""
        rows: list[RowT] = []
        start = 0
        while start < len(ids):
            rest = ids[start:]
            call = partial(_by_id_call, what, into, rest)
            found, asked = await self._rows(f"{what} by id", len(rest), call)
            rows += found
            start += asked
        return rows

    async def fitting(
        self, route: str, into: Decoder[RowsT], query: Mapping[str, object], longest: int
    ) -> RowsT:
        """Return at most *longest* rows of a list whose limit no operator lowers."""
        rows, _ = await self._fit(route, longest, partial(_page_call, route, into, query))
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
    route: str,
    into: Decoder[RowsT],
    query: Mapping[str, object],
    limit: int,
    path: str | None = None,
) -> Call[RowsT]:
    longest = ROW_LIMIT if limit == 1 else BODY_LIMIT
    return Call(route, into, {**query, "limit": limit}, longest=longest, path=path)


def _by_id_call(
    what: str, into: Decoder[list[RowT]], ids: Sequence[UUID], limit: int
) -> Call[list[RowT]]:
    query = {what: {"id": {"any_": ids[:limit]}}}
    return _page_call(f"{what}/filter", into, query, limit)
