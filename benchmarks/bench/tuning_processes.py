"""One server with two uvicorn workers, or two servers: both behind HAProxy, as containers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import psutil

from bench.alternating import Comparison, Figures, compare
from bench.machine import cpu_seconds
from bench.proxies import Proxy, container_pid, image, start_proxy
from bench.tuning_load import Mix, drive
from bench.tuning_place import DATABASE, Place, Say, lap_figures
from demo.processes import Process, Program, answers_at, descendants, free_port
from demo.sandbox import find_program

_MIX = Mix(runs=12, looks=8)
_CONCURRENT = 16


@dataclass(frozen=True, slots=True)
class _Server:
    """A way to run two processes of the API."""

    proxy: Proxy
    containers: Sequence[tuple[Process, str]]

    @property
    def pids(self) -> list[int]:
        """The first process of each container."""
        return [container_pid(name) for _, name in self.containers]

    def stop(self) -> None:
        """End the proxy and what is behind it."""
        for process in (self.proxy.process, *(process for process, _ in self.containers)):
            process.stop()


def measure_workers(there: Place, rounds: int, say: Say) -> Comparison:
    """Compare two replicas with one that has two workers.

    Nobody takes the events from Redis: they would be the same work for both.
    """
    say(f"workers: {rounds} rounds of two ...")
    with ExitStack() as stack:
        redis = _start_redis(there)
        stack.callback(redis[0].stop)
        env = _environment(there, redis[1])
        two = _start(there, "replicas", [(), ()], env)
        stack.callback(two.stop)
        one = _start(there, "workers", [("--workers", "2")], env)
        stack.callback(one.stop)
        ways = (("2 replicas", _lap(there, two)), ("1 with 2 workers", _lap(there, one)))
        return compare("API processes", ways, rounds)


def _lap(there: Place, server: _Server) -> Callable[[], Figures]:
    def measured() -> Figures:
        before = sum(cpu_seconds(pid) for pid in server.pids)
        lap = drive(server.proxy.api_url, there.what, _MIX, _CONCURRENT)
        cpu = sum(cpu_seconds(pid) for pid in server.pids) - before
        memory = sum(_memory(pid) for pid in server.pids) / 2**20
        return {"API CPU, s": cpu, "API memory, MiB": memory} | lap_figures(lap)

    return measured


def _memory(pid: int) -> float:
    """Return the memory of all processes of a container; what they share counts once."""
    family = [psutil.Process(pid), *descendants(pid)]
    return float(sum(each.memory_full_info().pss for each in family))


def _start(
    there: Place, name: str, servers: Sequence[Sequence[str]], env: dict[str, str]
) -> _Server:
    ports = [free_port() for _ in servers]
    containers = []
    for port, arguments in zip(ports, servers, strict=True):
        container = f"bench-{there.sandbox.mark}-{port}"
        variables = [f"--env={key}={value}" for key, value in env.items()]
        run = ["docker", "run", "--rm", "--init", "--network=host", f"--name={container}"]
        serve = ["prefect", "server", "start", "--no-services", f"--port={port}", *arguments]
        program = Program(
            name=container,
            argv=[*run, *variables, image("prefect"), *serve],
            env=there.sandbox.environment(),
            ready=answers_at(f"http://127.0.0.1:{port}/api/ready"),
            ready_within=120.0,
        )
        containers.append((there.sandbox.start(program), container))
    return _Server(start_proxy(there.sandbox, name, ports), containers)


def _environment(there: Place, redis_port: int) -> dict[str, str]:
    """Return what docker-compose.yml sets for its replicas."""
    return {
        "PREFECT_API_DATABASE_CONNECTION_URL": there.postgres.prefect_url(DATABASE),
        "PREFECT_API_DATABASE_MIGRATE_ON_START": "false",
        "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_MESSAGING_BROKER": "prefect_redis.messaging",
        "PREFECT_MESSAGING_CACHE": "prefect_redis.messaging",
        "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "prefect_redis.ordering",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect_redis.lease_storage",
        "PREFECT_REDIS_MESSAGING_HOST": "127.0.0.1",
        "PREFECT_REDIS_MESSAGING_PORT": str(redis_port),
        "PREFECT_SERVER_DOCKET_URL": f"redis://127.0.0.1:{redis_port}/1",
    }


def _start_redis(there: Place) -> tuple[Process, int]:
    port = free_port()
    path = find_program("redis-server")
    if path is None:
        sys.exit("redis-server is missing: apt-get install redis-server")
    folder = there.sandbox.subfolder("redis")
    program = Program(
        name="redis",
        argv=[path, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)],
        env=there.sandbox.environment(),
        ready=lambda: bool(_listens(port)),
    )
    return there.sandbox.start(program), port


def _listens(port: int) -> bool:
    return any(each.laddr.port == port for each in psutil.net_connections("tcp") if each.laddr)
