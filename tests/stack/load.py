"""Flow runs that start and end at a steady rate, with Prefect's own client and its retries."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import httpx
from prefect.client.base import PrefectHttpxSyncClient
from prefect.settings import PREFECT_CLIENT_RETRY_EXTRA_CODES, temporary_settings

from stack.compose import Stack

RUNS_A_SECOND = 1.0
"""What two processors carry with the rest of the stack: four requests a second."""

_STATES = ("PENDING", "RUNNING", "COMPLETED")

_SERVER_ERROR = 500
_AT_ONCE = 48
_TIMEOUT = 60
"""Seconds, as `PREFECT_API_REQUEST_TIMEOUT` is by default."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One request that got no answer, or a server's error.

    Args:
        at: Seconds since the epoch, when it had failed.
        path: What was asked.
        what: The status, or the exception's name.
    """

    at: float
    path: str
    what: str


@dataclass(slots=True)
class Load:
    """What was asked and what came of it, while it goes on.

    Args:
        flow_id: The flow that all runs are of.
        accepted: Ids of runs that the server said it has, with their names.
        completed: Ids of those whose last state it took.
        raw: Each failure, as a client without retries has it.
        final: What failed although Prefect's client tried again.
        tried: How many requests were sent.
    """

    flow_id: str
    accepted: dict[str, str] = field(default_factory=dict)
    completed: set[str] = field(default_factory=set)
    raw: list[Failure] = field(default_factory=list)
    final: list[Failure] = field(default_factory=list)
    tried: int = 0


class _Watched(httpx.HTTPTransport):
    """A transport that notes each attempt before Prefect's client tries again."""

    def __init__(self, load: Load) -> None:
        super().__init__(limits=httpx.Limits(max_connections=None))
        self._load = load

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it, and note it if it fails."""
        self._load.tried += 1
        try:
            response = super().handle_request(request)
        except httpx.HTTPError as error:
            self._note(request, type(error).__name__)
            raise
        if response.status_code >= _SERVER_ERROR:
            self._note(request, str(response.status_code))
        return response

    def _note(self, request: httpx.Request, what: str) -> None:
        self._load.raw.append(Failure(time.time(), request.url.path, what))


@contextmanager
def loaded(stack: Stack, *, rate: float = RUNS_A_SECOND) -> Iterator[Load]:
    """Start and end *rate* runs a second through the proxy; in the end wait for the last."""
    with stack.prefect() as client:
        flow = client.post("/flows/", json={"name": f"load-{uuid4()}"}).raise_for_status().json()
    load = Load(flow["id"])
    ended = Event()
    with _client(stack, load) as client, ThreadPoolExecutor(_AT_ONCE) as pool:
        pacer = Thread(target=_pace, args=(client, load, pool, ended, rate))
        pacer.start()
        try:
            yield load
        finally:
            ended.set()
            pacer.join()


def _client(stack: Stack, load: Load) -> PrefectHttpxSyncClient:
    return PrefectHttpxSyncClient(
        base_url=f"{stack.url('PREFECT_PORT')}/api/",
        auth=("admin", stack.secret("prefect_password")),
        enable_csrf_support=False,
        transport=_Watched(load),
        timeout=_TIMEOUT,
        trust_env=False,
    )


def _pace(
    client: PrefectHttpxSyncClient, load: Load, pool: ThreadPoolExecutor, ended: Event, rate: float
) -> None:
    # As the Compose file sets it for its worker.
    with temporary_settings({PREFECT_CLIENT_RETRY_EXTRA_CODES: {500}}):
        context = copy_context()
    while not ended.wait(1 / rate):
        pool.submit(context.copy().run, _live, client, load)


def _live(client: PrefectHttpxSyncClient, load: Load) -> None:
    """One run, from its creation to its end."""
    name = str(uuid4())
    try:
        run = _asked(client, "flow_runs/", flow_id=load.flow_id, name=name)
        load.accepted[run["id"]] = name
        for state in _STATES:
            _asked(client, f"flow_runs/{run['id']}/set_state", state={"type": state})
        load.completed.add(run["id"])
    except httpx.HTTPError as error:
        load.final.append(Failure(time.time(), error.request.url.path, type(error).__name__))


def _asked(client: PrefectHttpxSyncClient, path: str, **body: Any) -> Any:  # noqa: ANN401 - JSON
    return client.post(path, json=body).raise_for_status().json()


@dataclass(frozen=True, slots=True)
class Kept:
    """What the server still knows of a load, once nothing is under way.

    Args:
        lost: Accepted runs that are not there.
        unfinished: Runs whose last state was taken, in another state and never in that one.
        overtaken: Runs that left their last state again, by a request that had been repeated: a
            replica that had hung carried out its first try once it awoke.
        twice: Runs that exist beside the accepted ones: a creation that was repeated.
        silent: Completed runs without an event that says so.
    """

    lost: int
    unfinished: int
    overtaken: int
    twice: int
    silent: int


def kept(stack: Stack, load: Load) -> Kept:
    """Compare what the server has with what it said it has."""
    with stack.prefect() as client:
        found = list(_runs(client, load.flow_id))
        told = _told(client, sorted(load.completed))
        states = {run["id"]: run["state_type"] for run in found}
        elsewhere = {run for run in load.completed if states.get(run) != "COMPLETED"}
        overtaken = {run for run in elsewhere if _was_completed(client, run)}
    return Kept(
        lost=len(load.accepted.keys() - states.keys()),
        unfinished=len(elsewhere - overtaken),
        overtaken=len(overtaken),
        twice=len(states.keys() - load.accepted.keys()),
        silent=len(load.completed) - told,
    )


def _was_completed(client: httpx.Client, run: str) -> bool:
    history = client.get("/flow_run_states/", params={"flow_run_id": run}).raise_for_status().json()
    return "COMPLETED" in {state["type"] for state in history}


def _runs(client: httpx.Client, flow_id: str) -> Iterator[dict[str, Any]]:
    size = 200
    for offset in range(0, 1_000_000, size):
        body = {
            "flows": {"id": {"any_": [flow_id]}},
            "sort": "ID_DESC",
            "limit": size,
            "offset": offset,
        }
        page = client.post("/flow_runs/filter", json=body).raise_for_status().json()
        yield from page
        if len(page) < size:
            return


def _told(client: httpx.Client, runs: Sequence[str]) -> int:
    """Return of how many of *runs* the server has an event that they completed."""
    size = 50
    return sum(_events(client, runs[at : at + size]) for at in range(0, len(runs), size))


def _events(client: httpx.Client, runs: Sequence[str]) -> int:
    query = {
        "event": {"name": ["prefect.flow-run.Completed"]},
        "resource": {"id": [f"prefect.flow-run.{run}" for run in runs]},
    }
    body = {"filter": query, "limit": 1}
    answer = client.post("/events/filter", json=body).raise_for_status().json()
    return int(answer["total"])
