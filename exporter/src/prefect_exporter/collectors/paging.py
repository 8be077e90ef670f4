"""Read a list of runs that changes while it is read, up to a limit of pages."""

from __future__ import annotations

from uuid import UUID

from prefect_exporter.api import Api, RunFilter
from prefect_exporter.wire import FlowRun


async def flow_runs(
    api: Api, where: RunFilter, sort: str, max_pages: int
) -> tuple[list[FlowRun], bool]:
    """Return the runs, each once, and whether there are more than the pages hold."""
    rows: dict[UUID, FlowRun] = {}
    offset = 0
    for _ in range(max_pages):
        page = await api.flow_runs(where, sort, offset)
        rows |= {row.id: row for row in page.rows}
        if not page.full:
            return list(rows.values()), False
        offset += len(page.rows)
    return list(rows.values()), True
