"""A throw-away Redis."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

import redis

from demo.processes import Process, Program, free_port
from demo.sandbox import Sandbox


@dataclass(frozen=True, slots=True)
class RedisServer:
    """A Redis on loopback that lets in whoever connects."""

    process: Process
    port: int

    @property
    def url(self) -> str:
        """Its first database, as clients take it."""
        return f"redis://127.0.0.1:{self.port}/0"


def start_redis_server(
    sandbox: Sandbox, *, name: str = "redis", durable: bool = True
) -> RedisServer:
    """Start a new, empty Redis and return once it takes commands.

    Args:
        sandbox: Where it runs.
        name: Tells several of one sandbox apart.
        durable: Whether what it holds is there again after it was killed and started.

    Raises:
        FileNotFoundError: Redis is not installed.
    """
    if shutil.which("redis-server") is None:
        raise FileNotFoundError("Redis is not installed: apt-get install redis-server")
    port = free_port()
    kept = ["--appendonly", "yes", "--appendfsync", "always"] if durable else []
    # A title of its own would overwrite the environment, by which `demo.keeper` finds what is left.
    untitled = ["--set-proc-title", "no"]
    argv = [
        "redis-server",
        *untitled,
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        *kept,
    ]
    program = Program(
        name=name,
        argv=[*argv, "--dir", str(sandbox.subfolder(name))],
        env=sandbox.environment(),
        ready=lambda: _answers(port),
    )
    return RedisServer(sandbox.start(program), port)


def _answers(port: int) -> bool:
    try:
        with redis.Redis(port=port, socket_timeout=2) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False
