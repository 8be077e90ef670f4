"""Runs flows of the pipeline as it is told, and ends or halts in the middle where it is told.

``python -m order_runs SOCKET`` takes one JSON job after another at a Unix socket: a process that
has imported everything once. Where it ends is said by a step of its own file work, which Python's
audit events tell of before each is done: no code under test is changed for it.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import StrEnum
from fnmatch import fnmatch
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any

from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings

FLOWS = {
    "client-batch": "etl.batch:client_batch",
    "replay-dead-letters": "etl.replay:replay_dead_letters",
}


class Moment(StrEnum):
    """A step of a batch's file work: the process ends or halts before it, or right after it."""

    REJECTED = "the rejected rows of a chunk are there, its part is not"
    PART = "the part is there, its dead letters are not"
    PLANNED = "it is written down what belongs to the batch, nothing is read"
    SPOOLED = "pages are on the disk, nothing is checked"
    REPLAYED = "the replayed rows are there, the dead letters still wait"
    REPLAYING = "the replayed rows are written, and not yet there"


_LINKS = ("os.link", "os.rename")
# Which link or rename it is, by the name that comes about; whether it is done first.
_STEPS: Mapping[Moment, tuple[str, bool]] = {
    Moment.PLANNED: ("*/_plans/*", True),
    Moment.SPOOLED: ("*/_spool/*", True),
    Moment.REJECTED: ("*/rejected/.part-*", True),
    Moment.PART: ("*/part-*.parquet", True),
    Moment.REPLAYING: ("*/replayed/*.parquet", False),
    Moment.REPLAYED: ("*/replayed/*.parquet", True),
}


class Trap:
    """Sends a signal to its own process at a moment of its file work, once it is set."""

    def __init__(self) -> None:
        self._moment: Moment | None = None
        self._signal = signal.SIGKILL
        self._thread: int | None = None
        sys.addaudithook(self._hear)

    def set(self, moment: Moment, what: signal.Signals) -> None:
        """Wait for that moment."""
        self._moment, self._signal, self._thread = moment, what, None

    def unset(self) -> None:
        """Wait no more."""
        self._moment = None

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._moment is None:
            return
        if self._thread is not None:
            # Whatever the thread does next, the step before it is done.
            if self._thread == threading.get_ident():
                self._spring()
        elif event in _LINKS and self._names(os.fsdecode(arguments[1])):
            if _STEPS[self._moment][1]:
                self._thread = threading.get_ident()
            else:
                self._spring()

    def _names(self, path: str) -> bool:
        assert self._moment is not None
        aside = self._moment is Moment.PART and "/rejected/" in path
        return not aside and fnmatch(path, _STEPS[self._moment][0])

    def _spring(self) -> None:
        self._moment = None
        os.kill(os.getpid(), self._signal)


def main() -> None:
    """Listen at the socket that the first argument names, and do what comes, until it closes."""
    _flow(FLOWS["client-batch"])
    trap = Trap()
    with (
        Listener(sys.argv[1], family="AF_UNIX") as listener,
        listener.accept() as connection,
        suppress(EOFError),
    ):
        while True:
            job = json.loads(connection.recv_bytes())
            _send(connection, _done(_flow(FLOWS[job["flow"]]), job, trap))


def _done(flow: Callable[..., Any], job: Mapping[str, Any], trap: Trap) -> Mapping[str, Any]:
    os.environ.update(job["env"])
    if job["moment"]:
        trap.set(Moment(job["moment"]), signal.Signals(job["signal"]))
    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: Path(job["storage"])}):
        state = flow(**job["parameters"], return_state=True)
    trap.unset()
    return {"type": state.type.value, "name": state.name, "message": state.message or ""}


def _flow(entrypoint: str) -> Callable[..., Any]:
    module, _, name = entrypoint.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


def _send(connection: Connection, message: Mapping[str, Any]) -> None:
    connection.send_bytes(json.dumps(message).encode())


if __name__ == "__main__":
    main()
