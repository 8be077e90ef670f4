"""Read a list that changes while it is read, up to a limit of pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from prefect_exporter.api import Api, Page, RowT, RunFilter
from prefect_exporter.wire import FlowRun


async def flow_runs(
    api: Api, where: RunFilter, first: str, max_pages: int
) -> tuple[list[FlowRun], bool]:
    """Return the runs, each once, and whether there are more than the pages hold.

    Runs that share a time, as those of one midnight do, come in any order at each request: only
    their ids put them into one that pages can be cut from.

    Args:
        api: The target.
        where: Which runs.
        first: The sort of the one page that holds those which a limit must not hide.
        max_pages: How many pages are read at most.
    """
    page = await api.flow_runs(where, first)
    rows = {row.id: row for row in page.rows}
    offset, pages = len(rows) if first == "ID_DESC" else 0, 1
    while page.full and pages < max_pages:
        page = await api.flow_runs(where, "ID_DESC", offset)
        rows |= {row.id: row for row in page.rows}
        offset, pages = offset + len(page.rows), pages + 1
    return list(rows.values()), page.full


async def listed(
    read: Callable[[int], Awaitable[Page[RowT]]], max_pages: int
) -> tuple[list[RowT], bool]:
    """Return the rows of a list, and whether there are more than the pages hold.

    Args:
        read: Returns the page at an offset.
        max_pages: How many pages are read at most.
    """
    rows: list[RowT] = []
    for _ in range(max_pages):
        page = await read(len(rows))
        rows += page.rows
        if not page.full:
            return rows, False
    return rows, True


def once(names: Iterable[str]) -> bool:
    """Return whether no name came twice; where one did, another may not have come at all."""
    seen = list(names)
    return len(set(seen)) == len(seen)
