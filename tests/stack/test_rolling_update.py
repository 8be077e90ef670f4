"""scripts/rolling-update, with replicas of busybox behind the real proxy."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest
import yaml

from demo.processes import free_port, wait_until
from stack.compose import docker, docker_environment

_ROOT = Path(__file__).parents[2]
_IMAGES = yaml.safe_load((_ROOT / "docker-compose.yml").read_text())["x-images"]
_OLD, _NEW = "rolling-update-test:1", "rolling-update-test:2"

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


@dataclass(frozen=True, slots=True)
class _Small:
    """A small stack, by what its Compose file is told."""

    env: Mapping[str, str]

    def told(self, **variables: str) -> _Small:
        """Return the same stack with other variables."""
        return replace(self, env=dict(self.env) | variables)

    def compose(self, *arguments: str) -> str:
        """Run ``docker compose``."""
        command = ["docker", "compose", "--progress=quiet", *arguments]
        return subprocess.run(
            command, env=self.env, check=True, capture_output=True, text=True
        ).stdout

    def update(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run the program, for not longer than its own patience."""
        program = _ROOT / "scripts" / "rolling-update"
        return subprocess.run(
            [program, *options], env=self.env, capture_output=True, text=True, check=False
        )

    def images(self) -> Mapping[str, str]:
        """Return each container's id with its image."""
        ids = self.compose("ps", "--quiet").split()
        form = "{{.Id}} {{.Config.Image}}"
        return dict(line.split() for line in docker("inspect", "--format", form, *ids).splitlines())

    def status(self) -> int:
        """Return what a client gets."""
        url = f"http://127.0.0.1:{self.env['ROLLING_PORT']}/api/ready"
        return httpx.get(url, trust_env=False).status_code


@pytest.fixture(name="small")
def _small(tmp_path: Path) -> Iterator[_Small]:
    """Two replicas, services and a worker of the old version, behind the proxy."""
    for tag in (_OLD, _NEW):
        docker("tag", _IMAGES["busybox"], tag)
    small = _Small(
        {
            **docker_environment(),
            "COMPOSE_FILE": str(_ROOT / "tests" / "stack" / "rolling.yml"),
            "COMPOSE_PROJECT_NAME": f"rolling-update-test-{os.getpid()}",
            "ROLLING_IMAGE": _OLD,
            "ROLLING_PROXY": _IMAGES["haproxy"],
            "ROLLING_PORT": str(free_port()),
            "ROLLING_PROBE": str(_probe(tmp_path)),
        }
    )
    try:
        small.compose("up", "--detach", "--wait")
        wait_until(lambda: small.status() == httpx.codes.OK, within=30, what="a replica")
        yield small
    finally:
        small.compose("down", "--volumes", "--timeout=1", "--remove-orphans")
        docker("rmi", _OLD, _NEW)


def _probe(folder: Path) -> Path:
    """Put busybox where the stack's init service puts it."""
    name = f"rolling-update-probe-{os.getpid()}"
    docker("create", "--name", name, _IMAGES["busybox"])
    docker("cp", f"{name}:/bin/busybox", str(folder / "wget"))
    docker("rm", name)
    folder.chmod(0o755)
    return folder


def test_all_are_replaced_and_no_request_fails(small: _Small) -> None:
    """Each container but the database and the proxy is new, and clients have noticed nothing."""
    before = small.images()
    with _asking(small) as statuses:
        done = small.told(ROLLING_IMAGE=_NEW).update()

    after = small.images()
    assert (done.returncode, done.stderr) == (0, "")
    assert {httpx.codes.OK} == set(statuses)
    assert sorted([_NEW] * 4 + [_OLD, _IMAGES["haproxy"]]) == sorted(after.values())
    assert 2 == len(before.keys() & after.keys())


@contextmanager
def _asking(small: _Small) -> Iterator[list[int]]:
    """Ask again and again, each time by a connection of its own, until the block ends."""
    ended = Event()
    statuses: list[int] = []

    def ask() -> None:
        while not ended.wait(0.02):
            statuses.append(small.status())

    thread = Thread(target=ask)
    thread.start()
    try:
        yield statuses
    finally:
        ended.set()
        thread.join()


def test_a_worker_that_has_a_run_is_not_ended(small: _Small) -> None:
    """It works on beside the new one when patience is over, and the answer says what to do."""
    worker = small.compose("ps", "--quiet", "prefect-worker").strip()
    docker("exec", "--detach", worker, "sh", "-c", "sleep 600; true", "-m", "prefect.engine")

    done = small.told(ROLLING_IMAGE=_NEW).update("--patience", "1")

    assert done.returncode == 1
    assert "still has runs" in done.stderr
    assert {_OLD, _NEW} == set(_images_of(small, "prefect-worker"))


def _images_of(small: _Small, service: str) -> list[str]:
    ids = small.compose("ps", "--quiet", service).split()
    return docker("inspect", "--format", "{{.Config.Image}}", *ids).split()


def test_what_is_up_to_date_stays(small: _Small) -> None:
    """Nothing is made anew, and it says that all is well."""
    before = small.images()

    done = small.update()

    assert (done.returncode, before) == (0, small.images())
    assert "all is up to date" in done.stdout


def test_a_replica_that_does_not_become_ready_goes_and_the_old_ones_stay(small: _Small) -> None:
    """It ends with 1, says how to go back, and leaves what served."""
    before = small.images()

    broken = small.told(ROLLING_IMAGE=_NEW, ROLLING_READY="never", ROLLING_UPDATE_WITHIN="5")
    done = broken.update()

    assert (done.returncode, before) == (1, small.images())
    assert "the old ones serve on" in done.stderr
    assert small.status() == httpx.codes.OK


def test_a_migration_that_fails_changes_nothing(small: _Small) -> None:
    """No container is touched."""
    before = small.images()

    done = small.told(ROLLING_IMAGE=_NEW, ROLLING_MIGRATION="false").update()

    assert (done.returncode, before) == (1, small.images())
    assert "migration failed" in done.stderr


def test_without_a_server_there_is_nothing_to_update(small: _Small) -> None:
    """One line says what is missing and what to do."""
    small.compose("stop", "--timeout=1", "prefect-proxy")

    done = small.update()

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "prefect-proxy does not run" in done.stderr


@pytest.mark.parametrize("options", [["--what"], ["--patience", "soon"], ["--patience"]])
def test_an_unknown_option_changes_nothing(options: list[str]) -> None:
    """It ends with 2."""
    assert _Small({"PATH": os.environ["PATH"]}).update(*options).returncode == 2
