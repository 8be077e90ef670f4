"""The exporter, as its users start it."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from demo.processes import Process, Program, answers_at, free_port
from demo.sandbox import Sandbox


@dataclass(frozen=True, slots=True)
class Exporter:
    """An exporter that answers; *address* is its ``host:port``."""

    process: Process
    address: str

    @property
    def url(self) -> str:
        """Its status page, without a slash at the end."""
        return f"http://{self.address}"

    @property
    def metrics_url(self) -> str:
        """What Prometheus scrapes."""
        return f"{self.url}/metrics"


def start_exporter(
    sandbox: Sandbox,
    *,
    name: str = "exporter",
    port: int | None = None,
    ready_path: str = "/readyz",
    **env: str,
) -> Exporter:
    """Start the exporter and return once *ready_path* answers with 2xx.

    Its state file survives a `Process.restart`, as it would on a machine of its own.

    Args:
        sandbox: Where it runs.
        name: Tells several of one sandbox apart; each has a state file of its own.
        port: The port to take; None for any.
        ready_path: ``/healthz`` where the server it is to watch cannot be reached.
        env: Its settings, above all ``PREFECT_API_URL``.
    """
    address = f"127.0.0.1:{port or free_port()}"
    settings = {
        "PREFECT_EXPORTER_LISTEN_ADDRESS": address,
        "PREFECT_EXPORTER_STATE_PATH": str(sandbox.subfolder(name) / "state.db"),
    }
    program = Program(
        name=name,
        argv=[sys.executable, "-m", "prefect_exporter", "serve"],
        env=sandbox.environment(**settings | env),
        ready=answers_at(f"http://{address}{ready_path}"),
        ready_within=120.0,
    )
    return Exporter(sandbox.start(program), address)
