"""The fleet's simulated Prefects answer the exporter's own client; its traces are whole."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

import httpx
import pytest
from rich.console import Console

from bench.day_runs import FLOWS
from bench.fleet import Fleet, FleetPlan, ShardCost
from bench.fleet_prefect import EvenPace, create_app
from bench.fleet_report import fleet_tables
from bench.fleet_traces import SPANS_PER_RUN, Traces
from prefect_exporter.api import EventFilter, Interval, RunFilter
from prefect_exporter.client import PrefectClient
from prefect_exporter.feeds.events import PREFIX
from scripted import CONNECTION

T = TypeVar("T")

# One flow run ends each second.
A_DAY = 86_400
DEPLOYMENTS = 30
MINUTE = timedelta(minutes=1)
NOW_NS = 1_800_000_000_000_000_000


def asked(question: Callable[[PrefectClient], Awaitable[T]], *, workspace: int = 0) -> T:
    """Return what the exporter's client is answered by one of two workspaces."""

    async def ask() -> T:
        app = create_app(workspaces=2, deployments=DEPLOYMENTS, flow_runs=A_DAY)
        client = PrefectClient(
            replace(CONNECTION, url=f"http://prefect/{workspace}/api"),
            observe=lambda _exchange: None,
            transport=httpx.ASGITransport(app),
        )
        async with client:
            return await question(client)

    return asyncio.run(ask())


def last_minutes(number: int) -> Interval:
    """Return whole minutes that are over for long enough that nothing of them is late."""
    until = datetime.now(UTC).replace(second=0, microsecond=0) - 10 * MINUTE
    return Interval(until - number * MINUTE, until - timedelta(microseconds=1))


def test_as_many_runs_end_in_each_minute() -> None:
    """The minutes of a day are even, and add up to the runs of a day."""
    pace = EvenPace(flow_runs=10_000)
    ends = [pace.ended_by(minute + 1) - pace.ended_by(minute) for minute in range(1440)]

    assert 10_000 == sum(ends)
    assert {6, 7} == set(ends)


@pytest.mark.parametrize("tasks", [False, True], ids=["flow runs", "task runs"])
def test_counts_and_pages_tell_of_the_same_runs(tasks: bool) -> None:  # noqa: FBT001  # a case
    """All pages of an interval together are as many rows as its count, and each row is in it."""
    ended = last_minutes(2)
    where = RunFilter(ended=ended)

    async def both(client: PrefectClient) -> tuple[int, list[datetime | None]]:
        count = client.count_task_runs if tasks else client.count_flow_runs
        ends: list[datetime | None] = []
        for offset in range(0, 1000, 200):
            if tasks:
                ends += [row.end_time for row in (await client.task_runs(where, "", offset)).rows]
            else:
                ends += [row.end_time for row in (await client.flow_runs(where, "", offset)).rows]
        return await count(where), ends

    count, ends = asked(both)

    assert count == len(ends)
    # Task runs of a minute are those of flow runs that end in it or in the next one.
    assert len(ends) == pytest.approx(600 if tasks else 120, abs=60 if tasks else 0)
    assert all(map(ended.holds, ends))


def test_events_are_read_to_the_last_page() -> None:
    """Page by page, by tokens, there is an event for each flow run that has ended since."""
    since = datetime.now(UTC) - 3 * MINUTE

    async def both(client: PrefectClient) -> tuple[int, int]:
        page = await client.events(EventFilter(PREFIX, Interval(since)))
        events = [*page.rows]
        while page.token is not None:
            page = await client.more_events(page.token)
            events += page.rows
        return len({event.resource["prefect.resource.id"] for event in events}), len(events)

    runs, events = asked(both)
    # More runs end while the pages are read.
    seconds = (datetime.now(UTC) - since).total_seconds()

    assert runs == events
    assert 150 < events <= seconds + 5


def test_what_there_is_beside_runs_is_listed() -> None:
    """Deployments come in pages, flows by their ids; of events by name there are none."""
    flow = UUID(f"f1000000-0000-4000-8000-{FLOWS - 1:012x}")

    async def everything(client: PrefectClient) -> tuple[int, bool, str, int, bool]:
        page = await client.deployment_page(20, 25)
        flows = await client.flows([flow])
        named = await client.count_events(EventFilter("", last_minutes(1)))
        return len(page.rows), page.full, flows[0].name, len(named), await client.ready()

    assert (DEPLOYMENTS - 20, False, f"flow-{FLOWS - 1:03d}", 0, True) == asked(everything)


def test_workspaces_have_runs_of_their_own() -> None:
    """Two workspaces have as many runs, but not the same ones."""
    where = RunFilter(ended=last_minutes(1))

    async def ends(client: PrefectClient) -> list[datetime | None]:
        return [row.end_time for row in (await client.flow_runs(where, "END_TIME_DESC")).rows]

    one, other = (asked(ends, workspace=number) for number in (0, 1))

    assert len(one) == len(other)
    assert one != other


def test_a_trace_is_one_run() -> None:
    """Each run is one trace of one process, with one root that is as long as all of it."""
    for resource in Traces(flows=9, seed=1).request(50, NOW_NS).resource_spans:
        (scope,) = resource.scope_spans
        spans = scope.spans
        (root,) = (span for span in spans if not span.parent_span_id)

        assert SPANS_PER_RUN == len(spans) == len({span.span_id for span in spans})
        assert {root.trace_id} == {span.trace_id for span in spans}
        assert root.start_time_unix_nano <= min(span.start_time_unix_nano for span in spans)
        assert NOW_NS == root.end_time_unix_nano


def test_some_runs_fail() -> None:
    """One run in twenty fails: its own span, and that of one of its tasks."""
    failed = [
        sum(span.status.code == span.status.STATUS_CODE_ERROR for span in scope.spans)
        for resource in Traces(flows=9, seed=1).request(2000, NOW_NS).resource_spans
        for scope in resource.scope_spans
    ]

    assert {0, 2} == set(failed)
    assert pytest.approx(100, abs=25) == sum(map(bool, failed))


def test_every_shard_is_a_column() -> None:
    """The table shows each shard, and what Prometheus took."""
    cost = ShardCost(13, 1900.0, 0.2, 2**28, 260_000, 1, 1, 0.4, 2.0, 10**6, 29.0, 145.0, 19, 30, 0)
    fleet = Fleet(
        FleetPlan(shards=2), [cost, cost], 70e3, 1.2e6, 0.5, 2**32, 1, ("slo", 1), 0, (1, 2)
    )
    console = Console(width=160)
    with console.capture() as shown:
        console.print(*fleet_tables(fleet))
    text = shown.get()

    assert "shard 1" in text
    assert "260,000" in text
    assert "4096" in text
