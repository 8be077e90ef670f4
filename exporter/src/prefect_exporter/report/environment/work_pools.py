"""Work pools by type: what runs in them, and who works there."""

from __future__ import annotations

from collections import Counter

from prefect_exporter.report.model import Column, Kind, Link, Row, Table
from prefect_exporter.report.tables import table
from prefect_exporter.report.wire import ToldWorkPool
from prefect_exporter.report.workspace import Workspace

_COLUMNS = (
    Column("Work pool"),
    Column("Type"),
    Column("Status"),
    Column("Slots", Kind.COUNT),
    Column("Slots used", Kind.COUNT),
    Column("Queues", Kind.COUNT),
    Column("Workers online", Kind.COUNT),
    Column("Deployments", Kind.COUNT),
    Column("Runs", Kind.COUNT),
)
_RUNS = (
    "SELECT work_pool, count(*) FROM flow_runs WHERE ended_us >= ? AND ended_us < ?"
    " GROUP BY work_pool"
)


def work_pools(workspace: Workspace) -> Table:
    """Return the work pools, by type."""
    catalog = workspace.catalog
    period = workspace.period
    runs = dict(workspace.database.execute(_RUNS, (period.since_us, period.until_us)))
    queues = Counter(each.work_pool_name for each in catalog.work_queues)
    workers = Counter(each.work_pool for each in catalog.workers if each.status == "ONLINE")
    users = Counter(each.work_pool_name for each in catalog.deployments.values())

    def row(pool: ToldWorkPool) -> Row:
        name = pool.name
        cells = (name, pool.type, _status(pool), pool.concurrency_limit, pool.active_slots)
        counts = (queues[name], workers[name], users[name], runs.get(name, 0))
        links = {"Work pool": Link(name, workspace.question.links.work_pool(name))}
        return Row((*cells, *counts), links)

    pools = sorted(catalog.work_pools.values(), key=lambda pool: (pool.type, pool.name))
    return table("Work pools", _COLUMNS, [row(each) for each in pools])


def _status(pool: ToldWorkPool) -> str:
    return "PAUSED" if pool.is_paused else pool.status or ""
