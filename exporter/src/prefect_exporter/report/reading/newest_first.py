"""Read all rows whose end lies in a stretch of time, the newest first, a page at a time.

The next page goes on from the time of the last row, so that rows that come or go meanwhile shift
nothing. Rows that share one time have no order of their own: where they fill a page, their ids give
them one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Generic, TypeAlias, TypeVar

from prefect_exporter.api import Page
from prefect_exporter.errors import Malformed
from prefect_exporter.moments import micros, moment
from prefect_exporter.report.store import Step

RowT = TypeVar("RowT")

Ask: TypeAlias = Callable[[dict[str, object], str, int], Awaitable[Page[RowT]]]
"""Returns a page from the bounds of ``end_time``, the sort and the offset."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time in microseconds since 1970; the end is not part of it."""

    since_us: int
    until_us: int


@dataclass(frozen=True, slots=True)
class NewestFirst(Generic[RowT]):
    """One stretch being read.

    Args:
        route: Whose answers they are, for errors.
        stretch: What is read.
        ask: Asks for a page.
        ended: Returns when a row ended.
    """

    route: str
    stretch: Stretch
    ask: Ask[RowT]
    ended: Callable[[RowT], datetime | None]

    async def next(self, step: Step) -> tuple[Page[RowT], Step]:
        """Return the page after a step, and the step after it."""
        before, _, offset = step.cursor.partition("/")
        before_us = int(before) if before else self.stretch.until_us - 1
        if before_us < self.stretch.since_us:
            return Page((), full=False), replace(step, done=True)
        if offset:
            page, cursor = await self._of_one_time(before_us, int(offset))
        else:
            page, cursor = await self._until(before_us)
        after = Step(cursor, step.rows + len(page.rows), step.total, done=not cursor)
        return page, after

    async def _until(self, before_us: int) -> tuple[Page[RowT], str]:
        page = await self.ask(_bounds(self.stretch.since_us, before_us), "END_TIME_DESC", 0)
        times = [self._time(row, before_us) for row in page.rows]
        if not page.full:
            return page, ""
        if times != sorted(times, reverse=True):
            raise Malformed(self.route, "the answer is not sorted as was asked for")
        whole_page = times[0] == times[-1]
        return page, f"{times[-1]}/0" if whole_page else str(times[-1])

    async def _of_one_time(self, at_us: int, offset: int) -> tuple[Page[RowT], str]:
        page = await self.ask(_bounds(at_us, at_us), "ID_DESC", offset)
        return page, f"{at_us}/{offset + len(page.rows)}" if page.full else str(at_us - 1)

    def _time(self, row: RowT, before_us: int) -> int:
        ended = self.ended(row)
        # Something between here and Prefect may not heed the filter: it would never come to an end.
        if ended is None or not self.stretch.since_us <= micros(ended) <= before_us:
            raise Malformed(self.route, "the answer holds rows that were not asked for")
        return micros(ended)


def _bounds(since_us: int, before_us: int) -> dict[str, object]:
    return {"after_": moment(since_us), "before_": moment(before_us)}


def stretches(since_us: int, until_us: int, number: int) -> list[Stretch]:
    """Cut a time into so many stretches of one length, the newest first."""
    edges = [since_us + (until_us - since_us) * each // number for each in range(number + 1)]
    pairs = pairwise(edges)
    return [Stretch(since, until) for since, until in pairs if since < until][::-1]
