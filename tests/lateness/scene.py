"""A real Prefect server on which every cause of lateness has been produced once."""

from __future__ import annotations

import json
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from demo.api import ask, change
from demo.prefect_server import PrefectServer, start_prefect_server
from demo.processes import Process, Program, wait_until
from demo.sandbox import Sandbox

FLOWS = Path(__file__).with_name("flows.py")
EXAMPLES = Path(__file__).parents[2] / "examples"
# A name that no shell takes as it is, and one that would command a terminal.
NASTY = "it's $HOME; (old)"
COLOURED = "red \x1b[31m"
_NIGHTLY = [{"active": True, "schedule": {"cron": "0 3 * * *"}}]
# So long a run may wait before the exporter, as it is set by default, calls it late.
LATE_AFTER = timedelta(seconds=15)
# Services that keep states fresh work fast; none makes runs of schedules until a test starts one.
SERVICES: Any = {
    "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_FOREMAN_LOOP_SECONDS": "1",
}


@dataclass
class Scene:
    """The server, and what was made on it.

    Args:
        deployments: Ids by ``flow/deployment``.
        runs: Ids of the runs that wait, by the same.
        holders: Ids of the runs that hold what they wait for.
    """

    sandbox: Sandbox
    server: PrefectServer
    client: httpx.Client
    flow: str
    deployments: dict[str, str] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)
    holders: dict[str, list[str]] = field(default_factory=dict)

    @property
    def environment(self) -> Mapping[str, str]:
        """How commands reach the server."""
        env = self.server.client_environment | {"PYTHONPATH": str(EXAMPLES)}
        return self.sandbox.prefect_environment("cli", **env)

    def deployment(self, name: str, **fields: object) -> str:
        """Make a deployment, and return its id."""
        made = ask(
            self.client,
            "/deployments/",
            name=name,
            flow_id=self.flow,
            entrypoint="demo.flows.steady",
            **fields,
        )
        self.deployments[f"etl/{name}"] = made["id"]
        return str(made["id"])

    def run(self, name: str, *, due_ago: float = 60.0) -> str:
        """Make a run of a deployment that was due so many seconds ago."""
        due = (datetime.now(UTC) - timedelta(seconds=due_ago)).isoformat()
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": due}}
        path = f"/deployments/{self.deployments[f'etl/{name}']}/create_flow_run"
        return str(ask(self.client, path, state=state)["id"])

    def late(self, name: str, **fields: object) -> None:
        """Make a deployment of which one run waits."""
        self.deployment(name, **fields)
        self.runs[f"etl/{name}"] = self.run(name)

    def put(self, run: str, *states: str) -> str:
        """Put a run into states one after the other, and return the name of the last."""
        answers = [
            ask(self.client, f"/flow_runs/{run}/set_state", state={"type": each}) for each in states
        ]
        return str(answers[-1]["state"]["name"]) if answers[-1]["state"] else states[-1]

    def holding(self, name: str, number: int = 1) -> None:
        """Let runs of a deployment be under way."""
        for _ in range(number):
            run = self.run(name)
            self.put(run, "PENDING", "RUNNING")
            self.holders.setdefault(f"etl/{name}", []).append(run)

    def why(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command."""
        return subprocess.run(
            [sys.executable, "-m", "prefect_exporter", "why-late", *arguments],
            env=dict(self.environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )

    def diagnoses(self, *arguments: str) -> dict[str, Any]:
        """Return what the command says, by ``flow/deployment``."""
        answer = self.why("--json", *arguments)
        assert (0, "") == (answer.returncode, answer.stderr), answer.stderr
        told = json.loads(answer.stdout)["diagnoses"]
        return {f"{each['flow']}/{each['deployment']}".rstrip("/"): each for each in told}

    def mend(self, command: str) -> None:
        """Run a command that ends, as a person would paste it into a shell."""
        done = subprocess.run(
            ["sh", "-c", command],
            env=dict(self.environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        assert 0 == done.returncode, f"{command}\n{done.stdout}{done.stderr}"

    def start(self, name: str, command: str, **env: str) -> Process:
        """Run a command that stays."""
        return self.sandbox.start(
            Program(
                name=name,
                argv=[sys.executable, "-m", *shlex.split(command)],
                env={**self.environment, **env},
                ready=lambda: True,
            )
        )

    def state_of(self, run: str) -> str:
        """Return the type of a run's state."""
        answer = self.client.get(f"/flow_runs/{run}").raise_for_status()
        return str(answer.json()["state_type"])


@contextmanager
def scene() -> Iterator[Scene]:
    """Produce every cause, and clear all away."""
    with Sandbox() as sandbox:
        server = start_prefect_server(sandbox, **SERVICES)
        with server.client() as client:
            flow = str(ask(client, "/flows/", name="etl")["id"])
            made = Scene(sandbox, server, client, flow)
            # A worker makes its pool where there is none, but not the queue that it is to serve.
            ask(client, "/work_pools/", name="asked", type="process")
            ask(client, "/work_pools/asked/queues", name="served")
            worker = made.start(
                "worker", "prefect worker start --pool asked --name one --work-queue served"
            )
            stop = sandbox.subfolder("flags") / "stop"
            tagged = _tagged(made, stop)
            for produce in (_pauses, _schedules, _workers, _pools, _limits):
                produce(made)
            wait_until(lambda: _ready(made, worker, tagged), within=300, what="the scene")
            # The last of all, as it is new for two minutes only.
            made.deployment("new", schedules=_NIGHTLY)
            yield made
            stop.touch()


def _tagged(made: Scene, stop: Path) -> Process:
    ask(made.client, "/concurrency_limits/", tag="press", concurrency_limit=1)
    return made.sandbox.start(
        Program(
            name="tagged",
            argv=[sys.executable, str(FLOWS), str(stop)],
            env=dict(made.environment),
            ready=lambda: True,
        )
    )


def _pauses(made: Scene) -> None:
    ask(made.client, "/work_pools/", name=NASTY, type="process", is_paused=True)
    made.late("pool paused", work_pool_name=NASTY)
    ask(made.client, "/work_pools/", name="halves", type="process")
    ask(made.client, "/work_pools/halves/queues", name=NASTY, is_paused=True)
    made.late("queue paused", work_pool_name="halves", work_queue_name=NASTY)


def _schedules(made: Scene) -> None:
    made.deployment("paused", schedules=_NIGHTLY, paused=True)
    made.deployment("unscheduled", schedules=_NIGHTLY)
    made.deployment("by hand")
    old = [made.deployments[f"etl/{name}"] for name in ("paused", "unscheduled")]
    path = made.server.database_url.removeprefix("sqlite+aiosqlite:///")
    with closing(sqlite3.connect(path, timeout=30)) as database, database:
        for key in old:
            database.execute(
                "UPDATE deployment SET created = datetime('now', '-1 hour') WHERE id = ?", (key,)
            )


def _workers(made: Scene) -> None:
    ask(made.client, "/work_pools/", name="idle", type="process")
    made.late("no worker", work_pool_name="idle")
    ask(made.client, "/work_pools/", name="left", type="process")
    _heartbeat(made, "left")
    made.late("worker gone", work_pool_name="left")
    made.late(COLOURED)
    made.late("not asked", work_pool_name="asked", work_queue_name="default")


def _heartbeat(made: Scene, pool: str) -> None:
    """Let a worker be heard once, so that Prefect calls it offline three seconds later."""
    path = f"/work_pools/{pool}/workers/heartbeat"
    body = {"name": "gone", "heartbeat_interval_seconds": 1}
    # A server on SQLite has no time for it while somebody else writes.
    wait_until(lambda: made.client.post(path, json=body).is_success, within=30, what="a heartbeat")


def _pools(made: Scene) -> None:
    """Fill pools that no worker takes runs from: nobody may change what is planted."""
    for pool, limit in (("full", 1), ("shared", 3), ("wide", None)):
        ask(made.client, "/work_pools/", name=pool, type="prefect:managed", concurrency_limit=limit)
    ask(made.client, "/work_pools/shared/queues", name="urgent", priority=1)
    change(made.client, "/work_pools/shared/queues/default", priority=2)
    ask(made.client, "/work_pools/wide/queues", name="narrow", concurrency_limit=1)
    made.late("pool full", work_pool_name="full")
    made.holding("pool full")
    made.deployment("urgent", work_pool_name="shared", work_queue_name="urgent")
    made.holding("urgent", 3)
    made.runs["etl/urgent"] = made.run("urgent")
    made.late("behind", work_pool_name="shared", work_queue_name="default")
    made.late("queue full", work_pool_name="wide", work_queue_name="narrow")
    made.holding("queue full")


def _limits(made: Scene) -> None:
    made.late("limited", work_pool_name="wide", concurrency_limit=1)
    limit = ask(made.client, "/v2/concurrency_limits/", name=NASTY, limit=1)
    made.late("shares", work_pool_name="wide", global_concurrency_limit_id=limit["id"])
    for name in ("limited", "shares"):
        made.holding(name)
        assert "AwaitingConcurrencySlot" == made.put(made.runs[f"etl/{name}"], "PENDING")
    made.late("mystery", work_pool_name="wide")


def _ready(made: Scene, worker: Process, tagged: Process) -> bool:
    """Return whether the worker has asked, the other one is given up, and a task run waits."""
    for process in (worker, tagged):
        process.check()
    workers = ask(made.client, "/work_pools/left/workers/filter")
    queues = ask(made.client, "/work_queues/filter")
    polled = {(each["work_pool_name"], each["name"]) for each in queues if each["last_polled"]}
    pending = {"state": {"type": {"any_": ["PENDING"]}}}
    tasks = ask(made.client, "/task_runs/filter", task_runs=pending)
    waiting = [each for each in tasks if "press" in each["tags"]]
    since = [datetime.fromisoformat(each["expected_start_time"]) for each in waiting]
    return (
        workers[0]["status"] == "OFFLINE"
        and ("asked", "served") in polled
        and any(datetime.now(UTC) - each > LATE_AFTER for each in since)
    )
