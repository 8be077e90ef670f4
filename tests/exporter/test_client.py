"""What the client asks, page by page."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from prefect_exporter.api import EventFilter, Interval, RunFilter
from prefect_exporter.errors import Rejected
from scripted import ROW, RUN_ID, Scripted, answer, read_flow_runs, run

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
ONE = datetime(2026, 11, 21, 13, tzinfo=UTC)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (RunFilter(), {}),
        (
            RunFilter(ended=Interval(NOON, ONE)),
            {"end_time": {"after_": "2026-11-21T12:00:00Z", "before_": "2026-11-21T13:00:00Z"}},
        ),
        (
            RunFilter(started=Interval(after=NOON)),
            {"start_time": {"after_": "2026-11-21T12:00:00Z", "is_null_": False}},
        ),
        (
            RunFilter(due=Interval(before=NOON)),
            {"next_scheduled_start_time": {"before_": "2026-11-21T12:00:00Z"}},
        ),
        (
            RunFilter(state_types=("SCHEDULED", "PENDING"), not_state_names=("Late",)),
            {
                "state": {
                    "type": {"any_": ["SCHEDULED", "PENDING"]},
                    "name": {"not_any_": ["Late"]},
                }
            },
        ),
        (RunFilter(ids=(RUN_ID,)), {"id": {"any_": [str(RUN_ID)]}}),
    ],
    ids=["all", "ended", "started", "due", "states", "ids"],
)
def test_flow_run_filter_is_prefects_json(where: RunFilter, expected: object) -> None:
    """Every condition of a filter becomes Prefect's own, for rows and counts alike."""
    server = Scripted([answer([]), answer(3)])

    async def ask() -> int:
        async with server.client() as client:
            await client.flow_runs(where, "END_TIME_DESC", 40)
            return await client.count_flow_runs(where)

    assert 3 == run(ask())
    assert ["flow_runs/filter", "flow_runs/count"] == server.paths
    assert [
        {"flow_runs": expected, "sort": "END_TIME_DESC", "offset": 40, "limit": 200},
        {"flow_runs": expected},
    ] == server.bodies


def test_placeholders_of_subflows_are_left_out_on_request() -> None:
    """Task runs without placeholders are those without a subflow."""
    server = Scripted([answer([]), answer(0)])
    where = RunFilter(placeholders=False)

    async def ask() -> None:
        async with server.client() as client:
            await client.task_runs(where, "END_TIME_DESC")
            await client.count_task_runs(where)

    run(ask())

    assert ["task_runs/filter", "task_runs/count"] == server.paths
    assert [{"subflow_runs": {"exists_": False}}] * 2 == [
        body["task_runs"] for body in server.bodies
    ]


def test_page_is_full_when_it_has_as_many_rows_as_were_asked() -> None:
    """A short page is the last one."""
    server = Scripted([answer([ROW] * 3), answer([ROW] * 2)])

    async def ask() -> list[bool]:
        async with server.client(page_size=3) as client:
            return [(await client.flow_runs(RunFilter(), "ID_DESC")).full for _ in range(2)]

    assert [True, False] == run(ask())


def test_lower_limit_of_the_server_is_kept() -> None:
    """A 422 that names a limit is asked again with it, once and for all later pages."""
    problem = {"detail": "Invalid limit: must be less than or equal to 2."}
    server = Scripted([answer(problem, 422), answer([ROW] * 2), answer([ROW])])

    async def ask() -> list[bool]:
        async with server.client() as client:
            return [(await client.flow_runs(RunFilter(), "ID_DESC")).full for _ in range(2)]

    assert [True, False] == run(ask())
    assert [200, 2, 2] == [body["limit"] for body in server.bodies]


def test_limit_in_the_words_of_fastapi_is_understood() -> None:
    """The same limit told by FastAPI's validation works too."""
    problem = {
        "exception_detail": [
            {"loc": ["body", "limit"], "msg": "Input should be less than or equal to 50"}
        ],
        "request_body": {"limit": 200},
    }
    server = Scripted([answer(problem, 422), answer([])])

    run(read_flow_runs(server))

    assert [200, 50] == [body["limit"] for body in server.bodies]


@pytest.mark.parametrize("allowed", [0, 200, 500], ids=["none", "same", "more"])
def test_limit_that_is_no_lower_is_an_error(allowed: int) -> None:
    """A 422 that makes no sense is not followed."""
    problem = {"detail": f"Invalid limit: must be less than or equal to {allowed}."}
    server = Scripted([answer(problem, 422)])

    with pytest.raises(Rejected) as caught:
        run(read_flow_runs(server))

    assert ("unprocessable", 1) == (caught.value.kind, len(server.requests))


def test_all_ids_are_asked_though_the_page_shrinks() -> None:
    """Ids beyond a page, or beyond a limit found on the way, go into further requests."""
    problem = {"detail": "Invalid limit: must be less than or equal to 2."}
    flow = {"id": str(RUN_ID), "name": "etl"}
    server = Scripted(
        [answer(problem, 422), answer([flow] * 2), answer([flow] * 2), answer([flow])]
    )
    ids = [UUID(int=number) for number in range(5)]

    async def ask() -> int:
        async with server.client(page_size=4) as client:
            return len(await client.flows(ids))

    assert 5 == run(ask())
    asked = [body["flows"]["id"]["any_"] for body in server.bodies]
    assert [4, 2, 2, 1] == [len(part) for part in asked]
    assert [str(identity) for identity in ids] == asked[1] + asked[2] + asked[3]


def test_no_ids_ask_nothing() -> None:
    """An empty list of ids costs no request."""
    server = Scripted([answer([])])

    async def ask() -> int:
        async with server.client() as client:
            return len(await client.deployments([]))

    assert 0 == run(ask())
    assert [] == server.requests


def test_deployments_come_in_small_pages_by_name() -> None:
    """The caller's limit holds, since deployments are dear."""
    row = {"id": str(RUN_ID), "name": "nightly", "flow_id": str(RUN_ID)}
    server = Scripted([answer([row] * 10)])

    async def ask() -> bool:
        async with server.client() as client:
            return (await client.deployment_page(20, 10)).full

    assert run(ask())
    assert [{"sort": "NAME_ASC", "offset": 20, "limit": 10}] == server.bodies


def test_events_are_asked_oldest_first_and_paged_by_token() -> None:
    """The host that Prefect names in ``next_page`` is never asked, only its token is taken."""
    next_page = "http://inside:4200/api/events/filter/next?page-token=YS9+K2I%3D"
    server = Scripted(
        [
            answer({"events": [], "next_page": next_page}),
            answer({"events": [], "next_page": None}),
        ]
    )
    where = EventFilter("prefect.flow-run.", Interval(NOON, ONE), ("prefect.flow-run.Running",))

    async def ask() -> tuple[bool, str | None]:
        async with server.client() as client:
            first = await client.events(where)
            last = await client.more_events(first.token or "")
            return last.full, last.token

    assert (False, None) == run(ask())
    assert [
        {
            "limit": 50,
            "filter": {
                "occurred": {"since": "2026-11-21T12:00:00Z", "until": "2026-11-21T13:00:00Z"},
                "event": {
                    "prefix": ["prefect.flow-run."],
                    "exclude_name": ["prefect.flow-run.Running"],
                },
                "order": "ASC",
            },
        }
    ] == server.bodies
    assert "http://prefect.test/api/events/filter/next?page-token=YS9%2BK2I%3D" == str(
        server.requests[1].url
    )


@pytest.mark.parametrize(("status", "expected"), [(200, True), (503, False)], ids=["up", "down"])
def test_ready_tells_whether_the_database_answers(status: int, expected: object) -> None:
    """A 503 of ``/ready`` is an answer and no failure."""
    server = Scripted([lambda _: answer({"message": "OK"}, status)])

    async def ask() -> bool:
        async with server.client() as client:
            return await client.ready()

    assert expected is run(ask())


def test_ready_raises_where_nobody_can_tell() -> None:
    """Any other status is a failure: it says nothing of the database."""
    server = Scripted([answer({}, 404)])

    async def ask() -> None:
        async with server.client() as client:
            await client.ready()

    with pytest.raises(Rejected, match="404"):
        run(ask())
