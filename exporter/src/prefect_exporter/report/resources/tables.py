"""The tables of resources and access."""

from __future__ import annotations

import math
from collections.abc import Sequence

from prefect_exporter.report.model import Cell, Column, Kind, Row, Table
from prefect_exporter.report.places import pool_link, subject_link
from prefect_exporter.report.resources.measured import Measured
from prefect_exporter.report.resources.pools import Compared, spent
from prefect_exporter.report.tables import table
from prefect_exporter.report.usage import Usage
from prefect_exporter.report.workspace import Workspace

MOST_ROWS = 30

_COMPARED = (
    Column("Runs", Kind.COUNT),
    Column("Start delay p50", Kind.SECONDS),
    Column("Start delay p95", Kind.SECONDS),
    Column("Crashed", Kind.SHARE),
    Column("Hours", Kind.HOURS),
)
_COST = Column("Cost", Kind.MONEY)


def types_table(workspace: Workspace, types: Sequence[Compared]) -> Table:
    """Return pool types side by side."""
    columns = (Column("Type"), Column("Work pools", Kind.COUNT), *_COMPARED)
    rows = [Row((each.type, len(each.names), *_compared(each))) for each in types]
    return _priced(workspace, "Work pool types compared", columns, rows, types)


def pools_table(workspace: Workspace, pools: Sequence[Compared], usage: Usage | None) -> Table:
    """Return pools side by side; with their start delay as the exporter saw it, if it is known."""
    columns = [Column("Work pool"), Column("Type"), *_COMPARED]
    delays = usage.start_delays if usage else {}
    if delays:
        columns.append(Column("p95 in Prometheus", Kind.SECONDS))
    rows = []
    for each in pools:
        (name,) = each.names
        cells: list[Cell] = [name, each.type, *_compared(each)]
        if delays:
            cells.append(delays[name].p95 if name in delays else None)
        rows.append(Row(tuple(cells), {"Work pool": pool_link(workspace, name)}))
    return _priced(workspace, "Work pools compared", tuple(columns), rows, pools)


def dearest_table(workspace: Workspace) -> Table:
    """Return which deployments cost most, at the user's prices."""
    known = [(each.cost, each) for each in spent(workspace) if each.cost is not None]
    known.sort(key=lambda pair: -pair[0])
    total = math.fsum(cost for cost, _ in known)
    rows = [
        Row(
            (
                workspace.name(each.subject),
                each.work_pool,
                each.runs,
                each.seconds / 3600,
                cost,
                cost / total if total else 0.0,
            ),
            {"Deployment": subject_link(workspace, each.subject)},
        )
        for cost, each in known
    ]
    columns = (
        Column("Deployment"),
        Column("Work pool"),
        Column("Runs", Kind.COUNT),
        Column("Hours", Kind.HOURS),
        _COST,
        Column("Share", Kind.SHARE),
    )
    note = "While runs ran; what stood by, and what infrastructure took to start, is not in it."
    return table("Dearest deployments", columns, rows, note, MOST_ROWS)


def measured_table(workspace: Workspace, measured: Sequence[Measured]) -> Table:
    """Return what is asked for beside what is used."""
    rows = [
        Row(
            (
                workspace.name(each.subject),
                each.work_pool,
                each.requests.memory.amount if each.requests.memory else None,
                each.requests.memory_limit.amount if each.requests.memory_limit else None,
                each.memory.mean if each.memory else None,
                _finite(each.memory.at_most) if each.memory else None,
                each.requests.cpu.amount if each.requests.cpu else None,
                each.cores,
            ),
            {"Deployment": subject_link(workspace, each.subject)},
        )
        for each in measured
    ]
    columns = (
        Column("Deployment"),
        Column("Work pool"),
        Column("Memory requested", Kind.BYTES),
        Column("Memory limit", Kind.BYTES),
        Column("Mean peak", Kind.BYTES),
        Column("Highest peak, at most", Kind.BYTES),
        Column("CPUs requested", Kind.COUNT),
        Column("CPUs used, mean", Kind.COUNT),
    )
    note = (
        "Peaks are of the run's own process, by prefect-instrumentation; programs that it starts"
        " are not in it. The highest peak is known by the bucket that it fell into."
    )
    return table("Requests against use", columns, rows, note, MOST_ROWS)


def access_table(workspace: Workspace) -> Table:
    """Return what this key, or this server, did not let us read."""
    rows = [Row(pair) for pair in sorted(workspace.catalog.server.refused.items())]
    return table("Not to be read", (Column("Route"), Column("Answer")), rows)


def _compared(each: Compared) -> tuple[Cell, ...]:
    return (each.runs, each.p50, each.p95, each.crash_rate, each.seconds / 3600)


def _priced(
    workspace: Workspace,
    title: str,
    columns: tuple[Column, ...],
    rows: Sequence[Row],
    compared: Sequence[Compared],
) -> Table:
    """Return the table with what each row costs, where there is any price."""
    note = "Start delay: from when a run could have begun to when it did."
    if not _has_prices(workspace):
        return table(title, columns, rows, note, MOST_ROWS)
    priced = [
        Row((*row.cells, each.cost), row.links) for row, each in zip(rows, compared, strict=True)
    ]
    return table(title, (*columns, _COST), priced, note, MOST_ROWS)


def _has_prices(workspace: Workspace) -> bool:
    prices = workspace.question.prices
    return bool(prices.cpu_hour or prices.memory_gib_hour or prices.per_pool)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
