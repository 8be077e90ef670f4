"""A real Prefect worker that runs flows as processes."""

from __future__ import annotations

import sys
from pathlib import Path

from demo.prefect_server import PrefectServer
from demo.processes import Process, Program
from demo.sandbox import Sandbox

# The parent of this package, so that the flows can be imported in the worker's processes.
_EXAMPLES = Path(__file__).resolve().parent.parent


def start_worker(
    sandbox: Sandbox, server: PrefectServer, *, pool: str, limit: int = 3, **env: str
) -> Process:
    """Start a process worker on an existing work pool; return once the server knows it as online.

    Args:
        sandbox: Where it runs, and its flow runs too.
        server: Whom it works for.
        pool: The work pool to serve.
        limit: How many flow runs it starts at a time.
        env: Further settings of Prefect, seen by the flow runs as well.
    """
    name = f"worker-{pool}"
    command = ["prefect", "worker", "start", "--pool", pool, "--name", name, "--limit", str(limit)]
    program = Program(
        name=name,
        argv=[sys.executable, "-m", *command],
        env=sandbox.prefect_environment(
            name, **{"PYTHONPATH": str(_EXAMPLES)} | server.client_environment | env
        ),
        ready=lambda: _online(server, pool, name),
        ready_within=120.0,
    )
    return sandbox.start(program)


def _online(server: PrefectServer, pool: str, name: str) -> bool:
    with server.client() as client:
        workers = client.post(f"/work_pools/{pool}/workers/filter", json={}).raise_for_status()
    return any(row["name"] == name and row["status"] == "ONLINE" for row in workers.json())
