"""The work queues of each pool."""

from __future__ import annotations

from backup.objects.api import Api, Row, quoted
from backup.objects.resource import Read, Resource, Rows


def _read(api: Api, before: Read) -> Rows:
    # Pool by pool, because there they come in an order that is whole: that of their priority.
    return [
        row | {"work_pool_name": pool["name"]}
        for pool in before["work_pools"]
        for row in api.rows(f"work_pools/{quoted(pool['name'])}/queues/filter")
    ]


def _create(api: Api, row: Row) -> Row:
    return api.create(f"work_pools/{quoted(row['work_pool_name'])}/queues", _own(row))


def _change(api: Api, row: Row) -> None:
    path = f"work_pools/{quoted(row['work_pool_name'])}/queues/{quoted(row['name'])}"
    api.change(path, _own(row))


def _own(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "work_pool_name"}


def _first_first(rows: Rows) -> Rows:
    """Put them by priority: a queue that is made pushes back those that stand where it comes."""
    return sorted(rows, key=lambda row: (row["work_pool_name"], row["priority"] or 0))


WORK_QUEUES = Resource(
    name="work_queues",
    read=_read,
    fields=("work_pool_name", "name", "description", "is_paused", "concurrency_limit", "priority"),
    key=("work_pool_name", "name"),
    create=_create,
    ordered=_first_first,
    # Each pool comes with a queue.
    change=_change,
    part_of=("work_pools", "work_pool_name"),
)
