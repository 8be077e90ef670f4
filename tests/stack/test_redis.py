"""deploy/prefect/redis.conf with the users of scripts/secrets: what survives, and who gets in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from demo.processes import wait_until
from stack.compose import docker, docker_run
from stack.installing import make_secrets

_ROOT = Path(__file__).parents[2]
_IMAGE = yaml.safe_load((_ROOT / "docker-compose.yml").read_text())["x-images"]["redis"]
_SCRIPT = "redis.call('SET', 'by-script', 1) redis.call('SET', 'by-script-too', 1)"

# Within a second it is in the file, or later where the disk is busy.
_WRITTEN = "WAITAOF 1 0 30000"

pytestmark = pytest.mark.stack


@pytest.fixture(name="redis")
def _redis(tmp_path: Path) -> Iterator[str]:
    """A container of it, with a volume that a crash leaves."""
    make_secrets(tmp_path)
    name = f"redis-test-{os.getpid()}"
    users = tmp_path / "secrets" / "redis_users.acl"
    owner = f"{users.stat().st_uid}:{users.stat().st_gid}"
    mounts = [
        f"--volume={users}:/run/secrets/redis_users.acl:ro",
        f"--volume={_ROOT}/deploy/prefect/redis.conf:/redis.conf:ro",
        f"--volume={_data(tmp_path, users)}:/data",
    ]
    options = ["--detach", "--network=none", f"--user={owner}", f"--name={name}", *mounts]
    docker("run", *options, "--entrypoint=redis-server", _IMAGE, "/redis.conf")
    try:
        _answers(name)
        yield name
    finally:
        docker("rm", "--force", name)


def _data(folder: Path, like: Path) -> Path:
    data = folder / "data"
    data.mkdir()
    os.chown(data, like.stat().st_uid, like.stat().st_gid)
    return data


def _answers(name: str) -> None:
    wait_until(lambda: "NOAUTH" in _asked(name, "PING"), within=20, what="Redis")


def _asked(name: str, *command: str) -> str:
    ran = docker_run("exec", name, "redis-cli", *command)
    return ran.stdout + ran.stderr


def test_a_crash_loses_nothing_that_was_written(redis: str, tmp_path: Path) -> None:
    """Neither a plain key, nor what a transaction wrote, nor what a script did."""
    password = (tmp_path / "secrets" / "redis_password").read_text().strip()
    login = ["--user", "prefect", "--pass", password, "--no-auth-warning"]
    commands = f'SET plain 1\nMULTI\nSET in-transaction 1\nEXEC\nEVAL "{_SCRIPT}" 0\n{_WRITTEN}\n'
    shell = f"printf '%s' \"$0\" | redis-cli {' '.join(login)}"
    docker("exec", redis, "sh", "-c", shell, commands)

    docker("kill", redis)
    docker("start", redis)
    _answers(redis)

    keys = ("plain", "in-transaction", "by-script", "by-script-too")
    assert ["1"] * len(keys) == _asked(redis, *login, "MGET", *keys).split()
    assert "NOPERM" not in docker("logs", redis)


def test_nobody_is_the_default_user(redis: str) -> None:
    """It may do everything, so nobody gets in as it, with a password or without."""
    assert "NOAUTH" in _asked(redis, "GET", "plain")
    for password in ("", "default", "nopass"):
        assert "WRONGPASS" in _asked(redis, "AUTH", "default", password)
