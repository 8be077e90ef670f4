"""Work queues: their state, and what is due in each."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from msgspec import structs

from fakes import FakePrefect, after_seconds
from prefect_exporter.collectors.base import Context
from prefect_exporter.collectors.work_queues import WorkQueueCollector, WorkQueues
from prefect_exporter.wire import FlowRun, WorkQueue
from scripted import Scripted, answer
from scripted import run as run_scripted
from worlds import collecting, poll, prefect_of, put, samples, waiting

RECORDED = {
    "id": "5f1c39ff-93a1-4d7c-a3c7-6a2ec8a3e5a0",
    "name": "fast",
    "description": "",
    "is_paused": False,
    "concurrency_limit": 4,
    "priority": 2,
    "work_pool_id": "42e781ff-1bab-4117-a3a7-457ffaec0f7f",
    "filter": None,
    "last_polled": "2026-11-21T12:00:30Z",
    "work_pool_name": "k8s",
    "status": "READY",
    "active_slots": 2,
}


def polled(context: Context) -> WorkQueues:
    """Poll once."""
    return poll(WorkQueueCollector(context.settings), context)


def backlog(state: WorkQueues) -> dict[str, float]:
    """Return the backlogs that a state shows."""
    shown = samples(WorkQueueCollector.families, state)
    return {name: value for name, value in shown.items() if "backlog" in name}


def name(pool: str, queue: str) -> str:
    """Return the name of the sample of a backlog."""
    return f'prefect_work_queue_backlog{{work_pool="{pool}",work_queue="{queue}"}}'


def due(number: int, seconds: float, pool: str | None, queue: str | None) -> FlowRun:
    """Return a flow run that is due so long after the fake's first moment."""
    return waiting(
        number,
        "SCHEDULED",
        "Scheduled",
        next_scheduled_start_time=after_seconds(seconds),
        work_pool_name=pool,
        work_queue_name=queue,
    )


def queues_of(*names: tuple[str, str], page_size: int = 200) -> FakePrefect:
    """Return a Prefect with these queues, each a pair of pool and queue."""
    prefect = prefect_of(page_size=page_size)
    prefect.queue_rows = [WorkQueue(queue, pool) for pool, queue in names]
    return prefect


def queue(name: str, polled: float, used: int, pool: str = "p") -> WorkQueue:
    """Return a queue with a limit of 4 that was polled so long after the fake's first moment."""
    return WorkQueue(
        name,
        pool,
        status="READY",
        priority=2,
        concurrency_limit=4,
        active_slots=used,
        last_polled=after_seconds(polled),
    )


def test_backlog_is_what_is_due(tmp_path: Path) -> None:
    """Runs that are due count in their own queue, those of the future and of no queue nowhere."""
    prefect = queues_of(("a", "default"), ("b", "default"), ("b", "empty"))
    put(
        prefect,
        due(1, -60, "a", "default"),
        due(2, 0, "a", "default"),
        due(3, 1, "a", "default"),
        due(4, -1, "b", "default"),
        due(5, -1, None, None),
        due(6, -1, "deleted", "default"),
        waiting(7, "RUNNING", "Running", work_pool_name="a", work_queue_name="default"),
    )
    with collecting(tmp_path, prefect) as context:
        state = polled(context)

    assert {name("a", "default"): 2.0, name("b", "default"): 1.0, name("b", "empty"): 0.0} == (
        backlog(state)
    )


def test_whole_poll_is_two_requests(tmp_path: Path) -> None:
    """However many queues there are, one list of queues and one of due runs are read."""
    prefect = queues_of(*((f"p{each}", "default") for each in range(50)))
    with collecting(tmp_path, prefect) as context:
        polled(context)

    assert ["work_queues/filter", "flow_runs/filter"] == prefect.asked


def test_backlog_that_was_not_counted_is_not_zero(tmp_path: Path) -> None:
    """Beyond the limit of pages a queue of which no run was read shows no backlog."""
    prefect = queues_of(("a", "full"), ("a", "unknown"), page_size=3)
    put(prefect, *(due(number, -60, "a", "full") for number in range(1, 10)))
    put(prefect, due(0, -1, "a", "unknown"))
    with collecting(tmp_path, prefect, ACTIVE_PAGES="2") as context:
        state = polled(context)

    assert state.truncated
    assert {name("a", "full"): 6.0} == backlog(state)


def test_no_queues_are_no_samples(tmp_path: Path) -> None:
    """A server without queues is no failure."""
    with collecting(tmp_path, prefect_of()) as context:
        assert {} == samples(WorkQueueCollector.families, polled(context))


def test_all_pages_are_read(tmp_path: Path) -> None:
    """More than a page of queues is listed whole, though they share their names."""
    names = [(f"p{each}", "default") for each in range(5)]
    with collecting(tmp_path, queues_of(*names, page_size=2)) as context:
        state = polled(context)

    assert names == [each.at for each in state.queues]
    assert not state.truncated


def test_limit_of_pages_is_told(tmp_path: Path) -> None:
    """Where there are more queues than may be read, that is said."""
    names = [(f"p{each}", "default") for each in range(5)]
    with collecting(tmp_path, queues_of(*names, page_size=2), ACTIVE_PAGES="2") as context:
        state = polled(context)

    assert state.truncated
    assert 4 == len(state.queues)


def test_shuffled_list_is_told(tmp_path: Path) -> None:
    """A queue that comes on two pages stands for another one that may be on none."""
    prefect = queues_of(("a", "default"), ("b", "default"), ("a", "default"), page_size=2)
    with collecting(tmp_path, prefect) as context:
        state = polled(context)

    assert (2, True) == (len(state.queues), state.truncated)


def test_queues_beyond_the_limit_stand_together(tmp_path: Path) -> None:
    """Under `other` backlogs, limits and slots add up, and the last poll of any is shown."""
    prefect = prefect_of(queue_rows=[WorkQueue("a", "p"), queue("b", 5, 1), queue("c", 4, 2)])
    prefect.queue_rows[1] = structs.replace(prefect.queue_rows[1], is_paused=True)
    put(prefect, due(1, -1, "p", "b"), due(2, -1, "p", "c"))
    with collecting(tmp_path, prefect, MAX_WORK_QUEUES="1") as context:
        state = polled(context)
    shown = samples(WorkQueueCollector.families, state)

    assert 2 == state.folded
    assert {
        "paused": 1.0,
        "priority": 2.0,
        "concurrency_limit": 8.0,
        "slots_used": 3.0,
        "last_polled_timestamp_seconds": after_seconds(5).timestamp(),
        "backlog": 2.0,
    } == {
        part: shown[f'prefect_work_queue_{part}{{work_pool="other",work_queue="other"}}']
        for part in (
            "paused",
            "priority",
            "concurrency_limit",
            "slots_used",
            "last_polled_timestamp_seconds",
            "backlog",
        )
    }


def test_selection_holds_for_queues_and_their_runs(tmp_path: Path) -> None:
    """Queues of other pools are hidden, and runs of other flows are in no backlog."""
    prefect = queues_of(("mine", "q"), ("theirs", "q"))
    prefect.flow_names[UUID(int=2)] = "secret"
    put(prefect, due(1, -1, "mine", "q"), due(2, -1, "theirs", "q"))
    put(prefect, structs.replace(due(3, -1, "mine", "q"), flow_id=UUID(int=2)))
    with collecting(tmp_path, prefect, WORK_POOLS="mine", FLOWS="!secret") as context:
        state = polled(context)

    assert {name("mine", "q"): 1.0} == backlog(state)


def test_answer_of_a_real_server_is_read() -> None:
    """The names of fields are Prefect's own."""
    server = Scripted([answer([RECORDED])])

    async def ask() -> list[WorkQueue]:
        async with server.client() as client:
            return list((await client.work_queues(20)).rows)

    assert [queue("fast", 30, 2, pool="k8s")] == run_scripted(ask())
    assert [{"offset": 20, "limit": 200}] == server.bodies
