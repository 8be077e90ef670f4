"""What workers, people who look and an exporter ask of a server, as fast as it answers."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import httpx

from bench.templates import POOL

CONCURRENT = 8
"""How many ask at a time, unless said otherwise."""

_LINES = 15
_STATES = ("PENDING", "RUNNING")


@dataclass(frozen=True, slots=True)
class Known:
    """What the load needs to know of the database.

    Args:
        deployments: Ids of deployments to start runs of.
        flow_run: A flow run of the history.
        events: The events of that run's task runs, as the client had sent them.
    """

    deployments: Sequence[str]
    flow_run: str
    events: Sequence[Mapping[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """How much to ask: flow runs from start to end, and rounds of what people and tools read."""

    runs: int = 0
    looks: int = 0


@dataclass(slots=True)
class Lap:
    """What came back: seconds of each request that wrote, that read; how many failed."""

    wrote: list[float] = field(default_factory=list)
    read: list[float] = field(default_factory=list)
    failed: int = 0
    bytes: int = 0
    seconds: float = 0.0


def known(url: str, deployments: Sequence[str]) -> Known:
    """Read from the database at *url* what its template runs left."""
    return asyncio.run(_known(url, deployments))


async def _known(url: str, deployments: Sequence[str]) -> Known:
    con = await asyncpg.connect(url)
    try:
        run = await con.fetchval(
            "select id from flow_run where state_type = 'COMPLETED' order by end_time desc limit 1"
        )
        rows = await con.fetch(
            "select occurred, event, resource, related, payload from events"
            " where event like 'prefect.task-run.%' and related_resource_ids ? $1"
            " order by occurred",
            f"prefect.flow-run.{run}",
        )
        events = [
            {
                "occurred": row["occurred"].isoformat(),
                "event": row["event"],
                **{key: json.loads(row[key]) for key in ("resource", "related", "payload")},
            }
            for row in rows
        ]
        return Known(deployments, str(run), events)
    finally:
        await con.close()


def drive(api_url: str, what: Known, mix: Mix, concurrent: int = CONCURRENT) -> Lap:
    """Ask all of *mix* of the API at *api_url*, so many at a time, and return when it is done."""
    return asyncio.run(_drive(api_url, what, mix, concurrent))


async def _drive(api_url: str, what: Known, mix: Mix, concurrent: int) -> Lap:
    lap = Lap()
    limits = httpx.Limits(max_connections=concurrent)
    async with httpx.AsyncClient(
        base_url=api_url, timeout=75.0, limits=limits, trust_env=False
    ) as client:
        caller = _Caller(client, what, lap)
        deployments = itertools.cycle(what.deployments)
        work = iter(
            [
                *(caller.run(next(deployments)) for _ in range(mix.runs)),
                *(caller.look() for _ in range(mix.looks)),
            ]
        )
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrent):
                group.create_task(_work_off(work))
        lap.seconds = time.monotonic() - began
    return lap


async def _work_off(work: Iterator[object]) -> None:
    for each in work:
        await each  # type: ignore[misc]  # coroutines of one kind


class _Caller:
    def __init__(self, client: httpx.AsyncClient, what: Known, lap: Lap) -> None:
        self._client, self._what, self._lap = client, what, lap

    async def run(self, deployment: str) -> None:
        """Have a flow run begin and end as a worker and an engine do."""
        wrote = self._lap.wrote
        made = await self._post(wrote, f"/deployments/{deployment}/create_flow_run", {})
        key = str(made["id"]) if isinstance(made, dict) and "id" in made else None
        if key is None:
            return
        for state in _STATES:
            await self._set_state(key, state)
        await self._post(wrote, "/events", self._events(key))
        await self._post(wrote, "/logs/", _lines(key))
        await self._set_state(key, "COMPLETED")

    async def _set_state(self, key: str, state: str) -> None:
        body = {"state": {"type": state, "name": state.capitalize()}, "force": False}
        await self._post(self._lap.wrote, f"/flow_runs/{key}/set_state", body)

    def _events(self, key: str) -> list[dict[str, object]]:
        """Return the events of the template's task runs as those of tasks of this run."""
        text = json.dumps(self._what.events).replace(self._what.flow_run, key)
        tasks = {
            str(event["resource"]["prefect.resource.id"])  # type: ignore[index]  # JSON
            for event in self._what.events
        }
        for task in tasks:
            text = text.replace(task.removeprefix("prefect.task-run."), str(uuid.uuid4()))
        now = datetime.now(UTC)
        # No two states of a task run may have the same time.
        return [
            event
            | {"id": str(uuid.uuid4()), "occurred": (now + timedelta(milliseconds=n)).isoformat()}
            for n, event in enumerate(json.loads(text))
        ]

    async def look(self) -> None:
        """Read what the UI's pages, an exporter's poll and a worker's poll read."""
        for path, body in _looks(datetime.now(UTC), self._what.flow_run):
            await self._post(self._lap.read, path, body)

    async def _post(self, into: list[float], path: str, body: object) -> object:
        began = time.monotonic()
        try:
            answer = await self._client.post(path, json=body)
        except httpx.HTTPError:
            self._lap.failed += 1
            return None
        into.append(time.monotonic() - began)
        self._lap.failed += answer.is_error
        self._lap.bytes += answer.num_bytes_downloaded
        return answer.json() if answer.is_success and answer.content else None


def _lines(key: str) -> list[dict[str, object]]:
    now = datetime.now(UTC).isoformat()
    line = {"name": "prefect.flow_runs", "level": 20, "timestamp": now, "flow_run_id": key}
    return [line | {"message": f"Line {number} of a run."} for number in range(_LINES)]


def _looks(now: datetime, flow_run: str) -> Sequence[tuple[str, object]]:
    week, hour, poll = (
        (now - each).isoformat()
        for each in (timedelta(days=7), timedelta(hours=1), timedelta(seconds=105))
    )
    recent = {"flow_runs": {"expected_start_time": {"after_": week}}}
    failed = {"state": {"type": {"any_": ["FAILED", "CRASHED"]}}}
    ended = {"sort": "END_TIME_DESC", "limit": 200}
    history = {
        "history_start": week,
        "history_end": now.isoformat(),
        "history_interval_seconds": 86400,
    }
    return (
        ("/flow_runs/paginate", recent | {"sort": "START_TIME_DESC", "limit": 50, "page": 1}),
        ("/flow_runs/count", {"flow_runs": {**recent["flow_runs"], **failed}}),
        ("/flow_runs/history", history),
        ("/task_runs/count", {"task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}),
        ("/deployments/paginate", {"limit": 10, "page": 1}),
        ("/events/filter", {"limit": 50, "filter": {"occurred": {"since": hour}}}),
        ("/flow_runs/filter", ended | {"flow_runs": {"end_time": {"after_": poll}}}),
        ("/task_runs/filter", ended | {"task_runs": {"end_time": {"after_": poll}}}),
        ("/task_runs/filter", ended | {"flow_runs": {"id": {"any_": [flow_run]}}}),
        ("/logs/filter", {"logs": {"flow_run_id": {"any_": [flow_run]}}}),
        (f"/work_pools/{POOL}/get_scheduled_flow_runs", {}),
    )
