"""A planted server that is read by a report, with whatever may happen to its requests."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import httpx

from fakes import Crash
from prefect_exporter.client import PrefectClient
from prefect_exporter.exchanges import Exchange
from prefect_exporter.moments import DAY, micros
from prefect_exporter.report.progress import Silent
from prefect_exporter.report.question import Period, Question
from prefect_exporter.report.reading.pieces import Limits, Source
from prefect_exporter.report.reading.reader import read
from prefect_exporter.report.store import Store
from prefect_exporter.transport import Connection
from prefect_exporter.ui_links import ui_links
from report.world import World

DAYS = 86_400.0
_TRACEBACK = """Encountered exception during execution: ValueError('{1}')
Traceback (most recent call last):
  File "/srv/flows/etl.py", line 7, in {0}
    raise ValueError("{1}")
ValueError: {1}
"""
TABLES = ("objects", "flow_runs", "task_runs", "logs")


@dataclass(frozen=True, slots=True)
class Planted:
    """What was planted, by ids.

    Args:
        tagged: Carry a tag by one of its three ways.
        unlike: Failed with one message and two tracebacks.
        alike: Failed with one message and one traceback.
    """

    ended: frozenset[UUID]
    before: frozenset[UUID]
    unended: frozenset[UUID]
    tasks: frozenset[UUID]
    tagged: frozenset[UUID]
    of_first_flow: frozenset[UUID]
    unlike: frozenset[UUID]
    alike: frozenset[UUID]


def plant(world: World) -> Planted:
    """Plant 200 runs of four flows in two weeks, many of one time, with tasks, logs, subflows."""
    draw = random.Random(7)
    world.pool("pool")
    world.worker("pool", "worker")
    world.tag_limit("db", 3)
    flows = [world.flow(f"flow-{each}", ["gold"] if each == 3 else []) for each in range(4)]
    deployments = [world.deployment(each, "nightly", pool="pool") for each in flows]
    tagged_deployment = world.deployment(flows[2], "gilded", tags=["gold"], pool="pool")
    ended, before, unended, tasks, tagged, first = (set[UUID]() for _ in range(6))
    for number in range(200):
        which = number % 4
        # A third of them end at one time, as those of one midnight do.
        ago = 2 * DAYS if number % 3 == 0 else draw.uniform(600, 13.9 * DAYS)
        failed, by_run = number % 7 == 0, number % 11 == 0
        gilded = which == 2 and number % 8 == 2
        run = world.run(
            flows[which],
            tagged_deployment if gilded else deployments[which],
            ended_ago=ago,
            state="Failed" if failed else "Completed",
            message=f"no row {number}" if failed else "",
            tags=["gold"] if by_run else [],
        )
        (ended if ago < 7 * DAYS else before).add(run)
        if gilded or by_run or which == 3:
            tagged.add(run)
        if which == 0:
            first.add(run)
        if ago < 7 * DAYS:
            tasks |= {world.task(run, f"task-{each}") for each in range(number % 4)}
        if failed:
            world.log(run, f"Encountered exception during execution: ValueError({number})", ago=ago)
        if number % 25 == 0:
            child = world.run(flows[1], ended_ago=ago, parent=run)
            (ended if ago < 7 * DAYS else before).add(child)
    for state in ("Running", "Late", "AwaitingConcurrencySlot", "Pending"):
        unended.add(world.run(flows[1], deployments[1], ended_ago=300.0, state=state))
    world.run(flows[1], ended_ago=20 * DAYS)
    unlike, alike = (
        _failures(world, flows[1], name, kinds) for name, kinds in (("a", 2), ("b", 1))
    )
    ended |= unlike | alike
    return Planted(*map(frozenset, (ended, before, unended, tasks, tagged, first, unlike, alike)))


def _failures(world: World, flow: UUID, name: str, kinds: int) -> set[UUID]:
    """Plant 30 failures with one message, and so many tracebacks by turns."""
    message = f"Flow run encountered an exception: ValueError: {name}"
    found = set()
    for number in range(30):
        ago = DAYS + 60.0 * number
        run = world.run(flow, ended_ago=ago, state="Failed", message=message)
        world.log(run, _TRACEBACK.format(f"load_{name}_{number % kinds}", name), ago=ago)
        found.add(run)
    return found


def question(api_url: str, world: World, **fields: object) -> Question:
    """Return the question for the last week before what was planted."""
    now_us = micros(world.now)
    period = Period(now_us - 7 * DAY, now_us)
    made = {"compare": True} | fields
    return Question("default", api_url, ui_links(api_url), period, now_us, **made)  # type: ignore[arg-type]  # the question's own fields


@dataclass(slots=True)
class Passing(httpx.AsyncBaseTransport):
    """Passes requests on to the server, and remembers its answers.

    Args:
        crash_after: So many requests are answered, and the next one ends everything.
        answer: Is asked first; None passes the request on.
    """

    crash_after: int | None = None
    answer: Callable[[httpx.Request], httpx.Response | None] = lambda _request: None
    known: dict[tuple[str, bytes], tuple[int, bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        await asyncio.sleep(0)
        if self.crash_after is not None and len(self.asked) >= self.crash_after:
            raise Crash
        self.asked.append(request.url.path)
        if given := self.answer(request):
            return given
        key = (str(request.url), request.content)
        if key not in self.known:
            told = await _passed_on(request)
            self.known[key] = (told.status_code, told.content)
        return answered(*self.known[key])


async def _passed_on(request: httpx.Request) -> httpx.Response:
    """Ask the server, and again where it says that its SQLite database is locked."""
    async with httpx.AsyncClient(timeout=30.0, trust_env=False) as client:
        while True:
            told = await client.request(request.method, request.url, content=request.content)
            if told.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return told
            await asyncio.sleep(0.1)


def answered(status: int, body: bytes) -> httpx.Response:
    """Return an answer whose body is read piece by piece, as from the network."""
    return httpx.Response(status, stream=_Body(body))


class _Body(httpx.AsyncByteStream):
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204  # an iterator of bytes
        yield self._body


def read_all(
    store: Store,
    asked: Question,
    transport: httpx.AsyncBaseTransport | None = None,
    *,
    limits: Limits = Limits(),  # noqa: B008  # frozen
    page_size: int = 200,
) -> int:
    """Read into a store, and return how many requests that took."""
    exchanges: list[Exchange] = []

    async def work() -> None:
        connection = Connection(
            url=asked.api_url,
            api_key=None,
            auth_string=None,
            headers={},
            ca_file=None,
            verify=True,
            request_timeout_seconds=30,
            attempts=1,
            requests_per_minute=None,
            page_size=page_size,
        )
        client = PrefectClient(connection, observe=exchanges.append, transport=transport)
        async with client:
            await read(Source(client, store, asked, limits), lambda: len(exchanges), Silent())

    asyncio.run(work())
    return len(exchanges)


def content(store: Store | Path) -> dict[str, list[tuple[object, ...]]]:
    """Return all that a store holds of the workspace."""
    if isinstance(store, Path):
        with Store(store) as opened:
            return content(opened)
    return {
        table: sorted(store.database.execute(f"SELECT * FROM {table}"))  # noqa: S608  # ours
        for table in TABLES
    }


def ids(store: Store, table: str = "flow_runs", where: str = "1") -> set[UUID]:
    """Return the ids of a table's rows."""
    query = f"SELECT id FROM {table} WHERE {where}"  # noqa: S608  # ours
    return {UUID(bytes=key) for (key,) in store.database.execute(query)}
