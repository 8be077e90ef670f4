"""A real Alertmanager that keeps its alerts to itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from demo.processes import Process, Program, answers_at, free_port
from demo.sandbox import Sandbox, find_program

_CONFIG = {"route": {"receiver": "page"}, "receivers": [{"name": "page"}]}
# Debian keeps the templates, which upstream compiles in, on disk.
_DEBIAN_TEMPLATES = Path("/usr/share/prometheus/alertmanager")


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """An Alertmanager that answers; *address* is its ``host:port``."""

    process: Process
    address: str

    @property
    def url(self) -> str:
        """Where people look at it, without a slash at the end."""
        return f"http://{self.address}"


def find_alertmanager() -> str | None:
    """Return the program's path: Debian calls it after Prometheus."""
    return find_program("prometheus-alertmanager", "alertmanager")


def start_alertmanager(sandbox: Sandbox, *, port: int | None = None) -> Alertmanager:
    """Start Alertmanager without peers and without receivers; return once it is ready.

    Raises:
        FileNotFoundError: Alertmanager is not installed.
    """
    command = find_alertmanager()
    if command is None:
        raise FileNotFoundError(
            "Alertmanager is not installed: apt-get install prometheus-alertmanager"
        )
    folder = sandbox.subfolder("alertmanager")
    config_file = folder / "alertmanager.yml"
    config_file.write_text(json.dumps(_CONFIG))
    address = f"127.0.0.1:{port or free_port()}"
    program = Program(
        name="alertmanager",
        argv=[
            command,
            f"--config.file={config_file}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address={address}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ],
        env=sandbox.environment(),
        ready=answers_at(f"http://{address}/-/ready"),
    )
    return Alertmanager(sandbox.start(program), address)
