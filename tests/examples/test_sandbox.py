"""A sandbox leaves nothing behind, however its owner ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from demo.keeper import marked
from demo.processes import NotReadyError, Program, wait_until
from demo.sandbox import Sandbox, find_program

# A child that leaves its parent, as daemons do: no process group and no tree leads to it. It is up
# once the process between the two is gone, which would be counted too.
DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(60)
    os._exit(0)
os.wait()
open("daemon-is-up", "w").close()
time.sleep(60)
"""
OWNER = f"""
import signal, sys, time
from pathlib import Path
from demo.processes import Program
from demo.sandbox import Sandbox
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # what nohup starts ignores it
sandbox = Sandbox()
sandbox.start(Program(
    name="daemon",
    argv=[sys.executable, "-c", {DAEMON!r}],
    env=sandbox.environment(),
    ready=(sandbox.folder / "daemon-is-up").exists,
))
print(sandbox.mark, sandbox.folder, flush=True)
time.sleep(60)
"""


def _daemon(sandbox: Sandbox) -> Program:
    return Program(
        name="daemon",
        argv=[sys.executable, "-c", DAEMON],
        env=sandbox.environment(),
        ready=(sandbox.folder / "daemon-is-up").exists,
    )


def test_close_ends_daemons_and_removes_the_folder() -> None:
    """Also a process that has left its parents is gone afterwards."""
    with Sandbox() as sandbox:
        sandbox.start(_daemon(sandbox))
        running = len(list(marked(sandbox.mark)))

    assert running == 2
    assert list(marked(sandbox.mark)) == []
    assert not sandbox.folder.exists()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGHUP, signal.SIGTERM])
def test_killed_owner_leaves_nothing(how: signal.Signals) -> None:
    """The keeper cleans up for an owner that could not."""
    path = os.pathsep.join(sys.path)
    with subprocess.Popen(
        [sys.executable, "-c", OWNER],
        env={"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        mark, folder = owner.stdout.readline().split()
        running = len(list(marked(mark)))
        owner.send_signal(how)
        assert -how == owner.wait()
        wait_until(lambda: not Path(folder).exists(), within=60, what="the end of the folder")

    assert running == 2
    assert list(marked(mark)) == []


def test_failed_start_leaves_nothing() -> None:
    """A program that does not come up takes the whole sandbox down."""
    with pytest.raises(NotReadyError), Sandbox() as sandbox:
        sandbox.start(
            Program(name="false", argv=["false"], env=sandbox.environment(), ready=lambda: False)
        )

    assert not sandbox.folder.exists()


def test_check_names_a_program_that_has_ended() -> None:
    """A part that dies later is reported with its log."""
    with Sandbox() as sandbox:
        process = sandbox.start(_daemon(sandbox))
        sandbox.check()
        process.kill()

        with pytest.raises(NotReadyError, match="daemon ended with code -9"):
            sandbox.check()


def test_environment_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that the person has set for Prefect, and no home of theirs, reaches a program."""
    monkeypatch.setenv("PREFECT_API_KEY", "pnu_secret")

    with Sandbox() as sandbox:
        env = sandbox.prefect_environment("server", PREFECT_API_URL="http://127.0.0.1:1/api")

    assert "PREFECT_API_KEY" not in env
    assert str(sandbox.folder / "home") == env["HOME"]
    assert str(sandbox.folder / "server") == env["PREFECT_HOME"]
    assert env["PREFECT_API_URL"] == "http://127.0.0.1:1/api"


def test_subfolders_are_private() -> None:
    """Other accounts may pass through the folder but not read in it."""
    with Sandbox() as sandbox:
        modes = [path.stat().st_mode & 0o777 for path in (sandbox.folder, sandbox.subfolder("a"))]

    assert [0o711, 0o700] == modes


def test_find_program_takes_the_first_installed_name() -> None:
    """Names that are not installed are passed over."""
    assert find_program("no-such-program", "sh") == find_program("sh")
    assert find_program("no-such-program") is None
