"""The backup of a whole stack: every kind is kept, comes back as a drill, and outlives a kill."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from stack.asking import arrives, eventually, query
from stack.compose import Container, Stack, docker_run

pytestmark = pytest.mark.stack

_KINDS = {"database", "objects", "volumes", "encryption_key"}
# Holds a dump in its midst: a small database is dumped faster than Docker kills.
_STOP = """
import os, pathlib, signal, time
deadline = time.monotonic() + 60
while time.monotonic() < deadline:
    for comm in pathlib.Path("/proc").glob("[0-9]*/comm"):
        try:
            if comm.read_text() == "pg_dump\\n":
                os.kill(int(comm.parent.name), signal.SIGSTOP)
                raise SystemExit
        except FileNotFoundError:
            continue
"""


def _backup(stack: Stack, *command: str) -> str:
    return stack.compose("exec", "--no-TTY", "backup", "prefect-backup", *command)


def _kinds(stack: Stack, promql: str) -> set[str]:
    return {sample.labels["kind"] for sample in query(stack, promql)}


def test_every_kind_is_backed_up(whole: Stack) -> None:
    """One command keeps all of it, and Prometheus hears of each."""
    # Alertmanager writes what it knows every quarter of an hour, and when it ends.
    whole.compose("restart", "alertmanager")
    _backup(whole, "run", "--wait")

    snapshots = json.loads(_backup(whole, "snapshots", "--json"))
    assert {snapshot["kind"] for snapshot in snapshots} == _KINDS
    eventually(
        lambda: _kinds(whole, "prefect_backup_last_run_success == 1") == _KINDS,
        what="the success of each kind in Prometheus",
    )
    assert _kinds(whole, "prefect_backup_configured == 1") == _KINDS
    assert [] == query(whole, "prefect_backup_configured == 0")


def test_backup_is_due(whole: Stack) -> None:
    """The next of each job is in the future, by Prometheus' clock."""
    arrives(whole, 'prefect_backup_next_run_timestamp_seconds{action="backup"} > time()')
    actions = query(whole, "prefect_backup_next_run_timestamp_seconds > time()")

    assert {sample.labels["action"] for sample in actions} == {"backup", "drill", "check"}


def test_backup_is_restored_as_a_drill(whole: Stack, say: Callable[[str], None]) -> None:
    """The dump comes up in a PostgreSQL of the container, and Prefect works on it."""
    _backup(whole, "drill")

    drilled = (
        'time() - prefect_backup_last_restore_verified_timestamp_seconds{kind="database"} < 600'
    )
    arrives(whole, drilled)
    (took,) = arrives(whole, 'prefect_backup_last_restore_duration_seconds{kind="database"}')
    say(f"restore drill of the database: {took.value:.0f} s")
    assert [] == query(whole, "prefect_backup_last_restore_success == 0")


def test_store_is_checked(whole: Stack) -> None:
    """What has been written is whole."""
    _backup(whole, "check")

    arrives(whole, "prefect_backup_last_check_success == 1")
    assert [] == query(whole, "prefect_backup_last_check_success == 0")


def test_dump_that_is_killed_leaves_nothing_behind(whole: Stack) -> None:
    """With the whole container gone in the midst of a dump, the next run succeeds by itself."""
    before = _databases(whole)
    processes = _killed_while_dumping(whole)
    eventually(lambda: whole.container("backup").state == "running healthy", what="a new backup")

    assert before == _databases(whole)
    _backup(whole, "run", "--wait", "database")
    assert len(before) + 1 == len(_databases(whole))
    assert [] == [name for name, value in _secrets(whole).items() if value in processes]


def _databases(stack: Stack) -> list[str]:
    snapshots = json.loads(_backup(stack, "snapshots", "database", "--json"))
    return [snapshot["id"] for snapshot in snapshots]


def _killed_while_dumping(stack: Stack) -> str:
    """Kill the container while pg_dump is at work; return the arguments of its processes."""
    container = stack.container("backup")
    stack.compose("exec", "--detach", "backup", "python", "-c", _STOP)
    stack.compose("exec", "--detach", "backup", "prefect-backup", "run", "database")
    processes = eventually(lambda: _stopped(container), what="a dump that stands still")
    container.crash(stack.container("init").inspected["Config"]["Image"])
    eventually(lambda: stack.container("backup").begun != container.begun, what="another process")
    return processes


def _stopped(container: Container) -> str:
    shown = docker_run("top", container.id, "-eo", "pid,stat,args").stdout
    return shown if re.search(r" T\S* +\S*pg_dump", shown) else ""


def _secrets(stack: Stack) -> dict[str, str]:
    files = (path for path in (stack.folder / "secrets").rglob("*") if path.is_file())
    found = {path.name: path.read_text().strip() for path in files}
    return {name: value for name, value in found.items() if len(value) > 7}
