"""What the client asks of work pools, queues, workers, limits, automations and event counts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from prefect_exporter.api import EventFilter, Interval, Page, RunFilter
from prefect_exporter.client import PrefectClient
from prefect_exporter.wire import (
    Automation,
    ConcurrencyLimit,
    TagLimit,
    ToldLog,
    Worker,
    WorkPool,
    WorkQueue,
)
from scripted import ROW, Scripted, answer, run

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
ONE = datetime(2026, 11, 21, 13, tzinfo=UTC)
ID = UUID(int=7)
# Each with a field that we do not read, as Prefect sends many.
ROWS: dict[str, tuple[dict[str, Any], object]] = {
    "work_pools/filter": (
        {"name": "k8s", "type": "kubernetes", "active_slots": 2, "base_job_template": {"a": [1]}},
        WorkPool("k8s", "kubernetes", active_slots=2),
    ),
    "work_queues/filter": (
        {"name": "q", "work_pool_name": None, "last_polled": "2026-11-21T12:00:00Z", "filter": 1},
        WorkQueue("q", last_polled=NOON),
    ),
    "v2/concurrency_limits/filter": (
        {"name": "tag:db", "limit": 3, "active_slots": 1.5, "slot_decay_per_second": 0.1},
        ConcurrencyLimit("tag:db", 3, 1.5),
    ),
    "concurrency_limits/filter": (
        {"tag": "db", "concurrency_limit": 3, "active_slots": [str(ID)], "created": None},
        TagLimit("db", 3, [ID]),
    ),
    "automations/filter": (
        {"id": str(ID), "name": "tell", "enabled": False, "trigger": {}},
        Automation(ID, "tell", enabled=False),
    ),
}
ASK: dict[str, Callable[[PrefectClient], Awaitable[Page[Any]]]] = {
    "work_pools/filter": lambda client: client.work_pools(20),
    "work_queues/filter": lambda client: client.work_queues(20),
    "v2/concurrency_limits/filter": lambda client: client.concurrency_limits(20),
    "concurrency_limits/filter": lambda client: client.tag_limits(20),
    "automations/filter": lambda client: client.automations(20),
}


def asked(server: Scripted, ask: Callable[[PrefectClient], Awaitable[Any]], **changes: Any) -> Any:  # noqa: ANN401 - any answer
    """Return what one question to *server* gave."""

    async def work() -> Any:  # noqa: ANN401 - as above
        async with server.client(**changes) as client:
            return await ask(client)

    return run(work())


@pytest.mark.parametrize("route", ROWS)
def test_page_is_asked_and_read(route: str) -> None:
    """Each list is asked for by offset and limit, and its rows keep the fields that we show."""
    row, expected = ROWS[route]
    server = Scripted([answer([row])])

    page = asked(server, ASK[route], page_size=50)

    assert ([expected], False, [route]) == (page.rows, page.full, server.paths)
    assert {"offset": 20, "limit": 50}.items() <= server.bodies[0].items()


def test_workers_are_asked_of_their_pool() -> None:
    """Workers come from the route of their pool."""
    row = {"name": "w1", "status": "ONLINE", "last_heartbeat_time": "2026-11-21T12:00:00Z"}
    server = Scripted([answer([row])])

    page = asked(server, lambda client: client.workers("k8s", 3))

    assert ([Worker("w1", "ONLINE", NOON)], ["work_pools/k8s/workers/filter"]) == (
        page.rows,
        server.paths,
    )
    assert {"offset": 3, "limit": 200} == server.bodies[0]


def test_limit_of_a_tag_is_asked_by_its_name() -> None:
    """One tag's limit comes from the route of that tag, whatever the tag is called."""
    row = {"tag": "a/b", "concurrency_limit": 1, "active_slots": [str(ID)]}
    server = Scripted([answer(row)])

    assert TagLimit("a/b", 1, [ID]) == asked(server, lambda client: client.tag_limit("a/b"))
    assert b"/api/concurrency_limits/tag/a%2Fb" == server.requests[0].url.raw_path


@pytest.mark.parametrize("name", ["..", ".", "a/../b", "a b", "a%2fb", "é\n", "?x=1#y"])
def test_name_of_a_pool_cannot_leave_its_place(name: str) -> None:
    """Whatever a pool is called, the request goes to the route of that pool."""
    server = Scripted([answer([])])

    asked(server, lambda client: client.workers(name))

    (request,) = server.requests
    path = request.url.raw_path.decode()
    assert path.startswith("/api/work_pools/")
    assert path.endswith("/workers/filter")
    assert 5 == path.count("/")
    assert f"/api/work_pools/{name}/workers/filter" == request.url.path
    assert b"" == request.url.query


def test_route_of_an_exchange_holds_no_name() -> None:
    """The name of a pool is in no metric of requests."""
    server = Scripted([answer([])])

    asked(server, lambda client: client.workers("secret-pool"))

    assert ["work_pools/workers/filter"] == [exchange.route for exchange in server.exchanges]


def test_events_are_counted_by_name() -> None:
    """One request gives the count of each name within the bounds of time."""
    rows = [
        {"value": "prefect.flow-run.Completed", "label": "x", "count": 3},
        {"value": "custom", "count": 1},
    ]
    server = Scripted([answer(rows)])
    where = EventFilter("", Interval(NOON, ONE))

    counts = asked(server, lambda client: client.count_events(where))

    assert {"prefect.flow-run.Completed": 3, "custom": 1} == counts
    assert ["events/count-by/event"] == server.paths
    (body,) = server.bodies
    assert {"since": "2026-11-21T12:00:00Z", "until": "2026-11-21T13:00:00Z"} == body["filter"][
        "occurred"
    ]
    assert "event" not in body["filter"]


def test_runs_of_deployments_are_asked() -> None:
    """Flow runs can be asked for by their deployments."""
    server = Scripted([answer([ROW])])

    asked(server, lambda client: client.flow_runs(RunFilter(deployment_ids=(ID,)), "ID_DESC"))

    assert {"deployment_id": {"any_": [str(ID)]}} == server.bodies[0]["flow_runs"]


def test_task_runs_of_flow_runs_are_counted() -> None:
    """Task runs can be asked for by what is true of their flow run."""
    server = Scripted([answer(3)])
    where = RunFilter(state_types=("RUNNING",), of=RunFilter(state_types=("FAILED",)))

    assert 3 == asked(server, lambda client: client.count_task_runs(where))
    assert {
        "task_runs": {"state": {"type": {"any_": ["RUNNING"]}}},
        "flow_runs": {"state": {"type": {"any_": ["FAILED"]}}},
    } == server.bodies[0]


def test_newest_events_of_a_resource_are_asked() -> None:
    """Events can be asked for by resource, the newest first."""
    server = Scripted([answer({"events": [], "next_page": None})])
    where = EventFilter("a.", Interval(NOON), resources=("b.1",), newest_first=True)

    asked(server, lambda client: client.events(where))

    assert {
        "occurred": {"since": "2026-11-21T12:00:00Z"},
        "order": "DESC",
        "event": {"prefix": ["a."]},
        "resource": {"id": ["b.1"]},
    } == server.bodies[0]["filter"]


def test_log_lines_of_runs_are_asked() -> None:
    """Those of some level and above, of several runs at once, the newest first."""
    row = {
        "name": "prefect.flow_runs",
        "level": 40,
        "message": "Traceback",
        "timestamp": "2026-11-21T12:00:00Z",
        "flow_run_id": str(ID),
        "task_run_id": None,
        "created": None,
    }
    server = Scripted([answer([row])])

    page = asked(server, lambda client: client.logs([ID], offset=3), page_size=50)

    assert [ToldLog("prefect.flow_runs", 40, "Traceback", NOON, ID)] == page.rows
    assert ["logs/filter"] == server.paths
    assert {
        "logs": {"flow_run_id": {"any_": [str(ID)]}, "level": {"ge_": 40}},
        "sort": "TIMESTAMP_DESC",
        "offset": 3,
        "limit": 50,
    } == server.bodies[0]


def test_records_of_runs_have_what_their_states_say() -> None:
    """A page of flow runs, with names and messages."""
    row = {
        "id": str(ID),
        "flow_id": str(ID),
        "name": "keen-owl",
        "run_count": 1,
        "total_run_time": 2.0,
        "state": {
            "type": "FAILED",
            "name": "Failed",
            "timestamp": "2026-11-21T12:00:00Z",
            "message": "no such table",
        },
    }
    server = Scripted([answer([row])])
    where = RunFilter(state_types=("FAILED",))

    page = asked(server, lambda client: client.flow_run_records(where, "END_TIME_DESC"))

    assert [("keen-owl", "no such table")] == [
        (each.name, each.state.message) for each in page.rows
    ]
    assert {"state": {"type": {"any_": ["FAILED"]}}} == server.bodies[0]["flow_runs"]
