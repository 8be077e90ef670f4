"""Start real programs, wait until they answer, and end them with all that they started."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

_POLL_SECONDS = 0.1
# Below the range that the kernel takes for outgoing connections (32768 and up on Linux): a port
# found free here is not taken by a client's socket before the program has bound it.
_PORTS = range(20_000, 30_000)


class NotReadyError(Exception):
    """A program ended, or did not answer in time; the message ends with the tail of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run, and how to tell that it works.

    Args:
        name: Names the log file and appears in messages.
        env: The whole environment; nothing else is inherited.
        ready: Tells whether the program answers; it may raise ``httpx.HTTPError`` for no.
        ready_within: Seconds until the program counts as failed.
        user: The account to run under; None for the caller's own.
        stop_signal: What asks this program to end in an orderly way.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    ready: Callable[[], bool]
    ready_within: float = 60.0
    user: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM


class Process:
    """One program at work, in a session of its own, with its output in *log*.

    It can be started again after `stop` or `kill`, with the same arguments, for tests of recovery.
    """

    def __init__(self, program: Program, *, log: Path, cwd: Path) -> None:
        self.program = program
        self.log = log
        self._cwd = cwd
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the running program; raises ``RuntimeError`` before `start`."""
        if self._popen is None:
            raise RuntimeError(f"{self.program.name} was never started")
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether the program has been started and has not ended."""
        return self._popen is not None and self._popen.poll() is None

    def start(self) -> None:
        """Start the program without waiting for it; appends to the log."""
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                self.program.argv,
                env=dict(self.program.env),
                cwd=self._cwd,
                user=self.program.user,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_ready(self) -> None:
        """Return once the program answers; raise `NotReadyError` if it ends or takes too long."""
        deadline = time.monotonic() + self.program.ready_within
        while not answers(self.program.ready):
            self.check()
            if time.monotonic() > deadline:
                raise self._not_ready(f"did not answer in {self.program.ready_within:g} s")
            time.sleep(_POLL_SECONDS)

    def check(self) -> None:
        """Raise `NotReadyError`, with the log's tail, if the program has ended by itself."""
        if not self.running:
            raise self._not_ready(f"ended with code {self.wait(0)}")

    def stop(self, *, grace: float = 10.0) -> int | None:
        """Ask the program to end, and after *grace* seconds kill it and all that it started.

        Returns:
            The exit code (negative: the signal), or None if it was never started.
        """
        if self._popen is None:
            return None
        family = descendants(self._popen.pid)
        if self.running:
            self._popen.send_signal(self.program.stop_signal)
        try:
            self._popen.wait(grace)
        except subprocess.TimeoutExpired:
            family += descendants(self._popen.pid)
            self._popen.kill()
        end(family)
        return self._popen.wait()

    def kill(self) -> None:
        """Kill the program and all that it started, as a power cut would."""
        if self._popen is None:
            return
        family = descendants(self._popen.pid)
        self._popen.kill()
        end(family)
        self._popen.wait()

    def restart(self) -> None:
        """Stop the program if it runs, start it again and wait until it answers."""
        self.stop()
        self.start()
        self.wait_ready()

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once the program has ended by itself."""
        if self._popen is None:
            raise RuntimeError(f"{self.program.name} was never started")
        return self._popen.wait(timeout)

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines that the program wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _not_ready(self, why: str) -> NotReadyError:
        tail = self.log_tail() or "(it wrote nothing)"
        return NotReadyError(f"{self.program.name} {why}. The end of its log:\n{tail}")


def answers(ready: Callable[[], bool]) -> bool:
    """Return what *ready* says, and False where it cannot ask."""
    try:
        return ready()
    except httpx.HTTPError:
        return False


def answers_at(url: str) -> Callable[[], bool]:
    """Return a check that *url* answers with 2xx."""
    return lambda: httpx.get(url, timeout=2.0, trust_env=False).is_success


def wait_until(check: Callable[[], bool], *, within: float, what: str) -> None:
    """Return once *check* says so; raise ``TimeoutError`` naming *what* after *within* seconds."""
    deadline = time.monotonic() + within
    while not answers(check):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come about in {within:g} s")
        time.sleep(_POLL_SECONDS)


def free_port(preferred: int | None = None) -> int:
    """Return *preferred* where nothing listens on it, else any loopback port that is free."""
    candidates = [] if preferred is None else [preferred]
    candidates += random.sample(_PORTS, 100)
    for port in candidates:
        with socket.socket() as probe:
            # As servers do: a port whose old connections linger in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port on 127.0.0.1")


def descendants(pid: int) -> list[psutil.Process]:
    """Return every process below *pid*, in whatever session; empty where *pid* is gone."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def end(family: Sequence[psutil.Process]) -> None:
    """Kill the given processes and wait until they are gone.

    psutil compares start times, so that a process id in new hands is left alone.
    """
    for process in family:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(family, timeout=5)
