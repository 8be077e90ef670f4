"""Workers: counted for each pool, also where there are none, and forgotten after a day."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes import FakePrefect, after_seconds
from prefect_exporter.collectors.base import Context
from prefect_exporter.collectors.workers import WorkerCollector, Workers
from prefect_exporter.errors import Rejected
from prefect_exporter.moments import DAY, SECOND
from prefect_exporter.wire import Worker, WorkPool
from scripted import Scripted, answer
from scripted import run as run_scripted
from worlds import collecting, poll, prefect_of, samples

HEARTBEAT = "prefect_worker_last_heartbeat_timestamp_seconds"
RECORDED = {
    "id": "a388f16c-08f5-4ea9-a34c-6ff3f6a51251",
    "created": "2026-11-21T17:35:42.905157Z",
    "updated": "2026-11-21T17:35:42.905174Z",
    "name": "w2",
    "work_pool_id": "42e781ff-1bab-4117-a3a7-457ffaec0f7f",
    "last_heartbeat_time": "2026-11-21T12:00:30Z",
    "heartbeat_interval_seconds": 30,
    "status": "ONLINE",
}


def polled(context: Context) -> Workers:
    """Poll once."""
    return poll(WorkerCollector(context.settings), context)


def shown(state: Workers) -> dict[str, float]:
    """Return what the collector shows of a state."""
    return samples(WorkerCollector.families, state)


def pool_of(*workers: Worker, page_size: int = 200) -> FakePrefect:
    """Return a Prefect with one pool and these workers, the last heard first."""
    prefect = prefect_of(page_size=page_size)
    prefect.pool_rows = [WorkPool("k8s", "kubernetes")]
    prefect.worker_rows = {"k8s": list(workers)}
    return prefect


def number(status: str, pool: str = "k8s") -> str:
    """Return the name of the sample of workers in a status."""
    return f'prefect_workers{{status="{status}",work_pool="{pool}"}}'


def test_pool_without_workers_has_none(tmp_path: Path) -> None:
    """A pool without workers shows 0 for each status, so that an alert can see it."""
    with collecting(tmp_path, pool_of()) as context:
        assert {number("ONLINE"): 0.0, number("OFFLINE"): 0.0} == shown(polled(context))


def test_no_pools_are_no_samples(tmp_path: Path) -> None:
    """A server without pools is no failure."""
    with collecting(tmp_path, prefect_of()) as context:
        assert {} == shown(polled(context))


def test_status_that_is_not_known_is_other(tmp_path: Path) -> None:
    """No worker is lost for a status of a later Prefect."""
    with collecting(tmp_path, pool_of(Worker("w", "DRAINING", after_seconds(0)))) as context:
        found = shown(polled(context))

    assert [0.0, 0.0, 1.0] == [found[number(each)] for each in ("ONLINE", "OFFLINE", "other")]


def test_worker_is_forgotten_after_a_day(tmp_path: Path) -> None:
    """A worker that was not heard of for more than a day is neither counted nor shown."""
    prefect = pool_of(Worker("w", "OFFLINE", after_seconds(0)), Worker("never", "OFFLINE"))
    with collecting(tmp_path, prefect) as context:
        prefect.now_us += DAY
        before = shown(polled(context))
        prefect.now_us += SECOND
        after = shown(polled(context))

    assert (1.0, 0.0) == (before[number("OFFLINE")], after[number("OFFLINE")])
    assert f'{HEARTBEAT}{{work_pool="k8s",worker="w"}}' in before
    assert not [name for name in after if name.startswith(HEARTBEAT)]


def test_pages_of_the_forgotten_are_not_read(tmp_path: Path) -> None:
    """The dead of years past cost no request: the newest come first, and the rest is left."""
    dead = [Worker(f"dead-{each}", "OFFLINE", after_seconds(-2 * 86_400)) for each in range(50)]
    prefect = pool_of(Worker("w", "ONLINE", after_seconds(0)), *dead, page_size=2)
    with collecting(tmp_path, prefect) as context:
        state = polled(context)

    assert 1 == prefect.asked.count("work_pools/workers/filter")
    assert not state.truncated


def test_newest_heartbeats_are_shown(tmp_path: Path) -> None:
    """Beyond the limit the last heard have series, all are counted, and the rest is told."""
    rows = [Worker(f"pod-{each}", "ONLINE", after_seconds(-each)) for each in range(7)]
    prefect = pool_of(*rows, page_size=2)
    with collecting(tmp_path, prefect, MAX_WORKERS="3") as context:
        state = polled(context)
        known = context.store.ledger.names.shown("test", "worker", ("k8s", "pod-0"))
    found = shown(state)

    assert 7.0 == found[number("ONLINE")]
    assert 4 == state.folded
    assert known is None
    assert {f'{HEARTBEAT}{{work_pool="k8s",worker="pod-{each}"}}' for each in range(3)} == {
        name for name in found if name.startswith(HEARTBEAT)
    }


def test_limit_of_pages_is_told(tmp_path: Path) -> None:
    """Where a pool has more workers than may be read, that is said."""
    rows = [Worker(f"pod-{each}", "ONLINE", after_seconds(-each)) for each in range(7)]
    with collecting(tmp_path, pool_of(*rows, page_size=2), ACTIVE_PAGES="2") as context:
        state = polled(context)

    assert state.truncated
    assert 4.0 == shown(state)[number("ONLINE")]


def failing(prefect: FakePrefect, status: int, times: int) -> None:
    """Reject so many of the next questions for workers."""
    left = [times]

    def fail(route: str) -> None:
        if route == "work_pools/workers/filter" and left[0]:
            left[0] -= 1
            raise Rejected(route, "no", status=status)

    prefect.fail = fail


def test_pool_that_was_deleted_in_between_is_left_out(tmp_path: Path) -> None:
    """A pool that is gone when its workers are asked for has no samples; the others have."""
    prefect = prefect_of(pool_rows=[WorkPool("gone", "process"), WorkPool("here", "process")])
    failing(prefect, 404, times=1)
    with collecting(tmp_path, prefect) as context:
        found = shown(polled(context))

    assert {number("ONLINE", "here"), number("OFFLINE", "here")} == set(found)


def test_other_rejections_fail_the_poll(tmp_path: Path) -> None:
    """What is no answer is no zero."""
    prefect = pool_of()
    failing(prefect, 403, times=1)
    with collecting(tmp_path, prefect) as context, pytest.raises(Rejected):
        polled(context)


def test_limit_of_pools_bounds_the_requests(tmp_path: Path) -> None:
    """Pools without a place of their own are not asked, and are told as folded."""
    prefect = prefect_of(pool_rows=[WorkPool(f"p{each}", "process") for each in range(9)])
    with collecting(tmp_path, prefect, MAX_WORK_POOLS="2") as context:
        state = polled(context)
        asked = prefect.asked.count("work_pools/workers/filter")

    assert (2, 7) == (asked, state.folded)
    assert not [name for name in shown(state) if "other" in name]


def test_pool_gets_the_place_of_one_that_is_gone(tmp_path: Path) -> None:
    """The workers of a pool that was folded are asked for once there is room."""
    prefect = prefect_of(pool_rows=[WorkPool("old", "process"), WorkPool("new", "process")])
    with collecting(tmp_path, prefect, MAX_WORK_POOLS="1") as context:
        before = polled(context)
        del prefect.pool_rows[0]
        after = polled(context)

    assert [{("old",)}, {("new",)}] == [set(each.pools) for each in (before, after)]


def test_pools_that_are_not_selected_are_not_asked(tmp_path: Path) -> None:
    """A pattern that denies a pool saves its request."""
    prefect = prefect_of(pool_rows=[WorkPool("mine", "process"), WorkPool("theirs", "process")])
    with collecting(tmp_path, prefect, WORK_POOLS="mine") as context:
        found = shown(polled(context))

    assert {number("ONLINE", "mine"), number("OFFLINE", "mine")} == set(found)
    assert 1 == prefect.asked.count("work_pools/workers/filter")


def test_answer_of_a_real_server_is_read() -> None:
    """The names of fields are Prefect's own, and any name of a pool makes one part of a path."""
    server = Scripted([answer([RECORDED])])

    async def ask() -> list[Worker]:
        async with server.client() as client:
            return list((await client.workers("a b?/c")).rows)

    assert [Worker("w2", "ONLINE", after_seconds(30))] == run_scripted(ask())
    assert [b"/api/work_pools/a%20b%3F%2Fc/workers/filter"] == [
        request.url.raw_path for request in server.requests
    ]
