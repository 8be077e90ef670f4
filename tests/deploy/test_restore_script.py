"""scripts/restore: who is stopped and started around a restore, by a docker that only notes it."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).parents[2] / "scripts" / "restore"
_DOCKER = """#!/bin/sh
[ "$1" != compose ] || shift
while [ "$1" = --profile ]; do echo "$2" >>"$LOG.profiles"; shift 2; done
echo "$*" >>"$LOG"
case "$*" in
    *"run --rm"*--yes*) echo restored; exit "$RESTORED" ;;
    *"run --rm"*) echo the plan; exit "$PLANNED" ;;
    *"config --format json"*) echo '"file": "'$FOLDER'/restore_database_url"' ;;
    *"config --services"*) echo "$SERVICES" ;;
    *"ps --services --status running"*) printf '%s\\n' $RUNNING ;;
    *"ps --all --quiet prefect-migrate"*) echo 1234 ;;
    *"ps --all --quiet"*) [ -z "$RUNNING" ] || echo 99 ;;
    *"ps --quiet --status running"*) shift 4; printf '%s-1\\n' "$@" ;;
    "up "*prefect-migrate) exit "$MIGRATING" ;;
    wait*) echo "$MIGRATED" ;;
esac
"""


@dataclass(frozen=True)
class _Docker:
    """A docker that notes what it is told."""

    folder: Path

    def restore(
        self,
        *arguments: str,
        planned: int = 2,
        restored: int = 0,
        **given: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run the script beside this docker, which answers as *given* says."""
        answers = {
            "RUNNING": "prefect-api prefect-services grafana",
            "SERVICES": "postgres",
            "MIGRATING": "0",
            "MIGRATED": "0",
        }
        return subprocess.run(
            [str(_SCRIPT), *arguments],
            env={
                "PATH": f"{self.folder}:{os.environ['PATH']}",
                "LOG": str(self.folder / "log"),
                "FOLDER": str(self.folder),
                "PLANNED": str(planned),
                "RESTORED": str(restored),
                **answers,
                **given,
            },
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )

    def did(self) -> list[str]:
        """Return what changed something, in order."""
        lines = (self.folder / "log").read_text().splitlines()
        return [line for line in lines if not line.startswith(("config", "ps"))]


@pytest.fixture(name="docker")
def _docker(tmp_path: Path) -> _Docker:
    file = tmp_path / "docker"
    file.write_text(_DOCKER)
    file.chmod(0o755)
    return _Docker(tmp_path)


def _run(*arguments: str) -> str:
    return " ".join(["run --rm --no-TTY restore restore", *arguments])


_UP = "up --detach --wait postgres"
_MIGRATE = "up --detach --no-deps --no-recreate prefect-migrate"
_START = "start prefect-api-1 prefect-services-1"


def test_help_needs_no_docker() -> None:
    """It is what stands at the head of the script."""
    done = subprocess.run([str(_SCRIPT), "--help"], check=True, capture_output=True, text=True)

    assert "scripts/restore --at 2026-11-20T03:00Z --yes" in done.stdout


def test_without_yes_nobody_is_stopped(docker: _Docker) -> None:
    """The plan is printed, and the code is the restore's own."""
    done = docker.restore("--at", "2026-11-20T03:00Z")

    assert (2, "the plan\n") == (done.returncode, done.stdout)
    assert [_UP, _run("database", "--at", "2026-11-20T03:00Z")] == docker.did()


@pytest.mark.parametrize("code", [0, 1, 3])
def test_whoever_serves_is_started_again(docker: _Docker, code: int) -> None:
    """Whatever came of the restore, which the code tells."""
    done = docker.restore("--snapshot", "abc", "--yes", restored=code)

    assert code == done.returncode
    assert [
        _UP,
        _run("database", "--snapshot", "abc"),
        "stop prefect-api prefect-services",
        _run("database", "--snapshot", "abc", "--yes"),
        _MIGRATE,
        "wait 1234",
        _START,
    ] == docker.did()


@pytest.mark.parametrize("restored", [0, 3])
@pytest.mark.parametrize(
    ("migrating", "migrated", "waited"), [("1", "", []), ("0", "1", ["wait 1234"])]
)
def test_a_migration_that_fails_keeps_nobody_stopped(
    docker: _Docker, migrating: str, migrated: str, waited: list[str], restored: int
) -> None:
    """The server is started again, it is said why the code is 1, and where to look."""
    done = docker.restore("--yes", restored=restored, MIGRATING=migrating, MIGRATED=migrated)

    assert (restored or 1) == done.returncode
    assert [_MIGRATE, *waited, _START] == docker.did()[4:]
    assert "restore: prefect-migrate failed" in done.stderr
    assert "docker compose --profile server logs prefect-migrate" in done.stderr


@pytest.mark.parametrize("option", ["--target", "--snapshot", "--at", "--into-file"])
def test_a_value_is_not_taken_for_the_kind(docker: _Docker, option: str) -> None:
    """Such as of a target whose name is one."""
    docker.restore("volumes", option, "database")

    assert [_run("volumes", option, "database")] == docker.did()


def test_an_option_without_its_value_is_the_restores_to_refuse(docker: _Docker) -> None:
    """It has the words for it."""
    docker.restore("--target")

    assert [_UP, _run("database", "--target")] == docker.did()


def test_beside_a_server_of_ones_own_the_bundled_one_is_not_named(docker: _Docker) -> None:
    """Its profile would tell init that it is to be watched, and a hint would start another one."""
    done = docker.restore("--yes", RUNNING="", SERVICES="backup")

    profiles = (docker.folder / "log.profiles").read_text().splitlines()
    assert ["server", "restore"] == profiles[:2]
    assert {"restore"} == {*profiles[2:]}
    assert [_run("database"), _run("database", "--yes")] == docker.did()
    assert "--profile server" not in done.stdout


@pytest.mark.parametrize("code", [0, 1, 3])
def test_a_restore_that_cannot_be_tried_stops_nobody(docker: _Docker, code: int) -> None:
    """Its own words say why."""
    done = docker.restore("--yes", planned=code)

    assert code == done.returncode
    assert [_UP, _run("database")] == docker.did()


def test_volumes_are_those_of_others(docker: _Docker) -> None:
    """Grafana is stopped for its volume, and Prefect is not."""
    docker.restore("volumes", "--yes")

    assert [
        _run("volumes"),
        "stop grafana",
        _run("volumes", "--yes"),
        "start grafana-1",
    ] == docker.did()


def test_the_worker_is_held_where_that_is_wished(docker: _Docker) -> None:
    """So that it starts nothing again that was done; how to start it is said."""
    done = docker.restore("--hold-worker", "--yes")

    assert "stop prefect-worker" in docker.did()
    assert "start prefect-worker" not in "\n".join(docker.did())
    assert "docker compose --profile server start prefect-worker" in done.stdout


def test_on_a_new_machine_nothing_is_started_unasked(docker: _Docker) -> None:
    """Only the database is; what to start is said."""
    done = docker.restore("--yes", RUNNING="")

    assert [_UP, _run("database"), _run("database", "--yes")] == docker.did()
    assert "docker compose --profile server up -d --wait" in done.stdout


def test_a_database_elsewhere_needs_none_of_ours(docker: _Docker) -> None:
    """Its address is in the secret for it."""
    (docker.folder / "restore_database_url").write_text("postgresql://owner@db.example.com/prefect")

    docker.restore("--yes", RUNNING="")

    assert [_run("database"), _run("database", "--yes")] == docker.did()
