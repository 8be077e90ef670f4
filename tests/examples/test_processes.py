"""Programs are started, watched and ended."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from demo.processes import NotReadyError, Process, Program, free_port, wait_until

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(60)
"""
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"],
                         start_new_session=True)
print("child", child.pid, flush=True)
time.sleep(60)
"""
GREETING = "import time; print('up', flush=True); time.sleep(60)"

Start = Callable[..., Process]


@pytest.fixture(name="start")
def _start(tmp_path: Path) -> Iterator[Start]:
    started: list[Process] = []
    log = tmp_path / "program.log"

    def start(code: str, *, until: str = "up", ready_within: float = 10.0) -> Process:
        program = Program(
            name="program",
            argv=[sys.executable, "-c", code],
            env={},
            ready=lambda: until in log.read_text(),
            ready_within=ready_within,
        )
        started.append(Process(program, log=log, cwd=tmp_path))
        started[-1].start()
        return started[-1]

    yield start
    for process in started:
        process.kill()


def test_free_port_is_the_preferred_one_where_nobody_listens() -> None:
    """A usual port is taken when it can be had."""
    port = free_port()

    assert port == free_port(port)


def test_free_port_is_another_one_where_somebody_listens() -> None:
    """A port in use is never handed out."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert port != free_port(port)


def test_program_that_ends_early_is_reported_with_its_last_words(start: Start) -> None:
    """The error names the exit code and shows the log, without waiting for the deadline."""
    process = start("import sys; print('no such setting'); sys.exit(3)")

    with pytest.raises(NotReadyError, match=r"program ended with code 3(?s:.)*no such setting"):
        process.wait_ready()


def test_program_that_never_answers_is_reported(start: Start) -> None:
    """The wait for an answer has an end."""
    process = start(GREETING, until="never", ready_within=0.2)

    with pytest.raises(NotReadyError, match=r"did not answer in 0\.2 s"):
        process.wait_ready()


def test_stop_asks_first(start: Start) -> None:
    """A program that obeys SIGTERM ends by it."""
    process = start(GREETING)
    process.wait_ready()

    assert process.stop() == -15
    assert not process.running


def test_stop_kills_who_does_not_obey(start: Start) -> None:
    """A program that ignores SIGTERM is killed after the grace."""
    process = start(STUBBORN)
    process.wait_ready()

    assert process.stop(grace=0.2) == -9


@pytest.mark.parametrize("end", [Process.stop, Process.kill], ids=["stop", "kill"])
def test_children_in_sessions_of_their_own_end_too(
    start: Start, end: Callable[[Process], object]
) -> None:
    """Whatever a program started ends with it."""
    process = start(PARENT, until="child")
    process.wait_ready()
    child = psutil.Process(int(process.log_tail().split()[1]))

    end(process)

    assert not child.is_running()


def test_restart_after_kill_keeps_the_log(start: Start) -> None:
    """A killed program runs again under a new process id, and its log goes on."""
    process = start(GREETING)
    process.wait_ready()
    first = process.pid

    process.kill()
    process.restart()
    wait_until(lambda: process.log_tail() == "up\nup", within=10, what="the second greeting")

    assert first != process.pid
    assert process.running


def test_stop_before_start_does_nothing(tmp_path: Path) -> None:
    """A program that was never started can be stopped."""
    program = Program(name="program", argv=["true"], env={}, ready=lambda: True)

    assert Process(program, log=tmp_path / "log", cwd=tmp_path).stop() is None


def test_wait_until_says_what_did_not_come_about() -> None:
    """A condition that never holds is named in the error."""
    with pytest.raises(TimeoutError, match="peace did not come about in 0 s"):
        wait_until(lambda: False, within=0, what="peace")
