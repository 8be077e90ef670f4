"""deploy/prefect: how a replica leaves, and how a program that hangs is started anew."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import pytest
import yaml

from demo.processes import free_port, wait_until
from stack.compose import docker, docker_run

_ROOT = Path(__file__).parents[2]
_SCRIPTS = _ROOT / "deploy" / "prefect"
_IMAGE = yaml.safe_load((_ROOT / "docker-compose.yml").read_text())["x-images"]["busybox"]


@dataclass(frozen=True, slots=True)
class _Box:
    """A container of busybox with the scripts, and with the probe where the stack has it."""

    name: str

    def runs(self, *command: str) -> bool:
        """Return whether a command ends with 0 in it."""
        return docker_run("exec", self.name, *command).returncode == 0

    @property
    def state(self) -> str:
        """``running 0``, or ``exited`` and the code."""
        form = "{{.State.Status}} {{.State.ExitCode}}"
        return docker("inspect", "--format", form, self.name).strip()

    def serving(self) -> bool:
        """Return whether it says that it wants requests."""
        return self.runs("wget", "-q", "-O", "/dev/null", "http://127.0.0.1:4201/serving")

    def checked(self, *check: str) -> bool:
        """Run a health check that ends what has failed twice; return whether it was well."""
        return self.runs("/opt/healthcheck.sh", "2", *check)


@contextmanager
def _box(command: str) -> Iterator[_Box]:
    box = _Box(f"replica-test-{os.getpid()}")
    probe = "cp /bin/busybox /probe/wget"
    mounts = [f"--volume={_SCRIPTS}:/opt:ro", "--tmpfs=/tmp", "--tmpfs=/probe:exec"]
    options = ["--detach", "--init", "--network=none", f"--name={box.name}", *mounts]
    docker("run", *options, _IMAGE, "sh", "-c", f"{probe} && exec {command}")
    try:
        yield box
    finally:
        docker("rm", "--force", box.name)


@pytest.mark.stack
def test_a_replica_leaves_before_it_ends() -> None:
    """Told to stop, it says so at once, and its server goes on for some seconds."""
    with _box("/opt/replica.sh sleep 60") as box:
        wait_until(box.serving, within=20, what="it wants requests")
        docker("kill", "--signal=TERM", box.name)
        wait_until(lambda: not box.serving(), within=3, what="it wants none")

        assert box.state == "running 0"
        wait_until(lambda: box.state == "exited 143", within=20, what="its end")


@pytest.mark.stack
def test_a_replica_ends_as_its_server_does() -> None:
    """A server that dies is no replica that lives, and Docker learns how it died."""
    with _box("/opt/replica.sh sh -c 'sleep 1; exit 7'") as box:
        wait_until(lambda: box.state == "exited 7", within=20, what="its end")


@pytest.mark.stack
def test_what_hangs_is_ended() -> None:
    """After so many checks in a row without an answer it is killed, and Docker starts it anew."""
    with _box("sleep 60") as box:
        assert box.checked("true")
        assert not box.checked("false")
        assert box.checked("true")
        assert not box.checked("false")
        assert box.state == "running 0"
        box.checked("false")

        wait_until(lambda: box.state == "exited 137", within=20, what="its end")


@pytest.mark.stack
@pytest.mark.parametrize(
    "checks",
    [("false", "false", "false"), ("true", "sh -c 'exit 2'", "false", "sh -c 'exit 2'", "false")],
    ids=["never well", "its database is away"],
)
def test_what_a_new_start_would_not_mend_is_left_alone(checks: Sequence[str]) -> None:
    """One that still starts, or waits for another program, is unhealthy and lives."""
    with _box("sleep 60") as box:
        for check in checks:
            box.checked("sh", "-c", check)

        assert box.state == "running 0"


@contextmanager
def _redis(answer: bytes) -> Iterator[str]:
    """Answer one connection, whatever it asks; yield the address."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            wire, _ = server.accept()
            with wire:
                wire.recv(4096)
                wire.sendall(answer)

        Thread(target=serve, daemon=True).start()
        yield f"redis://prefect:secret@127.0.0.1:{server.getsockname()[1]}/1"


def _alive(url: str) -> int:
    return subprocess.run(
        [sys.executable, str(_SCRIPTS / "services_alive.py")],
        env={"PREFECT_SERVER_DOCKET_URL": url},
        stdout=subprocess.DEVNULL,
        timeout=30,
        check=False,
    ).returncode


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (f"+OK\r\n+OK\r\n*1\r\n$9\r\n{socket.gethostname()}#1\r\n+OK\r\n", 0),
        ("+OK\r\n+OK\r\n*1\r\n$9\r\nanother#1\r\n+OK\r\n", 1),
        ("+OK\r\n+OK\r\n*0\r\n+OK\r\n", 1),
        ("-LOADING Redis is loading the dataset in memory\r\n", 2),
        ("-WRONGPASS invalid username-password pair\r\n", 2),
    ],
    ids=["alive", "another's", "none", "loading", "refused"],
)
def test_services_that_have_no_heartbeat_are_told_from_a_redis_that_does_not_say(
    answer: str, code: int
) -> None:
    """Only the former would be mended by a new start."""
    with _redis(answer.encode()) as url:
        assert _alive(url) == code


def test_without_redis_nobody_knows_of_the_services() -> None:
    """A refused connection is no verdict on them."""
    assert _alive(f"redis://prefect:secret@127.0.0.1:{free_port()}/1") == 2
