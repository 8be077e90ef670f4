"""What the client asks, page by page."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import pytest

from prefect_exporter.answers import BODY_LIMIT, ROW_LIMIT
from prefect_exporter.api import EventFilter, Interval, Page, RunFilter
from prefect_exporter.client import PrefectClient
from prefect_exporter.errors import Malformed, Rejected
from prefect_exporter.feeds.events import ended
from prefect_exporter.wire import Event
from scripted import ROW, RUN_ID, Scripted, answer, raw, read_flow_runs, run

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


def test_deployments_come_in_small_pages_by_birth() -> None:
    """The caller's limit holds, since deployments are dear; a name would not part them all."""
    row = {"id": str(RUN_ID), "name": "nightly", "flow_id": str(RUN_ID)}
    server = Scripted([answer([row] * 10)])

    async def ask() -> bool:
        async with server.client() as client:
            return (await client.deployment_page(20, 10)).full

    assert run(ask())
    assert [{"sort": "CREATED_DESC", "offset": 20, "limit": 10}] == server.bodies


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


MIB = 2**20
COMPLETED = {"type": "COMPLETED", "name": "Completed"}
EVENT = {
    "occurred": "2026-11-21T12:00:00Z",
    "resource": {"prefect.resource.id": f"prefect.flow-run.{RUN_ID}"},
    "related": [],
    "payload": {"validated_state": COMPLETED},
}
DEEP: object = json.loads("[" * 500 + "]" * 500)


class Rows:
    """So many rows with so many bytes of parameters each, of which it gives as many as asked."""

    def __init__(self, many: int, row_bytes: int) -> None:
        self.many = many
        self.row_bytes = row_bytes
        self.limits: list[int] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        asked = json.loads(request.content)
        self.limits.append(asked["limit"])
        row = {**ROW, "parameters": {"x": "x" * self.row_bytes}}
        here = max(min(asked["limit"], self.many - asked.get("offset", 0)), 0)
        return raw(b"[" + b",".join([json.dumps(row).encode()] * here) + b"]")

    async def walk(self, client: PrefectClient, sort: str = "ID_DESC") -> int:
        """Read all rows, page by page, and return how many came."""
        seen = 0
        while True:
            page = await client.flow_runs(RunFilter(), sort, seen)
            seen += len(page.rows)
            if not page.full:
                return seen


def test_page_of_large_rows_is_asked_for_in_parts() -> None:
    """A page of too many bytes is halved until it fits, and every row comes."""
    rows = Rows(many=40, row_bytes=MIB)
    server = Scripted([rows])

    async def ask() -> int:
        async with server.client() as client:
            return await rows.walk(client)

    assert 40 == run(ask())
    assert [200, 100, 50, 25, 12, *[6] * 7] == rows.limits


def test_size_that_fits_is_asked_for_next_time() -> None:
    """Later polls ask no page twice, and rows in another order have a size of their own."""
    rows = Rows(many=20, row_bytes=MIB)
    server = Scripted([rows])

    async def ask() -> None:
        async with server.client() as client:
            await rows.walk(client)
            rows.limits.clear()
            await rows.walk(client)
            rows.many = 0
            await rows.walk(client, "START_TIME_DESC")

    run(ask())

    assert [6, 6, 6, 6, 200] == rows.limits


def test_page_grows_again_when_rows_are_small() -> None:
    """Full pages with room for twice as much double, up to the size that was meant."""
    rows = Rows(many=4, row_bytes=5 * MIB)
    server = Scripted([rows])

    async def ask() -> None:
        async with server.client(page_size=8) as client:
            await rows.walk(client)
            rows.limits.clear()
            rows.many, rows.row_bytes = 27, 10
            await rows.walk(client)

    run(ask())

    assert [1, 2, 4, 8, 8, 8] == rows.limits


def test_single_row_may_be_longer() -> None:
    """A row that is longer than a page may be is read alone."""
    rows = Rows(many=3, row_bytes=BODY_LIMIT + 1)
    server = Scripted([rows])

    async def ask() -> int:
        async with server.client(page_size=2) as client:
            return await rows.walk(client)

    assert 3 == run(ask())
    assert [2, 1, 1, 1, 1] == rows.limits


def test_row_without_end_is_malformed() -> None:
    """A row beyond every bound ends in an error that names the size."""
    rows = Rows(many=1, row_bytes=ROW_LIMIT + 1)
    server = Scripted([rows])

    with pytest.raises(Malformed, match=f"more than {ROW_LIMIT} bytes"):
        run(read_flow_runs(server, page_size=2))

    assert [2, 1] == rows.limits


def test_other_answers_have_the_bound_of_a_page() -> None:
    """What comes in no parts is malformed beyond the bound of a page, and asked once."""
    server = Scripted([raw(b" " * (BODY_LIMIT + 1))])

    async def ask() -> None:
        async with server.client() as client:
            await client.count_flow_runs(RunFilter())

    with pytest.raises(Malformed, match=f"more than {BODY_LIMIT} bytes"):
        run(ask())

    assert 1 == len(server.requests)


def test_large_rows_by_id_all_come() -> None:
    """Ids are asked for in parts too, beginning with as many as there are."""
    asked: list[int] = []

    def respond(request: httpx.Request) -> httpx.Response:
        ids = json.loads(request.content)["flows"]["id"]["any_"]
        asked.append(len(ids))
        return answer([{"id": key, "name": "etl", "x": "x" * 3 * MIB} for key in ids])

    server = Scripted([respond])

    async def ask() -> list[UUID]:
        async with server.client() as client:
            return [row.id for row in await client.flows([UUID(int=n) for n in range(5)])]

    assert [UUID(int=n) for n in range(5)] == run(ask())
    assert [5, 2, 2, 1] == asked


def test_large_events_are_asked_for_in_parts() -> None:
    """A page of events is halved like any other; its token goes on in pages of that size."""

    def respond(request: httpx.Request) -> httpx.Response:
        rows = [{**EVENT, "payload": {"x": "x" * MIB}}] * json.loads(request.content)["limit"]
        return answer({"events": rows, "next_page": "http://x/?page-token=t"})

    server = Scripted([respond])

    async def ask() -> Page[Event]:
        async with server.client() as client:
            return await client.events(EventFilter("prefect.flow-run.", Interval()))

    page = run(ask())

    assert (6, True) == (len(page.rows), page.full)
    assert [50, 25, 12, 6] == [body["limit"] for body in server.bodies]


def test_later_pages_of_events_may_be_longer() -> None:
    """The size of a page that a token names is not ours to choose."""
    rows = [{**EVENT, "payload": {"x": "x" * MIB}}] * 9
    server = Scripted([answer({"events": rows, "next_page": None})])

    async def ask() -> int:
        async with server.client() as client:
            return len((await client.more_events("t")).rows)

    assert 9 == run(ask())


@pytest.mark.parametrize(
    "odd",
    [
        {"payload": {"initial_state": "x"}},
        {"payload": {"validated_state": {"name": "Completed"}}},
        {"payload": {"validated_state": {"type": None}}},
        {"payload": []},
        {"payload": None},
        {"payload": 10**400},
        {"payload": {"initial_state": DEEP}},
        {"resource": {"prefect.resource.id": 7}},
        {"resource": ["x"]},
        {"related": {"x": "y"}},
        {"related": [{"prefect.resource.role": ["flow"]}]},
        *({name: ...} for name in ("payload", "resource", "related")),
    ],
    ids=lambda odd: str(odd)[:60],
)
def test_odd_event_hides_no_other(odd: dict[str, Any]) -> None:
    """Whatever a sender wrote into its event, it is no end, and the page with it is read."""
    rows = [{**EVENT, **odd}, EVENT]
    rows[0] = {name: value for name, value in rows[0].items() if value is not ...}
    server = Scripted([answer({"events": rows, "next_page": None})])

    async def ask() -> Page[Event]:
        async with server.client() as client:
            return await client.events(EventFilter("prefect.flow-run.", Interval()))

    first, second = run(ask()).rows

    assert NOON == first.occurred
    assert None is ended(first)
    end = ended(second)
    assert end is not None
    assert RUN_ID == end.run_id


@pytest.mark.parametrize("rows", [[{**EVENT, "occurred": "soon"}], [{}], ["x"], {}])
def test_page_of_no_events_is_malformed(rows: object) -> None:
    """What Prefect itself writes is still read strictly."""
    server = Scripted([answer({"events": rows, "next_page": None})])

    async def ask() -> None:
        async with server.client() as client:
            await client.events(EventFilter("prefect.flow-run.", Interval()))

    with pytest.raises(Malformed, match="events"):
        run(ask())


def test_events_hold_nothing_of_the_answer() -> None:
    """A page of events takes no memory for what they say besides."""
    rows = [{**EVENT, "payload": {"validated_state": COMPLETED, "x": "x" * MIB}}] * 5
    server = Scripted([answer({"events": rows, "next_page": None})])
    held: list[int] = []

    async def ask() -> Page[Event]:
        async with server.client() as client:
            tracemalloc.start()
            try:
                page = await client.events(EventFilter("prefect.flow-run.", Interval()))
                held.append(tracemalloc.get_traced_memory()[0])
            finally:
                tracemalloc.stop()
            return page

    assert 5 == len(run(ask()).rows)
    assert held[0] < MIB


def test_one_large_body_is_in_memory_at_a_time() -> None:
    """Large answers that come together are read one after the other, small ones beside them."""
    begun: list[int] = []
    go_on = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b" " * 2 * MIB
        begun.append(1)
        yield b" " * 2 * MIB
        await go_on.wait()
        yield b"7"

    def respond(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("version"):
            return answer("3.8.8")
        return httpx.Response(200, content=body())

    server = Scripted([respond])

    async def ask() -> tuple[int, list[int]]:
        async with server.client() as client:
            large = [asyncio.create_task(client.count_flow_runs(RunFilter())) for _ in range(3)]
            await asyncio.sleep(1)
            await client.version()
            together = len(begun)
            go_on.set()
            return together, await asyncio.gather(*large)

    assert (1, [7, 7, 7]) == run(ask())
