"""Workers, and when each was heard last."""

from __future__ import annotations

from prefect_exporter.moments import micros
from prefect_exporter.report.model import Column, Kind, Row, Table
from prefect_exporter.report.tables import table
from prefect_exporter.report.wire import ToldWorker
from prefect_exporter.report.words import rfc3339
from prefect_exporter.report.workspace import Workspace

_COLUMNS = (
    Column("Worker"),
    Column("Work pool"),
    Column("Status"),
    Column("Heartbeat", Kind.TIME),
)
_NOTE = "Prefect's API does not tell which version a worker runs."


def workers(workspace: Workspace) -> Table:
    """Return the workers: those online first, by pool."""
    known = sorted(workspace.catalog.workers, key=_order)
    return table("Workers", _COLUMNS, [_row(each) for each in known], _NOTE if known else "")


def _order(worker: ToldWorker) -> tuple[bool, str, str]:
    return worker.status != "ONLINE", worker.work_pool, worker.name


def _row(worker: ToldWorker) -> Row:
    heard = worker.last_heartbeat_time
    at = rfc3339(micros(heard)) if heard else None
    return Row((worker.name, worker.work_pool, worker.status or "", at))
