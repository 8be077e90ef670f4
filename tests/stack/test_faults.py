"""What each fault costs a stack at work: no run that the API has accepted, and nobody's hand."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from stack.asking import eventually, query
from stack.compose import ROOT, Stack, docker
from stack.conftest import Say
from stack.faulting import Cost, Fault, cost, crash, deploy, kill, pause, stop, table
from stack.installing import installed

pytestmark = pytest.mark.stack

_FULL = os.environ.get("PREFECT_STACK") == "full"

_FAULTS = [
    Fault(name="an API replica dies (SIGKILL)", harm=crash("prefect-api")),
    Fault(name="an API replica is stopped for 20 s", harm=stop("prefect-api")),
    Fault(
        name="an API replica is killed by hand (`docker kill`) for 20 s",
        harm=kill("prefect-api"),
    ),
    Fault(
        name="an API replica hangs for 60 s",
        harm=pause("prefect-api"),
        hangs=True,
        tasks=90,
    ),
    Fault(name="the background services die", harm=crash("prefect-services")),
    Fault(name="the background services are stopped for 20 s", harm=stop("prefect-services")),
    Fault(name="Redis dies", harm=crash("redis")),
    Fault(name="Redis is stopped for 20 s", harm=stop("redis"), tasks=60),
    Fault(name="PostgreSQL dies", harm=crash("postgres")),
    Fault(name="PostgreSQL is stopped for 20 s", harm=stop("postgres"), tasks=60),
    Fault(name="the proxy dies", harm=crash("prefect-proxy")),
    Fault(name="the proxy is stopped for 20 s", harm=stop("prefect-proxy"), tasks=90),
    Fault(name="the worker dies", harm=crash("prefect-worker"), worker_dies=True),
    Fault(name="the worker is stopped for 20 s", harm=stop("prefect-worker"), worker_dies=True),
]

# Of each kind one, so that all of them take a few minutes.
_LEAN = [
    Fault(
        name="an API replica dies (SIGKILL)",
        harm=crash("prefect-api"),
        tasks=20,
    ),
    Fault(
        name="an API replica hangs for 20 s",
        harm=pause("prefect-api", seconds=20),
        hangs=True,
        tasks=30,
    ),
    Fault(name="Redis dies", harm=crash("redis"), tasks=30),
    Fault(name="PostgreSQL dies", harm=crash("postgres"), tasks=30),
]

_FLOWS = ROOT / "tests" / "stack" / "flows.yml"
_FORMER = "prefecthq/prefect:3.8.7-python3.13"
_SERVERS = ("prefect-api", "prefect-services")

_SETTLE = 10.0 if _FULL else 4.0


@dataclass(frozen=True, slots=True)
class _Update:
    """A stack that was brought from another version to its own; what that has cost, if it was."""

    stack: Stack
    paid: Cost | None
    before: Mapping[str, str]


@pytest.fixture(name="update", scope="module")
def _update(absent: list[str], say: Say) -> Iterator[_Update]:
    """A Prefect with a worker and what watches them, all green, after a rolling update."""
    left_out = {*absent, "backup", "container-logs", "grafana", "jaeger", "loki"}
    with installed("faults", sorted(left_out)) as stack:
        served = replace(stack.having("server"), overrides=(_FLOWS,))
        former = replace(served, overrides=(_FLOWS, _former(stack, say))) if _FULL else served
        say(f"profile server, for faults: all healthy after {former.up():.0f} s")
        deploy(former)
        before = _ids(served)
        yield _Update(served, cost(served, _ROLLING) if _FULL else None, before)


def _former(stack: Stack, say: Say) -> Path:
    """Write an override with the version before, where its image is there, and another setting."""
    there = bool(docker("images", "--quiet", _FORMER))
    say(f"the version before the update: {_FORMER if there else 'the same, with another setting'}")
    image = f"    image: {_FORMER}\n" if there else ""
    setting = "    environment: {PREFECT_LOGGING_COLORS: 'false'}\n"
    servers = "".join(f"  {name}:\n{image}{setting}" for name in _SERVERS)
    file = stack.folder / "former.yml"
    file.write_text(f"services:\n{servers}  prefect-worker:\n{setting}")
    return file


def _rolled(stack: Stack) -> None:
    files = [ROOT / "docker-compose.yml", *stack.overrides]
    env = os.environ | {
        "COMPOSE_FILE": ":".join(map(str, files)),
        "COMPOSE_PROJECT_NAME": stack.name,
        "COMPOSE_ENV_FILES": str(stack.folder / ".env"),
    }
    program = ROOT / "scripts" / "rolling-update"
    ran = subprocess.run([program], env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


_ROLLING = Fault(name="a rolling update", harm=_rolled, tasks=90)


@pytest.fixture(name="faulted", scope="module")
def _faulted(update: _Update) -> Stack:
    """The stack, on its own version."""
    return update.stack


def _ids(stack: Stack) -> Mapping[str, str]:
    return {one.id: one.service for one in stack.containers()}


@pytest.fixture(name="costs", scope="module")
def _costs(say: Say) -> Iterator[list[Cost]]:
    """What each fault has cost; the table of it is said, and written to PREFECT_STACK_FAULTS."""
    costs: list[Cost] = []
    yield costs
    say(table(costs))
    if file := os.environ.get("PREFECT_STACK_FAULTS"):
        Path(file).write_text(table(costs) + "\n")


@pytest.mark.skipif(not _FULL, reason="the lean form has no time for it")
def test_no_request_fails_while_versions_change(update: _Update, costs: list[Cost]) -> None:
    """Replicas, services and worker are new, as many as before, and nobody has noticed."""
    assert update.paid is not None
    costs.append(update.paid)

    after = _ids(update.stack)
    for service in (*_SERVERS, "prefect-worker"):
        old, new = _of(service, update.before), _of(service, after)
        assert (set(), len(old)) == (old & new, len(new))
    assert update.paid.raw == {}
    _blameless(update.paid)
    assert {"COMPLETED"} == set(update.paid.runs)


def _of(service: str, ids: Mapping[str, str]) -> set[str]:
    return {id_ for id_, one in ids.items() if one == service}


@pytest.mark.skipif(not _FULL, reason="the lean form has no time for it")
def test_an_update_that_is_done_does_nothing(update: _Update) -> None:
    """Run again, it leaves every container as it is."""
    before = _ids(update.stack)

    _rolled(update.stack)

    assert before == _ids(update.stack)


@pytest.mark.parametrize("fault", _FAULTS if _FULL else _LEAN, ids=lambda fault: fault.name)
def test_no_accepted_run_is_lost(faulted: Stack, costs: list[Cost], fault: Fault) -> None:
    """Each is there, ended as the API was told, and clients that try again see no failure.

    Ends of task runs go by events, which a replica, the services or Redis may have in memory alone:
    how many are lost is measured and told. A replica that hangs may carry out late what another has
    done meanwhile: Prefect lets a run leave Completed where its result is not persisted.
    """
    paid = cost(faulted, fault, settle=_SETTLE)

    costs.append(paid)
    _blameless(paid)
    assert fault.hangs or paid.kept.overtaken == 0
    assert fault.worker_dies or {"COMPLETED"} == set(paid.runs)


def _blameless(paid: Cost) -> None:
    assert (0, 0) == (paid.kept.lost, paid.kept.unfinished)
    assert paid.final == 0
    assert paid.accepted > 0


@pytest.mark.skipif(not _FULL, reason="it takes as long as the alert waits")
def test_a_replica_that_is_gone_for_good_is_told(faulted: Stack, say: Say) -> None:
    """The alert of a missing replica fires, and none that says that the server is down."""
    gone = faulted.containers("prefect-api")[0]
    began = time.monotonic()
    docker("kill", gone.id)
    firing = 'ALERTS{alertname="PrefectServerReplicaDown", alertstate="firing"}'

    eventually(lambda: query(faulted, firing), what=firing, within=600)
    say(f"PrefectServerReplicaDown fired {time.monotonic() - began:.0f} s after a replica was gone")
    down = 'ALERTS{alertname=~"PrefectServer(Down|NotReady)", alertstate="firing"}'
    wrong = query(faulted, down)
    docker("start", gone.id)

    assert [] == wrong
