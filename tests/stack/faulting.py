"""Break one part of a stack that is at work, and measure what it costs."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from stack.asking import eventually, query
from stack.compose import Container, Stack, docker
from stack.flows.counted import MARK
from stack.load import Kept, Load, kept, loaded

POOL = "demo-process"
RUNS = 2
"""How many runs the worker has under way."""

_TERMINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}

Break = Callable[[Stack], None]
"""Does the harm, and whatever a person would do to mend it; returns once that is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that breaks.

    Args:
        name: What happened, for people.
        harm: How.
        worker_dies: Whether its runs die with it.
        hangs: Whether what had hung goes on with the requests that it had.
        tasks: How many tasks, each of a second, the runs have that are under way.
    """

    name: str
    harm: Break
    worker_dies: bool = False
    hangs: bool = False
    tasks: int = 45


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one fault has cost.

    Args:
        fault: Its name.
        accepted: How many runs the API took meanwhile.
        kept: What became of them.
        executed: Task runs that the worker's flows have done.
        unrecorded: Those of them that the server does not have as completed.
        runs: The states in which the worker's runs ended.
        tried: How many requests were sent.
        raw: What failed of them, and how often.
        final: How many runs of the load could not go on, although Prefect's client tried again.
        failing: Seconds between the first failed request and the last.
        well: Seconds until every container was well again.
        events: Seconds until a new event was stored again.
        alerts: Alerts that fired, and those that were about to.
    """

    fault: str
    accepted: int
    kept: Kept
    executed: int
    unrecorded: int
    runs: Sequence[str]
    tried: int
    raw: Mapping[str, int]
    final: int
    failing: float
    well: float
    events: float
    alerts: Mapping[str, Sequence[str]]


def cost(stack: Stack, fault: Fault, *, settle: float = 10.0) -> Cost:
    """Run the load and two flows, break what *fault* breaks, and say what it has cost.

    Args:
        stack: Up, with profile ``server`` and the flows of tests/stack/flows.yml.
        fault: What to break.
        settle: Seconds of load before it, and after all is well again.

    Raises:
        AssertionError: Not all came back by itself.
    """
    with stack.prefect() as client:
        runs = [_start(client, fault.tasks) for _ in range(RUNS)]
        eventually(lambda: all(_states(client, runs, "RUNNING")), what="the flows run")
    with _overheard(stack) as heard:
        with loaded(stack) as load:
            time.sleep(settle)
            began = time.time()
            fault.harm(stack)
            well = _seconds_until_well(stack, began)
            events = _seconds_until_events(stack, load, began)
            time.sleep(settle)
        ended = _ended(stack, runs, worker_dies=fault.worker_dies)
        done = executed(f"{heard.read_text()}{_said(stack)}", list(ended))
    return _cost(stack, fault, load, _Times(began, well, events), _Work(ended, done))


@dataclass(frozen=True, slots=True)
class _Times:
    began: float
    well: float
    events: float


@dataclass(frozen=True, slots=True)
class _Work:
    runs: Mapping[str, str]
    done: set[str]


def _cost(stack: Stack, fault: Fault, load: Load, times: _Times, work: _Work) -> Cost:
    failures = [failure.at for failure in load.raw]
    return Cost(
        fault=fault.name,
        accepted=len(load.accepted),
        kept=eventually_kept(stack, load),
        executed=len(work.done),
        unrecorded=unrecorded(stack, work.done),
        runs=sorted(work.runs.values()),
        tried=load.tried,
        raw=Counter(failure.what for failure in load.raw),
        final=len(load.final),
        failing=max(failures) - min(failures) if failures else 0.0,
        well=times.well,
        events=times.events,
        alerts=alerts(stack, times.began),
    )


def deploy(stack: Stack) -> None:
    """Make the deployment whose runs the worker is to have under way."""
    with stack.prefect() as client:
        flow = client.post("/flows/", json={"name": "counted"}).raise_for_status().json()
        body = {
            "name": "counted",
            "flow_id": flow["id"],
            "entrypoint": "/opt/stack-flows/counted.py:counted",
            "work_pool_name": POOL,
        }
        eventually(
            lambda: client.post("/deployments/", json=body).raise_for_status().json(),
            what="the worker's pool",
        )


def _start(client: httpx.Client, tasks: int) -> str:
    deployment = client.get("/deployments/name/counted/counted").raise_for_status().json()
    body = {"parameters": {"tasks": tasks}, "name": str(uuid4())}
    path = f"/deployments/{deployment['id']}/create_flow_run"
    return str(client.post(path, json=body).raise_for_status().json()["id"])


def _states(client: httpx.Client, runs: Sequence[str], *wanted: str) -> list[bool]:
    return [_run(client, run)["state_type"] in wanted for run in runs]


def _run(client: httpx.Client, run: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/flow_runs/{run}").raise_for_status().json()
    return found


def _seconds_until_well(stack: Stack, began: float) -> float:
    """Wait until every container is well, and the proxy has its replicas."""
    eventually(lambda: _all_well(stack), what="all containers are well again", within=180)
    return time.time() - began


def _all_well(stack: Stack) -> bool:
    containers = stack.containers()
    replicas = [it for it in containers if it.service == "prefect-api"]
    return all(it.well for it in containers) and len(replicas) == _ready(stack)


def _ready(stack: Stack) -> int:
    """Return of how many replicas the proxy says that they are ready."""
    address = "http://127.0.0.1:8405/metrics"
    ask = ("exec", "--no-TTY", "prefect-proxy", "/probe/wget", "-q", "-O", "-", address)
    text = stack.compose(*ask)
    name = 'haproxy_backend_active_servers{proxy="replicas"} '
    return next(int(line[len(name) :]) for line in text.splitlines() if line.startswith(name))


def _seconds_until_events(stack: Stack, load: Load, began: float) -> float:
    """Wait until the end of a run that ended after *began* has been stored as an event."""
    known = set(load.completed)
    eventually(lambda: load.completed - known, what="a run ends again")
    fresh = min(load.completed - known)
    body = {
        "filter": {
            "event": {"name": ["prefect.flow-run.Completed"]},
            "resource": {"id": [f"prefect.flow-run.{fresh}"]},
        }
    }
    with stack.prefect() as client:
        eventually(
            lambda: client.post("/events/filter", json=body).raise_for_status().json()["total"],
            what="events are stored again",
            within=120,
        )
    return time.time() - began


def _ended(stack: Stack, runs: Sequence[str], *, worker_dies: bool) -> Mapping[str, str]:
    """Return each run's last state; where it dies with its worker, the state that it has now."""
    with stack.prefect() as client:
        if not worker_dies:
            eventually(
                lambda: all(_states(client, runs, *_TERMINAL)), what="the flows end", within=240
            )
        return {run: str(_run(client, run)["state_type"]) for run in runs}


@contextmanager
def _overheard(stack: Stack) -> Iterator[Path]:
    """Write to a file what the worker says, also of a container that is removed meanwhile."""
    worker = stack.container("prefect-worker").id
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "worker"
        with (
            file.open("w") as into,
            subprocess.Popen(["docker", "logs", "-f", worker], stdout=into) as tail,
        ):
            try:
                yield file
            finally:
                tail.terminate()


def _said(stack: Stack) -> str:
    return "".join(worker.log() for worker in stack.containers("prefect-worker"))


def executed(said: str, runs: Sequence[str]) -> set[str]:
    """Return the task runs that the flows of *runs* have said they have done."""
    # Not by lines: two processes may write one together.
    marks = re.findall(rf"{MARK} ([0-9a-f-]{{36}}) ([0-9a-f-]{{36}})", said)
    return {task for flow, task in marks if flow in runs}


def unrecorded(stack: Stack, tasks: set[str], *, within: float = 60.0) -> int:
    """Return how many of *tasks* the server does not come to have as completed."""
    deadline = time.monotonic() + within
    while (missing := len(tasks) - _recorded(stack, sorted(tasks))) and time.monotonic() < deadline:
        time.sleep(1)
    return missing


def _recorded(stack: Stack, tasks: Sequence[str]) -> int:
    body = {"task_runs": {"id": {"any_": list(tasks)}, "state": {"type": {"any_": ["COMPLETED"]}}}}
    with stack.prefect() as client:
        return int(client.post("/task_runs/count", json=body).raise_for_status().json())


def eventually_kept(stack: Stack, load: Load, *, within: float = 30.0) -> Kept:
    """Return what the server has of *load* once its events have been stored, or time is up."""
    deadline = time.monotonic() + within
    while (found := kept(stack, load)).silent and time.monotonic() < deadline:
        time.sleep(1)
    return found


def alerts(stack: Stack, since: float) -> Mapping[str, Sequence[str]]:
    """Return which alerts were ``firing`` or only ``pending`` since then, and were not before."""
    now = time.time()
    firing = _alerts(stack, "firing", since, now) - _alerts(stack, "firing", since - 60, since)
    pending = _alerts(stack, "pending", since, now) - _alerts(stack, "pending", since - 60, since)
    return {"firing": sorted(firing), "pending": sorted(pending - firing)}


def _alerts(stack: Stack, state: str, begin: float, end: float) -> set[str]:
    selection = f'ALERTS{{alertstate="{state}"}}[{end - begin:.0f}s] @ {end:.0f}'
    return {it.labels["alertname"] for it in query(stack, f"present_over_time({selection})")}


def crash(service: str) -> Break:
    """Let a process die as the kernel would kill it: Docker starts it again."""

    def harm(stack: Stack) -> None:
        container = _one(stack, service)
        container.crash(stack.container("init").inspected["Config"]["Image"])
        eventually(
            lambda: container.begun != _named(stack, container.name).begun,
            what=f"Docker starts {service} again",
        )

    return harm


def kill(service: str, *, away: float = 20.0) -> Break:
    """Do ``docker kill``, which Docker takes for a wish; ``docker start`` some seconds later."""

    def harm(stack: Stack) -> None:
        container = _one(stack, service)
        docker("kill", container.id)
        time.sleep(away)
        docker("start", container.id)

    return harm


def stop(service: str, *, away: float = 20.0) -> Break:
    """Do ``docker stop``, and ``docker start`` some seconds later."""

    def harm(stack: Stack) -> None:
        container = _one(stack, service)
        docker("stop", container.id)
        time.sleep(away)
        docker("start", container.id)

    return harm


def pause(service: str, *, seconds: float = 60.0) -> Break:
    """Do ``docker pause``: the process hangs, and its connections stay open."""

    def harm(stack: Stack) -> None:
        container = _one(stack, service)
        docker("pause", container.id)
        time.sleep(seconds)
        docker("unpause", container.id)

    return harm


def _one(stack: Stack, service: str) -> Container:
    return stack.containers(service)[0]


def _named(stack: Stack, name: str) -> Container:
    return next(one for one in stack.containers() if one.name == name)


HEADS = (
    "fault",
    "runs accepted",
    "lost",
    "overtaken",
    "made twice",
    "task runs done / not recorded",
    "events missing",
    "requests failed / sent",
    "runs that failed after retries",
    "s of failed requests",
    "s until all healthy",
    "s until events flow",
    "the worker's runs",
    "alerts (about to fire)",
)


def table(costs: Sequence[Cost]) -> str:
    """Return what each fault has cost, as Markdown."""
    rows = [HEADS, tuple("---" for _ in HEADS), *map(_row, costs)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(it: Cost) -> tuple[str, ...]:
    about = f" ({', '.join(it.alerts['pending'])})" if it.alerts["pending"] else ""
    return (
        it.fault,
        str(it.accepted),
        str(it.kept.lost + it.kept.unfinished),
        str(it.kept.overtaken),
        str(it.kept.twice),
        f"{it.executed} / {it.unrecorded}",
        str(it.kept.silent),
        f"{_counts(it.raw)} / {it.tried}",
        str(it.final),
        f"{it.failing:.0f}",
        f"{it.well:.0f}",
        f"{it.events:.0f}",
        ", ".join(it.runs).lower(),
        f"{', '.join(it.alerts['firing']) or 'none'}{about}",
    )


def _counts(raw: Mapping[str, int]) -> str:
    """Return the sum, and what it is made of."""
    parts = ", ".join(f"{number} {what}" for what, number in sorted(raw.items()))
    return f"{sum(raw.values())} ({parts})" if parts else "0"
