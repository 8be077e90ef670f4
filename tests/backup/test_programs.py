"""Programs that are run: their errors, their ends, and what they never show."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from backup.errors import NoSpace, ProgramFailed
from backup.programs import Command, Terminated, most_telling, pipe, run, scrub, started
from demo.processes import wait_until

SHELL = ("sh", "-c")


def gone(file: Path) -> bool:
    """Return whether the process whose id a file holds has ended; who reaps it is not the point."""
    try:
        return psutil.Process(int(file.read_text())).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def has_id(file: Path) -> bool:
    """Return whether a shell has written an id, and all of it, into a file."""
    return file.exists() and file.read_text().endswith("\n")


def test_output_is_returned() -> None:
    """What a program writes to standard output comes back; its complaints do not."""
    assert "out\n" == run([*SHELL, "echo out; echo bad >&2"], env={}, timeout=10)


def test_lines_come_one_by_one() -> None:
    """Each line is given as it is, and nothing is kept."""
    lines: list[str] = []

    returned = run([*SHELL, "echo a; echo b"], env={}, timeout=10, on_line=lines.append)

    assert ("", ["a", "b"]) == (returned, lines)


def test_standard_input_is_given_whole() -> None:
    """A large input does not block on a large output."""
    content = b"0123456789" * 1_000_000

    assert content.decode() == run(["cat"], env={}, stdin=content, timeout=20)


def test_program_that_does_not_read_is_no_error() -> None:
    """What a program leaves unread is its own business."""
    assert "" == run(["true"], env={}, stdin=b"x" * 1_000_000, timeout=10)


def test_failure_says_the_telling_line() -> None:
    """Of several lines the one with the error is told, with the code."""
    script = "echo starting >&2; echo 'dump: error: no such table' >&2; echo bye >&2; exit 4"

    with pytest.raises(ProgramFailed) as caught:
        run([*SHELL, script], env={}, timeout=10)

    assert "sh ended with code 4: dump: error: no such table" == str(caught.value)


def test_missing_program_is_named() -> None:
    """A program that is not there is an error that names it."""
    with pytest.raises(ProgramFailed, match="no-such-program"):
        run(["no-such-program"], env={}, timeout=10)


def test_full_disk_is_an_error_of_its_own() -> None:
    """Whoever says that there is no space left is believed."""
    with pytest.raises(NoSpace):
        run([*SHELL, "echo 'write: No space left on device' >&2; exit 1"], env={}, timeout=10)


def test_slow_program_is_ended_with_its_children(tmp_path: Path) -> None:
    """After the time is over, nothing of it is left."""
    script = f"sleep 300 & echo $! > {tmp_path}/pid; wait"

    with started(Command(argv=[*SHELL, script])) as child:
        wait_until(lambda: has_id(tmp_path / "pid"), within=30, what="its child")
        with pytest.raises(ProgramFailed, match=r"it took longer than 0\.1 s"), child.limited(0.1):
            child.finish()

    wait_until(lambda: gone(tmp_path / "pid"), within=30, what="the end of its child")


def test_program_that_does_not_want_to_end_is_killed() -> None:
    """Whoever ignores the request to end is killed."""
    with pytest.raises(ProgramFailed, match="took longer"):
        run([*SHELL, "trap '' TERM; while :; do sleep 1; done"], env={}, timeout=0.3)


def test_termination_ends_the_program(tmp_path: Path) -> None:
    """A signal to this process ends what it waits for, and goes on."""

    def end(_number: int, _frame: object) -> None:
        raise Terminated("SIGUSR1")

    told: list[float] = []

    def tell() -> None:
        wait_until(lambda: has_id(tmp_path / "pid"), within=30, what="the program")
        told.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, end)
    teller = threading.Thread(target=tell)
    teller.start()
    try:
        with pytest.raises(Terminated):
            run([*SHELL, f"echo $$ > {tmp_path}/pid; sleep 300"], env={}, timeout=60)
    finally:
        teller.join()
        signal.signal(signal.SIGUSR1, before)

    wait_until(lambda: gone(tmp_path / "pid"), within=30, what="the end of its child")
    assert time.monotonic() - told[0] < 10


def test_environment_is_what_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program sees none of this process' own variables but a few harmless ones."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "do-not-show")

    shown = run(["env"], env={"GIVEN": "yes"}, timeout=10)

    assert "GIVEN=yes" in shown
    assert "AWS" not in shown


def test_secret_is_in_no_error() -> None:
    """A program that says its credentials does not make us say them."""
    env = {"AWS_SECRET_ACCESS_KEY": "hunter2-hidden"}

    with pytest.raises(ProgramFailed) as caught:
        run([*SHELL, 'echo "error: $AWS_SECRET_ACCESS_KEY" >&2; exit 1'], env=env, timeout=10)

    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(Command(argv=["x"], env=env))


def test_credentials_in_addresses_are_hidden() -> None:
    """What stands before an address' @ is not told."""
    assert "at https://********@host/x" == scrub("at https://user:pass@host/x", {})


def test_message_of_restic_is_read() -> None:
    """JSON is told as words."""
    line = '{"message_type":"exit_error","code":1,"message":"Fatal: wrong\\n  thing"}'

    assert "Fatal: wrong thing" == most_telling([line])


def test_pipe_carries_all(tmp_path: Path) -> None:
    """What the first writes is what the second reads."""
    first = Command(argv=[*SHELL, "seq 100000"])

    pipe(first, Command(argv=[*SHELL, f"cat > {tmp_path}/out"]), timeout=20)

    assert 100_000 == len((tmp_path / "out").read_text().splitlines())


def test_pipe_tells_of_its_source() -> None:
    """Where the first fails, the second's complaint about too little is not the point."""
    first = Command(argv=[*SHELL, "echo half; echo 'error: damaged' >&2; exit 1"])
    second = Command(argv=[*SHELL, "cat >/dev/null; echo 'error: truncated' >&2; exit 1"])

    with pytest.raises(ProgramFailed, match="damaged"):
        pipe(first, second, timeout=20)


def test_pipe_tells_of_its_sink() -> None:
    """Where the second ends first, the first's broken pipe is not the point."""
    first = Command(argv=["yes"])
    second = Command(argv=[*SHELL, "echo 'error: cannot write' >&2; exit 1"])

    with pytest.raises(ProgramFailed, match="cannot write"):
        pipe(first, second, timeout=20)


def test_pipe_is_ended_when_it_takes_too_long() -> None:
    """Both ends are limited in time."""
    with pytest.raises(ProgramFailed, match="took longer"):
        pipe(Command(argv=["sleep", "60"]), Command(argv=["cat"]), timeout=0.5)
