"""The throw-away PostgreSQL and its folder end with the block, whatever ends that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from backup import scratch
from backup.background import Server, running
from backup.errors import BadSetting, ProgramFailed
from demo.processes import wait_until

pytestmark = pytest.mark.real

_HOLDER = """
import signal, sys, time
from pathlib import Path
from backup import scratch
from backup.programs import Terminated

def end(number, frame):
    raise Terminated

signal.signal(signal.SIGTERM, end)
with scratch.workspace(Path(sys.argv[1])) as folder, scratch.postgres(folder) as postgres:
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture(name="folder")
def _folder() -> Iterator[Path]:
    # Where also the account of PostgreSQL may pass, which pytest's own folders are not.
    with tempfile.TemporaryDirectory(prefix="prefect-scratch-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


def test_scratch_postgres_takes_statements_and_is_on_no_network(folder: Path) -> None:
    """It works by its socket, whose folder is its owner's, and listens at no port."""
    with scratch.workspace(folder) as work, scratch.postgres(work) as postgres:
        with postgres.connect() as connection:
            row = connection.execute("SHOW listen_addresses").fetchone()
        mode = postgres.socket.stat().st_mode & 0o777
        first = min(_processes(work), key=psutil.Process.create_time)
        listening = first.net_connections("tcp")

    assert (("",), 0o700, []) == (row, mode, listening)


def test_nothing_is_left_after_the_block(folder: Path) -> None:
    """Neither its folder nor a process remains, also where the block fails."""
    processes: list[psutil.Process] = []

    def fail() -> None:
        with scratch.workspace(folder) as work, scratch.postgres(work):
            processes.extend(_processes(work))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert processes
    assert ([], []) == (list(folder.iterdir()), _alive(processes))


def test_sigterm_ends_it(folder: Path) -> None:
    """Whoever is told to end takes the PostgreSQL and its folder along."""
    with _holder(folder) as (holder, processes):
        holder.send_signal(signal.SIGTERM)
        holder.wait(30)

        assert ([], []) == (list(folder.iterdir()), _alive(processes))


def test_sigkill_ends_it_and_the_next_block_removes_its_folder(folder: Path) -> None:
    """A killed program leaves a folder, no process, and nothing in the way of the next."""
    with _holder(folder) as (holder, processes):
        [left] = folder.iterdir()
        holder.kill()
        wait_until(lambda: not _alive(processes), within=30, what="the end of PostgreSQL")
        assert left.exists()

        with scratch.workspace(folder) as work, scratch.postgres(work):
            assert [work] == list(folder.iterdir())


def test_folder_of_a_job_at_work_is_left_alone(folder: Path) -> None:
    """A second block removes only what nobody holds."""
    with scratch.workspace(folder) as first, scratch.workspace(folder) as second:
        assert {first, second} == set(folder.iterdir())


def test_path_too_long_for_a_socket_is_named(folder: Path) -> None:
    """The setting that is too long is named before anything is started."""
    too_long = folder / ("x" * 100)
    too_long.mkdir()
    with (
        pytest.raises(BadSetting, match="PREFECT_BACKUP_SCRATCH_DIR is too long a path"),
        scratch.postgres(too_long),
    ):
        raise AssertionError


def test_server_that_does_not_start_says_why(folder: Path) -> None:
    """The last line of its log is in the error, with its exit code."""
    server = Server(
        argv=["sh", "-c", "echo no such luck >&2; exit 3"],
        env={"PATH": os.defpath},
        log=folder / "unlucky.log",
        ready=lambda: False,
    )
    with pytest.raises(ProgramFailed) as failed, running(server):
        raise AssertionError

    assert "unlucky ended with code 3: no such luck" == str(failed.value)


def test_server_that_never_answers_is_ended(folder: Path) -> None:
    """It gets its time and no more, and what it started goes with it."""
    server = Server(
        argv=["sh", "-c", "sleep 600 & sleep 600"],
        env={"PATH": os.defpath},
        log=folder / "mute.log",
        ready=lambda: False,
        ready_within=0.3,
    )
    with pytest.raises(ProgramFailed, match=r"no answer in 0\.3 s"), running(server):
        raise AssertionError

    wait_until(lambda: not _processes(folder), within=30, what="the end of all that it started")


@contextmanager
def _holder(folder: Path) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(folder)],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline().startswith(str(folder))
            processes = _processes(folder)
            assert processes
            yield holder, processes
        finally:
            holder.kill()


def _processes(folder: Path) -> list[psutil.Process]:
    """Return what runs in *folder*."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd().startswith(str(folder)):
                found.append(process)
        except psutil.Error:
            continue
    return found


def _alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [each for each in processes if each.is_running()]
