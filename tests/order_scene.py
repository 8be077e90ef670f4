"""A Prefect server, processes that run the pipeline's flows, a Redis and a lake for each test."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any

import httpx
import psutil
import redis

from demo.prefect_server import PrefectServer, start_prefect_server
from demo.processes import Process, Program, answers_at, free_port, wait_until
from demo.redis_server import RedisServer, start_redis_server
from demo.sandbox import Sandbox
from order_lakes import Orders, leftovers, orders
from order_runs import Moment

_ROOT = Path(__file__).resolve().parents[1]
_PATIENCE_SECONDS = 180.0
"""For whatever is done within a second on an idle machine."""


class Killed(Exception):
    """The process of a run is gone."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended, in Prefect's words."""

    type: str
    name: str
    message: str


COMPLETED = Outcome("COMPLETED", "Completed", "")


@dataclass(slots=True)
class Runner:
    """A process that runs one flow after the other."""

    process: Process
    connection: Connection

    def send(self, job: Mapping[str, Any]) -> None:
        """Have it begin."""
        self.connection.send_bytes(json.dumps(job).encode())

    def receive(self) -> Outcome:
        """Return how the run ended.

        Raises:
            Killed: It will not end any more.
            TimeoutError: It has not ended.
        """
        if not self.connection.poll(_PATIENCE_SECONDS):
            raise TimeoutError(f"a run does not end:\n{self.process.log_tail(60)}")
        try:
            return Outcome(**json.loads(self.connection.recv_bytes()))
        except (EOFError, ConnectionResetError):
            self.process.wait(_PATIENCE_SECONDS)
            raise Killed from None


@dataclass(frozen=True, slots=True)
class Rates:
    """The pretend rates service, which misbehaves when told."""

    process: Process
    url: str

    def behave(self, kind: str = "none", *, times: int | None = None) -> None:
        """Answer so from now on, or so often and well after that."""
        self._client("PUT", "/fault", json={"kind": kind, "times": times})

    def asked(self) -> int:
        """Return how many requests came, since it was started."""
        answers: dict[str, int] = self._client("GET", "/asked").json()
        return sum(answers.values())

    def _client(self, method: str, path: str, **body: object) -> httpx.Response:
        with httpx.Client(trust_env=False, timeout=30) as client:
            request = client.build_request(method, self.url + path, **body)  # type: ignore[arg-type]  # json alone
            return client.send(request).raise_for_status()


@dataclass(slots=True)
class Scene:
    """Who runs flows; processes are used again, as what they import takes seconds."""

    sandbox: Sandbox
    server: PrefectServer
    rates: Rates
    _idle: list[Runner] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    def number(self) -> int:
        """Return a number that was not there before."""
        return next(self._numbers)

    @contextmanager
    def runner(self) -> Iterator[Runner]:
        """Lend a process; it comes back if it still lives."""
        runner = self._idle.pop() if self._idle else self._hire()
        yield runner
        if runner.process.running:
            self._idle.append(runner)

    def environment(self, name: str, **more: str) -> dict[str, str]:
        """Return what a program that runs the pipeline needs."""
        paths = ":".join(str(_ROOT / each) for each in ("examples", "tests"))
        return self.sandbox.prefect_environment(
            name,
            **self.server.client_environment,
            PYTHONPATH=paths,
            PREFECT_LOGGING_LEVEL="INFO",
            OTEL_TRACES_EXPORTER="none",
            OTEL_METRICS_EXPORTER="none",
            # What decorators take is fixed when the flows are imported.
            ETL_RETRY_SECONDS="0.5",
            ETL_PARALLEL="2",
            **more,
        )

    def _hire(self) -> Runner:
        name = f"runner-{self.number()}"
        socket = self.sandbox.folder / f"{name}.socket"
        connections: list[Connection] = []

        def connects() -> bool:
            # The file is there a moment before anybody listens.
            with suppress(FileNotFoundError, ConnectionRefusedError):
                connections.append(Client(str(socket), family="AF_UNIX"))
            return bool(connections)

        program = Program(
            name=name,
            argv=[sys.executable, "-m", "order_runs", str(socket)],
            env=self.environment(name),
            ready=connects,
            ready_within=_PATIENCE_SECONDS,
        )
        return Runner(self.sandbox.start(program), *connections)


@contextmanager
def scene() -> Iterator[Scene]:
    """Set the scene, and clear it away."""
    with Sandbox() as sandbox:
        yield Scene(sandbox, start_prefect_server(sandbox), _start_rates(sandbox))


def _start_rates(sandbox: Sandbox) -> Rates:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    program = Program(
        name="rates",
        argv=[sys.executable, "-m", "etl.pretend_rates", "--port", str(port)],
        env=sandbox.environment(PYTHONPATH=str(_ROOT / "examples")),
        ready=answers_at(f"{url}/healthz"),
        ready_within=_PATIENCE_SECONDS,
    )
    return Rates(sandbox.start(program), url)


@dataclass(slots=True)
class Run:
    """A run under way."""

    runner: Runner
    _log_bytes: int = 0

    def wait(self) -> Outcome:
        """Return how it ended."""
        return self.runner.receive()

    def killed(self) -> None:
        """Return once its process has ended by the signal that was to come.

        Raises:
            AssertionError: The run ended otherwise.
        """
        try:
            outcome = self.wait()
        except Killed:
            assert self.runner.process.wait() == -signal.SIGKILL, self.runner.process.log_tail()
        else:
            raise AssertionError(f"it went on and ended: {outcome}\n{self._log()}")

    def halted(self) -> None:
        """Return once the process stands still."""
        process = psutil.Process(self.runner.process.pid)
        wait_until(
            lambda: process.status() == psutil.STATUS_STOPPED,
            within=_PATIENCE_SECONDS,
            what="the halt of a run",
        )
        self._log_bytes = self.runner.process.log.stat().st_size

    def retried(self) -> None:
        """Return once it has said that it will try again, since it began or last stood still."""
        wait_until(
            lambda: " will start " in self._log(),
            within=_PATIENCE_SECONDS,
            what="another attempt",
        )

    def _log(self) -> str:
        return self.runner.process.log.read_bytes()[self._log_bytes :].decode(errors="replace")

    def go_on(self) -> None:
        """Let it go on after a halt."""
        psutil.Process(self.runner.process.pid).resume()


@dataclass(frozen=True, slots=True)
class Shop:
    """One test's Redis, lake and settings; its client is called ``acme``."""

    scene: Scene
    server: RedisServer
    lake: Path
    storage: Path
    env: Mapping[str, str]
    client: str = "acme"

    @property
    def redis(self) -> redis.Redis:
        """A connection of the test's own."""
        return redis.Redis.from_url(self.server.url, socket_timeout=30)

    @contextmanager
    def running(
        self,
        flow: str = "client-batch",
        *,
        moment: Moment | None = None,
        what: signal.Signals = signal.SIGKILL,
        env: Mapping[str, str] | None = None,
        **parameters: object,
    ) -> Iterator[Run]:
        """Start a run; *what* is sent to its process at *moment*."""
        job = {
            "flow": flow,
            "parameters": {"client": self.client, **parameters},
            "env": {**self.env, **(env or {})},
            "storage": str(self.storage),
            "moment": moment,
            "signal": int(what),
        }
        with self.scene.runner() as runner:
            run = Run(runner, runner.process.log.stat().st_size)
            runner.send(job)
            yield run

    def run(self, flow: str = "client-batch", **parameters: object) -> Outcome:
        """Run a flow, and return how it ended."""
        with self.running(flow, **parameters) as run:  # type: ignore[arg-type]  # parameters of flows
            return run.wait()

    def kill(self, moment: Moment, flow: str = "client-batch", **parameters: object) -> None:
        """Run a flow whose process is killed at *moment*."""
        with self.running(flow, moment=moment, **parameters) as run:  # type: ignore[arg-type]  # as above
            run.killed()

    def lose_redis(self) -> None:
        """Have Redis begin anew, without its disk."""
        self.server.process.kill()
        argv = self.server.process.program.argv
        shutil.rmtree(Path(argv[argv.index("--dir") + 1]))
        Path(argv[argv.index("--dir") + 1]).mkdir()
        self.server.process.restart()

    def orders(self) -> Orders:
        """Return what became of the rows so far."""
        with self.redis as connection:
            return orders(self.lake, connection, self.client)

    def leftovers(self) -> list[str]:
        """Return files on their way."""
        return leftovers(self.lake, self.client)


@contextmanager
def shop(scene: Scene, lake: Path | None = None, /, **env: str) -> Iterator[Shop]:
    """Open a shop with a Redis of its own that keeps what it holds through a kill."""
    name = f"shop-{scene.number()}"
    server = start_redis_server(scene.sandbox, name=f"redis-{name}")
    own = scene.sandbox.subfolder(name)
    folder = lake or own / "lake"
    folder.mkdir(exist_ok=True)
    settings = {
        "ETL_REDIS_URL": server.url,
        "ETL_DESTINATION": str(folder),
        "ETL_RATES_URL": scene.rates.url,
        "ETL_LEASE_SECONDS": "2",
        "ETL_BREAKER_FAILURES": "5",
        "ETL_BREAKER_SECONDS": "1",
        "ETL_MAX_REJECTED": "1",
        "ETL_MEMORY_MIB": "256",
    }
    scene.rates.behave()
    try:
        yield Shop(scene, server, folder, own / "storage", settings | env)
    finally:
        server.process.stop()
        shutil.rmtree(folder, ignore_errors=True)
