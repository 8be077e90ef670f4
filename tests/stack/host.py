"""Prefect on this machine, outside Docker, as somebody has it who starts the stack beside it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from demo.deployments import deploy, start_run
from demo.prefect_server import PrefectServer
from demo.processes import Process, Program, answers_at, free_port
from demo.sandbox import Sandbox
from demo.worker import start_worker
from stack.compose import Stack


@dataclass(slots=True)
class Host:
    """A server that can be started again on another address, with its database kept."""

    sandbox: Sandbox
    port: int
    address: str
    process: Process | None = None

    @property
    def server(self) -> PrefectServer:
        """The server as its clients see it."""
        assert self.process is not None
        return PrefectServer(self.process, f"http://{self.address}:{self.port}", None, "")

    def serve(self, address: str) -> None:
        """Run ``prefect server start`` on that address of this machine."""
        if self.process is not None:
            self.process.stop()
        self.address = address
        command = ["prefect", "server", "start", "--host", address, "--port", str(self.port)]
        api = f"http://{address}:{self.port}/api"
        program = Program(
            name="prefect-server",
            argv=[sys.executable, "-m", *command],
            env=self.sandbox.prefect_environment("prefect-server", PREFECT_API_URL=api),
            ready=answers_at(f"{api}/ready"),
            ready_within=120,
        )
        self.process = self.sandbox.start(program)

    def work(self, stack: Stack) -> Mapping[str, str]:
        """Make the demo's deployments and start an instrumented worker that tells *stack*.

        Returns:
            Each deployment's name with its id.
        """
        with self.server.client() as client:
            ids = deploy(client)
        start_worker(
            self.sandbox,
            self.server,
            pool="demo-process",
            PREFECT_PLUGINS_ENABLED="1",
            PREFECT_WORKER_QUERY_SECONDS="3",
            OTEL_EXPORTER_OTLP_ENDPOINT=stack.url("OTLP_HTTP_PORT"),
            OTEL_METRICS_EXPORTER="otlp",
            OTEL_LOGS_EXPORTER="otlp",
        )
        return ids

    def start_run(self, deployment_id: str) -> None:
        """Ask for a run of that deployment, now."""
        with self.server.client() as client:
            start_run(client, deployment_id)


@contextmanager
def host_beside() -> Iterator[Host]:
    """Run a server on the loopback address until the block ends."""
    with Sandbox() as sandbox:
        host = Host(sandbox, free_port(), "127.0.0.1")
        host.serve(host.address)
        yield host


def gateway(stack: Stack) -> str:
    """Return this machine's address as the stack's containers know it: ``host.docker.internal``."""
    hosts = stack.compose("exec", "--no-TTY", "exporter", "cat", "/etc/hosts")
    (address,) = re.findall(r"^(\S+)\s+host\.docker\.internal$", hosts, re.MULTILINE)
    return str(address)
