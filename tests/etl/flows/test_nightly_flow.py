"""The night: all clients side by side, what becomes of those that fail, who is started again."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any
from uuid import UUID
from wsgiref.simple_server import WSGIRequestHandler, make_server

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.logging import disable_run_logger
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    temporary_settings,
)

from demo.api import ask
from demo.processes import Process, Program, wait_until
from etl import nightly
from etl.children import Limits, Seen, Verdict, judge
from etl.nightly import ClientsFailed, nightly_orders
from order_lakes import expected
from order_rows import TEN, add, row
from order_scene import Shop
from order_telemetry import WatchedScene, comes, totals, watched_shop

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)
SOME = UUID(int=7)
LIMITS = Limits(patience=timedelta(hours=1), silence=timedelta(minutes=10))
POOL = "etl-process"
WITHIN_SECONDS = 300


def ago(minutes: float) -> datetime:
    """Return when that was."""
    return NOW - timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("expected", "seen"),
    [
        (Verdict.ENDED, Seen("COMPLETED", ago(1))),
        (Verdict.ENDED, Seen("FAILED", ago(100))),
        (Verdict.ENDED, Seen("CANCELLED", ago(1))),
        (Verdict.CRASHED, Seen("CRASHED", ago(1))),
        (Verdict.WAIT, Seen("SCHEDULED", ago(1000))),
        (Verdict.WAIT, Seen("PENDING", ago(5))),
        (Verdict.SILENT, Seen("PENDING", ago(11))),
        (Verdict.WAIT, Seen("RUNNING", ago(5))),
        (Verdict.WAIT, Seen("RUNNING", ago(50), heartbeat=ago(9))),
        (Verdict.SILENT, Seen("RUNNING", ago(50), heartbeat=ago(11))),
        (Verdict.SILENT, Seen("RUNNING", ago(50))),
        (Verdict.SLOW, Seen("RUNNING", ago(61), heartbeat=ago(1))),
        (Verdict.WAIT, Seen("CANCELLING", ago(1000))),
        (Verdict.WAIT, Seen("PAUSED", ago(1000))),
    ],
    ids=lambda each: each if isinstance(each, Verdict) else each.state,
)
def test_verdict(expected: Verdict, seen: Seen) -> None:
    """A run is dead that is silent, crashed, or slower than anybody waits; a queue kills nobody."""
    assert expected is judge(seen, LIMITS, NOW)


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_heartbeats_keep_a_run_alive_until_patience_ends(since: int, beat: int) -> None:
    """One that was heard of within the limit is never called silent."""
    seen = Seen("RUNNING", NOW - timedelta(seconds=since), NOW - timedelta(seconds=beat))
    verdict = judge(seen, LIMITS, NOW)

    assert (since > 3600) == (verdict is Verdict.SLOW)
    assert (since <= 3600 and min(since, beat) > 600) == (verdict is Verdict.SILENT)


def test_error_names_each_client_and_cause() -> None:
    """Up to twenty of them, and how many more."""
    one = ClientsFailed({"acme": "Failed: no", "bolt": "TimedOut: too slow"}, 5)
    many = ClientsFailed({f"client-{n}": "Failed: no" for n in range(30)}, 40)

    assert "2 of 5 clients failed: acme: Failed: no; bolt: TimedOut: too slow" == str(one)
    assert str(many).endswith("client-19: Failed: no; and 10 more")


def test_silence_shorter_than_heartbeats_is_refused() -> None:
    """Else the night would give up runs that work; the message says what to set."""
    with (
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: 180}),
        pytest.raises(ValueError, match="silence is 60 s, but runs send a heartbeat every 180 s"),
    ):
        nightly_orders.fn({}, silence=60)


@dataclass
class Api:
    """What the night asks of a Prefect API: runs are made, and crash, unless told otherwise.

    Args:
        answers: Statuses that starts get instead, by client, one after the other.
        starts: Whose runs were made.
    """

    answers: Mapping[str, list[int]]
    starts: list[str] = field(default_factory=list)

    def __call__(self, env: Mapping[str, Any], respond: Callable[..., object]) -> list[bytes]:
        """Answer a request."""
        status, told = 200, {"id": str(SOME), "name": "retail", "flow_id": str(SOME)}
        if env["REQUEST_METHOD"] == "POST":
            sent = json.loads(env["wsgi.input"].read(int(env["CONTENT_LENGTH"])))
            status = self._start(sent["parameters"]["client"])
        elif "csrf-token" in env["PATH_INFO"]:
            status = 404  # there is none of these
        elif "/flow_runs/" in env["PATH_INFO"]:
            told |= {"state": {"type": "CRASHED", "name": "Crashed"}}  # type: ignore[dict-item]  # nested
        respond(f"{status} told", [("Content-Type", "application/json")])
        return [json.dumps(told).encode()]

    def _start(self, client: str) -> int:
        if left := self.answers.get(client):
            return left.pop(0)
        self.starts.append(client)
        return 201


@contextmanager
def served(api: Api) -> Iterator[SyncPrefectClient]:
    """Let the night's requests go to *api*; give a client of it."""
    with make_server("127.0.0.1", 0, api, handler_class=Quiet) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/api"
        changes = {PREFECT_API_URL: url, PREFECT_CLIENT_MAX_RETRIES: 0}
        changes |= {PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED: False}
        try:
            with (
                temporary_settings(changes),
                disable_run_logger(),
                get_client(sync_client=True) as client,
            ):
                yield client
        finally:
            server.shutdown()
            thread.join()


class Quiet(WSGIRequestHandler):
    """One that writes nothing."""

    def log_message(self, *_told: object) -> None:
        """Write nothing."""


@pytest.mark.parametrize("status", [409, 422])
def test_refused_start_is_the_clients_cause(status: int) -> None:
    """The others are started."""
    api = Api({"bad": [status]})
    with served(api):
        bad, good = (nightly._start(nightly.Child(each, "retail")) for each in ("bad", "good"))  # noqa: SLF001 - the night waits in between

    assert (True, True) == (bad.ended, "client-batch/retail" in bad.cause)
    assert (SOME, False, ["good"]) == (good.run, good.ended, api.starts)


def test_second_start_is_asked_for_again() -> None:
    """Where the API is away just then, the crashed client is started at the next look."""
    api = Api({"acme": [503]})
    crashed = nightly.Child("acme", "retail", run=SOME, starts=1)
    with served(api) as client:
        away = nightly._look_after(client, crashed, LIMITS)  # noqa: SLF001 - one look of many
        back = nightly._look_after(client, away, LIMITS)  # noqa: SLF001 - one look of many

    assert (crashed, 2, ["acme"]) == (away, back.starts, api.starts)


@dataclass(frozen=True, slots=True)
class Night:
    """A server with the deployments, a worker, and a shop for all clients.

    Args:
        deployments: Ids by name.
    """

    scene: WatchedScene
    shop: Shop
    api: httpx.Client
    deployments: Mapping[str, str]

    def fill(self, client: str, rows: int = 20, bad: Sequence[bytes] = ()) -> list[str]:
        """Add rows to the stream of a client of the test's own; return the ids of the good ones."""
        self.scene.take(client)
        with self.shop.redis as connection:
            good = add(connection, client, map(row, range(rows)))
            add(connection, client, bad)
        return good

    def start(self, clients: Mapping[str, Sequence[str]], **parameters: object) -> str:
        """Start a night; return its id."""
        given = {"clients": clients, **parameters}
        path = f"/deployments/{self.deployments['nightly']}/create_flow_run"
        key = f"night-{self.scene.number()}"  # a server that is busy is asked again
        run_id: str = ask(self.api, path, parameters=given, idempotency_key=key)["id"]
        return run_id

    def state(self, run_id: str) -> Mapping[str, str]:
        """Return the state that a run is in."""
        (run,) = ask(self.api, "/flow_runs/filter", flow_runs={"id": {"any_": [run_id]}})
        found: Mapping[str, str] = run["state"]
        return found

    def end(self, run_id: str) -> Mapping[str, str]:
        """Return the state that a run has ended in."""
        final = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
        wait_until(
            lambda: self.state(run_id)["type"] in final,
            within=WITHIN_SECONDS,
            what=f"the end of a night in {self.state(run_id)}",
        )
        return self.state(run_id)

    @contextmanager
    def held(self, client: str, ids: Sequence[str]) -> Iterator[None]:
        """Hold the lease of the client's only chunk, as a worker would that stands still."""
        key = f"orders:{client}:lease:{ids[0]}-{ids[-1]}"
        with self.shop.redis as connection:
            connection.set(key, "somebody")
            try:
                yield
            finally:
                connection.delete(key)

    def children(self, client: str) -> list[Mapping[str, object]]:
        """Return the runs of a client's batch, the oldest first."""
        runs = ask(
            self.api,
            "/flow_runs/filter",
            flows={"name": {"any_": ["client-batch"]}},
            sort="EXPECTED_START_TIME_ASC",
        )
        return [run for run in runs if run["parameters"] == {"client": client}]

    def states(self, client: str) -> list[object]:
        """Return what states these are in."""
        return [run["state_type"] for run in self.children(client)]


@pytest.fixture(scope="module", name="night")
def _night(scene: WatchedScene) -> Iterator[Night]:
    with (
        watched_shop(scene, "all", ETL_MAX_REJECTED="0.1", ETL_LEASE_SECONDS="600") as shop,
        scene.server.client() as api,
    ):
        ask(api, "/work_pools/", name=POOL, type="process")
        deployments = {
            "nightly": deploy(api, "nightly-orders", "nightly", "etl.nightly.nightly_orders"),
            "retail": deploy(api, "client-batch", "retail", "etl.batch.client_batch"),
        }
        worker = start_worker(scene, shop)
        yield Night(scene, shop, api, deployments)
        worker.stop()


def deploy(api: httpx.Client, flow: str, name: str, entrypoint: str) -> str:
    """Make a deployment; return its id."""
    flow_id = ask(api, "/flows/", name=flow)["id"]
    made: str = ask(
        api,
        "/deployments/",
        name=name,
        flow_id=flow_id,
        entrypoint=entrypoint,
        work_pool_name=POOL,
    )["id"]
    return made


def start_worker(scene: WatchedScene, shop: Shop) -> Process:
    """Start a worker; runs wait until it is there."""
    env = scene.environment("worker", PREFECT_WORKER_QUERY_SECONDS="1")
    command = ["worker", "start", "--pool", POOL, "--name", "one"]
    return scene.sandbox.start(
        Program(
            name="worker",
            argv=[sys.executable, "-m", "prefect", *command],
            env=env | dict(shop.env),
            ready=lambda: True,
        )
    )


@pytest.mark.real
@pytest.mark.timeout(900)
def test_failing_client_stops_no_other(night: Night) -> None:
    """The night names who failed and why, also one that no deployment knows; all others are loaded.

    Clients of the deployment "" are loaded by the night's own process.
    """
    good = {client: night.fill(client) for client in ("acme", "here")}
    rotten = night.fill("rotten", bad=[TEN["bad_amount"].raw] * 5)
    run_id = night.start({"retail": ["acme", "rotten", "acme"], "nowhere": ["lost"], "": ["here"]})
    state = night.end(run_id)

    assert "FAILED" == state["type"]
    assert "2 of 4 clients failed: rotten: Failed: " in state["message"]
    assert "TooManyRejected: rotten: 5 of 25 rows were rejected" in state["message"]
    assert "lost: there is no deployment client-batch/nowhere" in state["message"]
    for client, ids in good.items():
        assert expected(ids) == replace(night.shop, client=client).orders()
    assert sorted(rotten) == list(replace(night.shop, client="rotten").orders().accepted)
    assert [1, 1] == [len(night.children(client)) for client in ("acme", "rotten")]
    wanted = {"flow_run_id": {"any_": [run_id]}, "key": {"any_": ["nightly"]}}
    (table,) = ask(night.api, "/artifacts/filter", artifacts=wanted)
    assert "| acme | 20 | 20 | 0 | 0 | 1 | completed |" in table["data"]
    assert "| rotten | 25 | 20 | 5 | 0 | 1 | Failed" in table["data"]


@pytest.mark.real
@pytest.mark.timeout(900)
def test_crashed_client_is_started_once_more(night: Night) -> None:
    """The second run loads it: a recovery. The first one, which still works, doubles nothing."""
    receiver, client = night.scene.receiver, "crashing"
    ids = night.fill(client)
    with night.held(client, ids):
        run_id = night.start({"retail": [client]})
        comes(lambda: night.states(client) == ["RUNNING"], "the client's run")
        first = night.children(client)[0]["id"]
        ask(night.api, f"/flow_runs/{first}/set_state", state={"type": "CRASHED"})
        comes(lambda: len(night.children(client)) == 2, "the second start")
    state = night.end(run_id)

    assert "COMPLETED" == state["type"]
    assert 2 == len(night.children(client))
    assert expected(ids) == replace(night.shop, client=client).orders()
    key = ("client", "recovered")
    comes(
        lambda: totals(receiver, "etl_recoveries_total", "step", "outcome").get(key) == 1,
        "the recovery",
    )


@pytest.mark.real
@pytest.mark.timeout(900)
def test_cancelled_night_cancels_its_clients(night: Night) -> None:
    """Nothing of it goes on."""
    ids = night.fill("waiting")
    with night.held("waiting", ids):
        run_id = night.start({"retail": ["waiting"]})
        comes(lambda: night.states("waiting") == ["RUNNING"], "the client's run")
        ask(night.api, f"/flow_runs/{run_id}/set_state", state={"type": "CANCELLING"})
        states = [night.end(run_id), night.end(str(night.children("waiting")[0]["id"]))]

    assert ["CANCELLED", "CANCELLED"] == [each["type"] for each in states]
    assert expected([]) == replace(night.shop, client="waiting").orders()
