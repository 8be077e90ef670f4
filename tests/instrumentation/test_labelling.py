"""A run waits for its labels to be stored, but neither for long nor over and over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from threading import Event
from typing import Literal, TypeAlias

import pytest

from exporting import run
from prefect_instrumentation._prefect.labelling import PAUSE, TIMEOUT, Labelling

Mode: TypeAlias = Literal["sync", "async"]

NOISE = 5.0
"""Seconds by which a busy machine may be late."""

LABELS = {"label": "value"}


@dataclass
class Clock:
    """Tells the time that a test has set."""

    now: float = 0.0

    def __call__(self) -> float:
        """Return it, in seconds."""
        return self.now


@dataclass
class Server:
    """Stands in for Prefect's two clients, and keeps the ids of the runs it was asked for."""

    error: Exception | None = None
    silent: bool = False
    asked: list[str] = field(default_factory=list)
    stored: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)
    closed: Event = field(default_factory=Event)

    def update_flow_run_labels(self, run_id: str, labels: Mapping[str, object]) -> None:
        """Store them, fail, or hang."""
        self._ask(run_id)
        if self.silent:
            self.closed.wait(60)
        self.stored.append((run_id, labels))

    async def update_async(self, run_id: str, labels: Mapping[str, object]) -> None:
        """Do the same, asynchronously."""
        self._ask(run_id)
        if self.silent:
            await asyncio.sleep(60)
        self.stored.append((run_id, labels))

    def _ask(self, run_id: str) -> None:
        self.asked.append(run_id)
        if self.error:
            raise self.error


@pytest.fixture
def server() -> Iterator[Server]:
    """Return a server that answers; nobody hangs on it after the test."""
    server = Server()
    yield server
    server.closed.set()


def store(labelling: Labelling, server: Server, run_id: str, mode: Mode) -> float:
    """Store the labels of a run, and return the seconds it took."""
    before = time.monotonic()
    if mode == "sync":
        labelling.store(server, run_id, LABELS)
    else:
        asyncio.run(labelling.store_async(server.update_async, run_id, LABELS))
    return time.monotonic() - before


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_labels_are_stored(server: Server, mode: Mode) -> None:
    """They are on the server when the run goes on, for each run anew."""
    labelling = Labelling(Clock())
    store(labelling, server, "run-1", mode)
    store(labelling, server, "run-2", mode)

    assert [("run-1", LABELS), ("run-2", LABELS)] == server.stored


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_silent_server_keeps_runs_waiting_once_in_a_while(server: Server, mode: Mode) -> None:
    """The first run waits for the time-out; those of the pause do not ask, the next does."""
    clock = Clock()
    labelling = Labelling(clock)
    server.silent = True
    took = store(labelling, server, "first", mode)
    server.silent = False
    for clock.now in (0.0, PAUSE - 0.1):
        store(labelling, server, "paused", mode)
    paused = list(server.asked)
    clock.now = PAUSE
    store(labelling, server, "next", mode)

    assert TIMEOUT - 0.1 < took < TIMEOUT + NOISE
    assert ["first"] == paused
    assert ["first", "next"] == server.asked
    assert [("next", LABELS)] == server.stored


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_server_that_refuses_is_asked_again(server: Server, mode: Mode) -> None:
    """It costs no time, so there is no pause; and no error comes out."""
    labelling = Labelling(Clock())
    server.error = ConnectionError("refused")
    store(labelling, server, "refused", mode)
    server.error = None
    store(labelling, server, "next", mode)

    assert ["refused", "next"] == server.asked
    assert [("next", LABELS)] == server.stored


WARNED = """
import asyncio
from prefect_instrumentation._prefect.labelling import Labelling

class Client:
    def update_flow_run_labels(self, run_id, labels):
        raise ConnectionError("https://me:s3cr3t@example.com")

async def update(run_id, labels):
    raise ConnectionError("https://me:s3cr3t@example.com")

labelling = Labelling()
for _ in range(3):
    labelling.store(Client(), "run-1", {"label": "w3ird"})
    asyncio.run(labelling.store_async(update, "run-1", {"label": "w3ird"}))
"""


@pytest.mark.parametrize("left_out", ["labelling.store(", "asyncio.run("], ids=["async", "sync"])
def test_failure_is_told_once_and_not_quoted(left_out: str) -> None:
    """The error's text may hold an address with a password: its class is enough."""
    code = "\n".join(line for line in WARNED.splitlines() if left_out not in line)

    told = (
        "The labels of a flow run were not stored (ConnectionError):"
        " other processes may lose its trace."
    )

    assert (told,) == run(code, prelude="").complaints
