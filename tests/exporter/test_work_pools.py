"""Work pools: every kind of them, whatever they are called, and no more than the limit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes import FakePrefect
from prefect_exporter.collectors.base import Context
from prefect_exporter.collectors.work_pools import WorkPoolCollector, WorkPools
from prefect_exporter.errors import Malformed
from prefect_exporter.pool_types import needs_worker
from prefect_exporter.wire import WorkPool
from scripted import Scripted, answer
from scripted import run as run_scripted
from worlds import collecting, poll, prefect_of, samples

# As a Prefect 3.8.8 server gave it, without the job template.
RECORDED = {
    "id": "42e781ff-1bab-4117-a3a7-457ffaec0f7f",
    "created": "2026-11-21T17:35:42.459311Z",
    "updated": "2026-11-21T17:35:42.905157Z",
    "name": "k8s",
    "description": None,
    "type": "kubernetes",
    "base_job_template": {},
    "is_paused": False,
    "concurrency_limit": 10,
    "active_slots": 2,
    "status": "READY",
    "default_queue_id": "718f90a8-8da5-46e5-94e7-adaf9cbf4489",
    "storage_configuration": {"bundle_upload_step": None, "bundle_execution_step": None},
}


@pytest.fixture(name="prefect")
def _prefect() -> FakePrefect:
    return prefect_of()


@pytest.fixture(name="context")
def _context(tmp_path: Path, prefect: FakePrefect) -> Iterator[Context]:
    with collecting(tmp_path, prefect) as context:
        yield context


def polled(context: Context) -> WorkPools:
    """Poll once."""
    return poll(WorkPoolCollector(context.settings), context)


def shown(state: WorkPools) -> dict[str, float]:
    """Return what the collector shows of a state."""
    return samples(WorkPoolCollector.families, state)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("process", True),
        ("kubernetes", True),
        ("one-of-the-users-own", True),
        ("ecs:push", False),
        ("prefect:managed", False),
        ("prefect-agent", False),
        ("push", True),
    ],
)
def test_type_tells_whether_workers_are_needed(kind: str, *, expected: bool) -> None:
    """Pools that a cloud or agents serve need no worker; every other one does."""
    assert expected is needs_worker(kind)


def test_no_pools_are_no_samples(context: Context) -> None:
    """A server without pools is no failure."""
    state = polled(context)

    assert {} == shown(state)
    assert not state.truncated


def test_pool_without_a_status_shows_none(context: Context, prefect: FakePrefect) -> None:
    """Where Prefect names no status, none is made up."""
    prefect.pool_rows = [WorkPool("old", "prefect-agent")]

    assert not [name for name in shown(polled(context)) if "status" in name]


def test_status_that_is_not_known_is_other(context: Context, prefect: FakePrefect) -> None:
    """A status of a later Prefect shows as one more sample, which others do not have."""
    prefect.pool_rows = [
        WorkPool("new", "process", status="DRAINING"),
        WorkPool("usual", "process", status="READY"),
    ]
    found = shown(polled(context))
    name = 'prefect_work_pool_status{{status="{}",work_pool="{}"}}'

    assert [0.0, 0.0, 0.0, 1.0] == [
        found[name.format(status, "new")] for status in ("READY", "NOT_READY", "PAUSED", "other")
    ]
    assert name.format("other", "usual") not in found


def test_limit_of_zero_is_a_limit(context: Context, prefect: FakePrefect) -> None:
    """A pool that may run nothing shows 0, one without a limit shows nothing."""
    prefect.pool_rows = [
        WorkPool("shut", "process", concurrency_limit=0, active_slots=0),
        WorkPool("open", "process"),
    ]
    limits = {name: value for name, value in shown(polled(context)).items() if "limit" in name}

    assert {'prefect_work_pool_concurrency_limit{work_pool="shut"}': 0.0} == limits


def test_pools_beyond_the_limit_stand_together(tmp_path: Path, prefect: FakePrefect) -> None:
    """Under `other` limits and slots add up, and a flag is set if one has it; all are counted."""
    prefect.pool_rows = [
        WorkPool("a", "process", status="READY", concurrency_limit=1, active_slots=1),
        WorkPool("b", "kubernetes", status="READY", concurrency_limit=2, active_slots=1),
        WorkPool(
            "c", "ecs:push", is_paused=True, status="PAUSED", concurrency_limit=3, active_slots=3
        ),
    ]
    with collecting(tmp_path, prefect, MAX_WORK_POOLS="1") as context:
        state = polled(context)
    found = shown(state)

    assert 2 == state.folded
    assert {
        'prefect_work_pool_info{work_pool="a",work_pool_type="process"}': 1.0,
        'prefect_work_pool_info{work_pool="other",work_pool_type="other"}': 1.0,
    } == {name: value for name, value in found.items() if "info" in name}
    assert {
        "concurrency_limit": 5.0,
        "slots_used": 4.0,
        "paused": 1.0,
        "needs_worker": 1.0,
    } == {
        name: found[f'prefect_work_pool_{name}{{work_pool="other"}}']
        for name in ("concurrency_limit", "slots_used", "paused", "needs_worker")
    }
    assert [1.0, 0.0, 1.0] == [
        found[f'prefect_work_pool_status{{status="{status}",work_pool="other"}}']
        for status in ("READY", "NOT_READY", "PAUSED")
    ]


def test_places_of_pools_that_are_gone_are_free(tmp_path: Path, prefect: FakePrefect) -> None:
    """Short-lived pools do not crowd out later ones, nor those that were folded, for good."""
    places = []
    with collecting(tmp_path, prefect, MAX_WORK_POOLS="2") as context:
        for names in ("ab", "abcd", "bcd", "def", ""):
            prefect.pool_rows = [WorkPool(name, "process") for name in names]
            places.append("".join(at[0][0] for at, _ in polled(context).rows))
    with collecting(tmp_path, prefect, MAX_WORK_POOLS="2") as context:
        prefect.pool_rows = [WorkPool(name, "process") for name in "xy"]
        places.append("".join(at[0] for at, _ in polled(context).rows))

    assert ["ab", "aboo", "bco", "deo", "", "xy"] == places


@pytest.mark.parametrize(("names", "pages"), [("dea", "1"), ("dda", "3")])
def test_listing_that_is_not_whole_frees_no_place(tmp_path: Path, names: str, pages: str) -> None:
    """Pools behind the limit of pages, or behind one that came twice, may be there."""
    prefect = prefect_of(page_size=2, pool_rows=[WorkPool(name, "process") for name in "abc"])
    with collecting(tmp_path, prefect, MAX_WORK_POOLS="3", ACTIVE_PAGES="3") as context:
        polled(context)
    prefect.pool_rows = [WorkPool(name, "process") for name in names]
    with collecting(tmp_path, prefect, MAX_WORK_POOLS="3", ACTIVE_PAGES=pages) as context:
        polled(context)
        known = [context.store.ledger.names.shown("test", "work_pool", (name,)) for name in "abcd"]

    assert [("a",), ("b",), ("c",), ("other",)] == known


def test_pools_that_are_not_selected_are_left_out(tmp_path: Path, prefect: FakePrefect) -> None:
    """A pattern that denies a pool hides all of it."""
    prefect.pool_rows = [WorkPool("mine", "process"), WorkPool("theirs", "process")]
    with collecting(tmp_path, prefect, WORK_POOLS="!theirs") as context:
        found = shown(polled(context))

    assert found
    assert not [name for name in found if "theirs" in name]


def test_all_pages_are_read(tmp_path: Path) -> None:
    """More than a page of pools is listed whole, and each one is there once."""
    prefect = prefect_of(page_size=2)
    prefect.pool_rows = [WorkPool(f"p{number}", "process") for number in range(5)]
    with collecting(tmp_path, prefect) as context:
        state = polled(context)

    assert ["p0", "p1", "p2", "p3", "p4"] == [row.name for _, row in state.rows]
    assert not state.truncated


def test_limit_of_pages_is_told(tmp_path: Path) -> None:
    """Where there are more pools than may be read, that is said."""
    prefect = prefect_of(page_size=2)
    prefect.pool_rows = [WorkPool(f"p{number}", "process") for number in range(5)]
    with collecting(tmp_path, prefect, ACTIVE_PAGES="2") as context:
        state = polled(context)

    assert state.truncated
    assert 4 == len(state.rows)


def test_answer_of_a_real_server_is_read() -> None:
    """The names of fields are Prefect's own."""
    server = Scripted([answer([RECORDED])])

    async def ask() -> list[WorkPool]:
        async with server.client() as client:
            return list((await client.work_pools(20)).rows)

    expected = WorkPool(
        "k8s", "kubernetes", is_paused=False, status="READY", concurrency_limit=10, active_slots=2
    )

    assert [expected] == run_scripted(ask())
    assert ["work_pools/filter"] == server.paths
    assert [{"offset": 20, "limit": 200}] == server.bodies


@pytest.mark.parametrize("number", [10**400, -1, 0.5, "1"], ids=["huge", "below", "part", "text"])
def test_odd_number_is_no_answer(number: object) -> None:
    """What cannot be a number of slots never reaches a metric."""
    server = Scripted([answer([{**RECORDED, "active_slots": number}])])

    async def ask() -> None:
        async with server.client() as client:
            await client.work_pools()

    with pytest.raises(Malformed):
        run_scripted(ask())
