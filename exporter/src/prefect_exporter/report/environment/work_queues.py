"""Work queues, in the order in which workers take from them."""

from __future__ import annotations

from prefect_exporter.moments import micros
from prefect_exporter.report.model import Column, Kind, Row, Table
from prefect_exporter.report.tables import table
from prefect_exporter.report.wire import ToldWorkQueue
from prefect_exporter.report.words import rfc3339
from prefect_exporter.report.workspace import Workspace

_COLUMNS = (
    Column("Work pool"),
    Column("Work queue"),
    Column("Status"),
    Column("Priority", Kind.COUNT),
    Column("Slots", Kind.COUNT),
    Column("Slots used", Kind.COUNT),
    Column("Last polled", Kind.TIME),
)


def work_queues(workspace: Workspace) -> Table:
    """Return the work queues, by pool and priority."""
    queues = sorted(workspace.catalog.work_queues, key=_order)
    return table("Work queues", _COLUMNS, [_row(each) for each in queues])


def _order(queue: ToldWorkQueue) -> tuple[str, int, str]:
    return queue.work_pool_name or "", queue.priority or 0, queue.name


def _row(queue: ToldWorkQueue) -> Row:
    return Row(
        (
            queue.work_pool_name or "",
            queue.name,
            "PAUSED" if queue.is_paused else queue.status or "",
            queue.priority,
            queue.concurrency_limit,
            queue.active_slots,
            rfc3339(micros(queue.last_polled)) if queue.last_polled else None,
        )
    )
