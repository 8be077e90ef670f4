"""Runs a server beside a job for as long as a block lasts."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from backup.errors import ProgramFailed

_GRACE_SECONDS = 15.0
_POLL_SECONDS = 0.1
_TAIL_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What to run, and how to tell that it works.

    Args:
        env: The whole environment; nothing else is inherited.
        log: Where its output goes; its folder is where it runs.
        ready: Tells whether it answers.
        stop: The signal that ends it in an orderly way; it gets that also where this program dies.
        user: The account that it runs under; None for our own.
    """

    argv: Sequence[str]
    env: Mapping[str, str]
    log: Path
    ready: Callable[[], bool]
    ready_within: float = 60.0
    stop: signal.Signals = signal.SIGTERM
    user: str | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.log.stem


@contextmanager
def running(server: Server) -> Iterator[None]:
    """Start *server*, wait until it answers, and end it with the block, whatever happens.

    Raises:
        ProgramFailed: It ended, or did not answer in time; with the last line of its log.
    """
    with server.log.open("wb") as log:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", server.stop.name.removeprefix("SIG"), "--", *server.argv],
            env=dict(server.env),
            cwd=server.log.parent,
            user=server.user,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_ready(server, process)
        yield
    finally:
        _end(process, server.stop)


def _wait_ready(server: Server, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + server.ready_within
    while not server.ready():
        if (code := process.poll()) is not None:
            raise ProgramFailed(server.name, _last_line(server.log), code)
        if time.monotonic() > deadline:
            said = f"no answer in {server.ready_within:g} s; {_last_line(server.log)}"
            raise ProgramFailed(server.name, said, -signal.SIGKILL)
        time.sleep(_POLL_SECONDS)


def _end(process: subprocess.Popen[bytes], stop: signal.Signals) -> None:
    # Its own children have its group, which is left to itself only once it is empty.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, stop)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_line(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(log.stat().st_size - _TAIL_BYTES, 0))
        lines = file.read().decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "it wrote nothing")
