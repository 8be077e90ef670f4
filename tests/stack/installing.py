"""Make a stack of one's own: a name, secrets, free ports, and nothing left of it in the end."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from demo.processes import free_port
from stack.compose import ROOT, Stack, docker

_PORTS = (
    "ALERTMANAGER_PORT",
    "DEMO_TRIGGER_PORT",
    "EXPORTER_PORT",
    "GRAFANA_PORT",
    "JAEGER_PORT",
    "OTLP_GRPC_PORT",
    "OTLP_HTTP_PORT",
    "PREFECT_PORT",
    "PROMETHEUS_PORT",
)


@contextmanager
def installed(name: str, absent: Sequence[str], **variables: str) -> Iterator[Stack]:
    """Make a stack that is not up yet; take it down when the block ends.

    Args:
        name: Tells several stacks of one run apart.
        absent: Services whose images cannot be had.
        variables: What to say in ``.env`` beside ports and secrets.

    Raises:
        AssertionError: Docker still has something of it after ``down --volumes``.
    """
    prefix = os.environ.get("PREFECT_STACK_NAME", f"stack-test-{os.getpid()}")
    with tempfile.TemporaryDirectory(prefix="prefect-stack-") as temporary:
        folder = Path(temporary)
        # Containers look into the folders of their secrets as other users.
        folder.chmod(0o711)
        ports = {variable: free_port() for variable in _PORTS}
        told = {variable: str(port) for variable, port in ports.items()}
        make_secrets(folder, **told | variables)
        stack = Stack(name=f"{prefix}-{name}", folder=folder, ports=ports, absent=absent)
        try:
            yield stack
        finally:
            stack.down("--volumes")
        assert [] == leftovers(stack)


def make_secrets(folder: Path, **variables: str) -> None:
    """Let `make secrets` write ``.env`` and ``secrets/`` into *folder*.

    Args:
        folder: It stands in for the repository.
        variables: What ``.env`` is to say beside what its example says.
    """
    told = variables | {"SECRETS_DIR": str(folder / "secrets")}
    env = (ROOT / ".env.example").read_text()
    (folder / ".env").write_text(env + "".join(f"{name}={text}\n" for name, text in told.items()))
    (folder / "scripts").mkdir()
    program = shutil.copy(ROOT / "scripts" / "secrets", folder / "scripts")
    subprocess.run([program], capture_output=True, check=True)


def leftovers(stack: Stack) -> list[str]:
    """Return what Docker still has of this stack: containers, volumes, networks."""
    label = f"--filter=label=com.docker.compose.project={stack.name}"
    containers = docker("ps", "--all", "--format={{.Names}}", label)
    volumes = docker("volume", "ls", "--format={{.Name}}", label)
    networks = docker("network", "ls", "--format={{.Name}}", label)
    return (containers + volumes + networks).split()
