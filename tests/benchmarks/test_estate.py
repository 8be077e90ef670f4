"""The large workspace: as many of everything as its scale says, each sort present."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from bench.estate import TENTH, Scale, holdings, large_catalog

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOLDERS = [UUID(int=number) for number in range(7)]


def test_catalog_is_as_large_as_its_scale() -> None:
    """Deployments, flows, pools, queues and task names are as many as asked."""
    catalog = large_catalog(Scale(), seed=1)
    tables = catalog.tables(NOW)
    tasks = {(each.flow, task) for each in catalog.deployments for task in each.tasks}

    expected = {"work_pool": 20, "work_queue": 50, "flow": 200, "deployment": 1000}
    assert expected == {table: len(tables[table]) for table in expected}
    assert 300 == len(tasks)


def test_a_seed_decides_the_catalog() -> None:
    """The same seed gives the same rows; another seed gives other ids."""
    tables = large_catalog(TENTH, seed=1).tables(NOW)

    assert tables == large_catalog(TENTH, seed=1).tables(NOW)
    assert tables != large_catalog(TENTH, seed=2).tables(NOW)


def test_deployments_are_of_every_sort() -> None:
    """Some are paused, limited, with an objective; schedules are of all three kinds, or none."""
    deployments = large_catalog(TENTH, seed=1).deployments
    kinds = {next(iter(each.schedule or {"none": 0})) for each in deployments}

    assert {"interval", "cron", "rrule", "none"} == kinds
    assert {False, True} == {each.paused for each in deployments}
    assert {False, True} == {each.limit_id is not None for each in deployments}
    assert {2, 3} == {len(each.tags) for each in deployments}


def test_every_pool_has_a_default_queue() -> None:
    """A pool points at a queue of its own."""
    tables = large_catalog(TENTH, seed=1).tables(NOW)
    pools = {row["id"]: row["work_pool_id"] for row in tables["work_queue"]}

    assert all(pools[row["default_queue_id"]] == row["id"] for row in tables["work_pool"])


def test_limits_of_tags_share_the_holders() -> None:
    """Every holder holds a slot of exactly one tag's limit."""
    tables = holdings(TENTH, large_catalog(TENTH, seed=1), NOW, HOLDERS, seed=2)
    slots = "".join(str(row["active_slots"]) for row in tables["concurrency_limit"])

    assert [1] * len(HOLDERS) == [slots.count(str(each)) for each in HOLDERS]


def test_push_pools_have_no_workers() -> None:
    """Workers belong to pools that need them, and are as many as asked."""
    catalog = large_catalog(Scale(), seed=1)
    push = {pool.id for pool in catalog.pools if pool.type.endswith(":push")}
    workers = holdings(Scale(), catalog, NOW, HOLDERS, seed=2)["worker"]

    assert 60 == len(workers)
    assert push
    assert push.isdisjoint(row["work_pool_id"] for row in workers)
