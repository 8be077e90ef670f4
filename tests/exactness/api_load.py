"""Load through the REST API, from several clients at once: every way in which a run can end.

A program of its own: ``python -m exactness.api_load URL FOLDER SEED``. It ends once ``stop`` exists
in the folder and what it began is finished, and deletes nothing while ``keep`` exists. A server
that is gone or refuses for the moment is asked again until it answers.
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import httpx

CLIENTS = 3
"""How many runs are under way at a time, each with a client of its own."""

STOP = "stop"
"""The file in the folder that ends the load."""

KEEP = "keep"
"""The file in the folder that forbids deletions."""

POOLED = "orders"
"""The flow whose deployment runs on a work pool."""

LATE = "late"
"""The task whose ends arrive late."""

_FLOWS = (POOLED, "invoices", "ledgers")
_ENDS = (
    ("COMPLETED", "Completed"),
    ("COMPLETED", "Completed"),
    ("COMPLETED", "Cached"),
    ("FAILED", "Failed"),
    ("FAILED", "TimedOut"),
    ("CRASHED", "Crashed"),
    ("CANCELLED", "Cancelled"),
)
_PAUSE_SECONDS = 0.3
_PATIENCE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Place:
    """What runs are made of: a flow, and its deployment where it has one."""

    flow: str
    deployment: str | None


class Client:
    """One client of the Prefect API that does not give up."""

    def __init__(self, url: str) -> None:
        self._http = httpx.AsyncClient(base_url=url, timeout=20.0, trust_env=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def post(self, path: str, body: object) -> Any:  # noqa: ANN401  # JSON of any shape
        """Post, again and again until the server has taken it, and return its JSON answer."""
        answer = await self._send("POST", path, body)
        return answer.json() if answer.content else None

    async def delete(self, path: str) -> None:
        """Delete; what an earlier attempt has deleted is gone, too."""
        await self._send("DELETE", path, None)

    async def _send(self, method: str, path: str, body: object) -> httpx.Response:
        while True:
            try:
                answer = await self._http.request(method, path, json=body)
            except httpx.TransportError:
                await asyncio.sleep(_PATIENCE_SECONDS)
                continue
            if not answer.is_server_error:
                return answer
            await asyncio.sleep(_PATIENCE_SECONDS)


class Runs:
    """Runs of some flows and their deployments, each living through one story.

    Args:
        client: Whom they are told to.
        places: What runs are made of.
        random: Chooses; seeded.
        folder: Where `KEEP` may lie.
    """

    def __init__(
        self, client: Client, places: Sequence[Place], random: Random, folder: Path
    ) -> None:
        self._client = client
        self._places = places
        self._random = random
        self._folder = folder

    async def next(self) -> None:
        """Let one run live through a story, the plain one most often."""
        stories: list[Callable[[], Awaitable[None]]] = [
            *[self.plain] * 8,
            *[self.retried_by_hand] * 3,
            self.overridden,
            *[self.flow_retry] * 2,
            *[self.parent] * 2,
            self.deleted,
            *[self.late_tasks] * 2,
        ]
        await self._random.choice(stories)()

    async def plain(self) -> None:
        """Start and end."""
        run = await self._started()
        await self._end(run)

    async def retried_by_hand(self) -> None:
        """End, and be started again within three seconds, as from the UI."""
        run = await self._started()
        await self._end(run)
        await asyncio.sleep(self._random.uniform(0, 3))
        await self._set(run, "SCHEDULED", "AwaitingRetry", force=True)
        await self._set(run, "RUNNING", "Running", force=True)
        await self._end(run)

    async def overridden(self) -> None:
        """End, and be forced into another end: that is one end."""
        run = await self._started()
        await self._end(run)
        await asyncio.sleep(self._random.uniform(0, 8))
        await self._end(run, force=True)

    async def flow_retry(self) -> None:
        """Fail once within the same end, as a flow with retries does."""
        run = await self._started()
        await self._set(run, "SCHEDULED", "AwaitingRetry")
        await self._set(run, "RUNNING", "Retrying")
        await self._end(run)

    async def parent(self) -> None:
        """Run a subflow inline or by its deployment, behind a task run that stands for it."""
        run = await self._started()
        placeholder = {"flow_run_id": run, "task_key": "subflow", "dynamic_key": str(uuid.uuid4())}
        stand_in = await self._client.post("/task_runs/", placeholder)
        child = await self._started(parent_task_run_id=stand_in["id"])
        await self._end(child)
        await self._end(run)

    async def deleted(self) -> None:
        """End, and be deleted at once or a little later."""
        run = await self._started()
        await self._end(run)
        await asyncio.sleep(self._random.choice((0.0, 1.0, 8.0)))
        if not (self._folder / KEEP).exists():
            await self._client.delete(f"/flow_runs/{run}")

    async def late_tasks(self) -> None:
        """Have task runs whose ends arrive 20 to 120 seconds late."""
        run = await self._started()
        for _ in range(3):
            late = timedelta(seconds=self._random.uniform(20, 120))
            ending = self._random.choice(_ENDS)
            await self._client.post("/events", late_task(run, datetime.now(UTC) - late, ending))
        await self._end(run)

    async def _started(self, **more: str) -> str:
        place = self._random.choice(self._places)
        if place.deployment is None:
            body = {"flow_id": place.flow, **more}
            created = await self._client.post("/flow_runs/", body)
        else:
            path = f"/deployments/{place.deployment}/create_flow_run"
            created = await self._client.post(path, more)
        run = str(created["id"])
        await self._set(run, "PENDING", "Pending")
        await self._set(run, "RUNNING", "Running")
        return run

    async def _end(self, run: str, *, force: bool = False) -> None:
        kind, name = self._random.choice(_ENDS)
        await self._set(run, kind, name, force=force)

    async def _set(self, run: str, kind: str, name: str, *, force: bool = False) -> None:
        state = {"state": {"type": kind, "name": name}, "force": force}
        await self._client.post(f"/flow_runs/{run}/set_state", state)


def late_task(flow_run: str, end: datetime, ending: tuple[str, str]) -> list[dict[str, Any]]:
    """Return what a task's client sends of its start and its end, 1 s before *end* and then."""
    run, dynamic_key = uuid.uuid4(), str(uuid.uuid4())
    start = end - timedelta(seconds=1)
    task = {
        "name": f"late-{dynamic_key[:3]}",
        "task_key": f"{LATE}-0123abcd",
        "dynamic_key": dynamic_key,
        "run_count": 1,
        "start_time": start.isoformat(),
    }
    ended = task | {"end_time": end.isoformat(), "total_run_time": 1.0}
    pending, running = ("PENDING", "Pending"), ("RUNNING", "Running")
    return [
        _transition((run, flow_run), start, (pending, running), task),
        _transition((run, flow_run), end, (running, ending), ended),
    ]


def _transition(
    runs: tuple[uuid.UUID, str],
    at: datetime,
    states: tuple[tuple[str, str], tuple[str, str]],
    task: dict[str, Any],
) -> dict[str, Any]:
    """Return an event as ``prefect.utilities.engine.emit_task_run_state_change_event`` makes it."""
    run, flow_run = runs
    before, after = ({"type": kind, "name": name, "state_details": {}} for kind, name in states)
    return {
        "id": str(uuid.uuid4()),
        "occurred": at.isoformat(),
        "event": f"prefect.task-run.{after['name']}",
        "resource": {
            "prefect.resource.id": f"prefect.task-run.{run}",
            "prefect.resource.name": task["name"],
            "prefect.run-count": "1",
            "prefect.state-name": after["name"],
            "prefect.state-timestamp": at.isoformat(),
            "prefect.state-type": after["type"],
            "prefect.orchestration": "client",
        },
        "related": [
            {
                "prefect.resource.id": f"prefect.flow-run.{flow_run}",
                "prefect.resource.role": "flow-run",
            }
        ],
        "payload": {
            "intended": {"from": before["type"], "to": after["type"]},
            "initial_state": before,
            "validated_state": after,
            "task_run": task,
        },
    }


async def places(client: Client) -> list[Place]:
    """Make the flows and deployments, where another client has not, and return them."""
    await client.post("/work_pools/", {"name": "pool", "type": "process"})
    found = []
    for name in _FLOWS:
        flow = (await client.post("/flows/", {"name": name}))["id"]
        # The same name under every flow: a deployment's name is unique only within its flow.
        body = {"name": "nightly", "flow_id": flow}
        pool = {"work_pool_name": "pool"} if name == POOLED else {}
        deployment = await client.post("/deployments/", body | pool)
        found += [Place(flow, None), Place(flow, deployment["id"])]
    return found


async def work(url: str, folder: Path, random: Random) -> None:
    """Be one client until `STOP` lies in the folder."""
    client = Client(url)
    runs = Runs(client, await places(client), random, folder)
    while not (folder / STOP).exists():
        await runs.next()
        await asyncio.sleep(random.uniform(0, 2 * _PAUSE_SECONDS))
    await client.close()


async def main() -> None:
    """Run all clients."""
    url, folder, seed = sys.argv[1:]
    async with asyncio.TaskGroup() as clients:
        for number in range(CLIENTS):
            clients.create_task(work(url, Path(folder), Random(f"{seed}-{number}")))


if __name__ == "__main__":
    asyncio.run(main())
