"""HAProxy as the Compose stack has it, before servers of the benchmark; in Docker."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from demo.processes import Process, Program, answers_at, free_port
from demo.sandbox import Sandbox

_COMPOSE = Path(__file__).parents[2] / "docker-compose.yml"
_TEXT = """\
global
    maxconn 2000
{sections}
defaults
    mode http
    option forwardfor
    timeout connect 2s
    timeout client 75s
    timeout server 75s
    timeout http-keep-alive 60s
frontend prefect
    bind 127.0.0.1:{port}
    default_backend replicas
backend replicas
    balance leastconn
{lines}
{servers}
"""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that answers at *url*; *pid* is that of its process in the container."""

    process: Process
    url: str
    pid: int

    @property
    def api_url(self) -> str:
        """Where programs ask."""
        return f"{self.url}/api"


def image(name: str) -> str:
    """Return the image of that name in docker-compose.yml."""
    return str(yaml.safe_load(_COMPOSE.read_text())["x-images"][name])


def start_proxy(
    sandbox: Sandbox,
    name: str,
    ports: Sequence[int],
    *,
    lines: Sequence[str] = (),
    sections: Sequence[str] = (),
) -> Proxy:
    """Start HAProxy before servers on these ports of loopback.

    Args:
        sandbox: Where its files are.
        name: Tells several of one sandbox apart.
        ports: Of the servers.
        lines: Further ones of the backend.
        sections: Further sections, a line each.
    """
    port = free_port()
    folder = sandbox.subfolder(f"haproxy-{name}")
    folder.chmod(0o755)
    servers = [f"server replica-{each} 127.0.0.1:{each}" for each in ports]
    text = _TEXT.format(
        port=port,
        sections="\n".join(sections),
        lines="\n".join(f"    {line}" for line in lines),
        servers="\n".join(f"    {server}" for server in servers),
    )
    (folder / "haproxy.cfg").write_text(text)
    container = f"bench-{sandbox.mark}-{name}"
    run = ["docker", "run", "--rm", "--network=host", f"--name={container}"]
    haproxy = [image("haproxy"), "haproxy", "-db", "-f", str(folder / "haproxy.cfg")]
    program = Program(
        name=f"haproxy-{name}",
        argv=[*run, "-v", f"{folder}:{folder}:ro", *haproxy],
        env=sandbox.environment(),
        ready=answers_at(f"http://127.0.0.1:{port}/api/ready"),
    )
    process = sandbox.start(program)
    return Proxy(process, f"http://127.0.0.1:{port}", container_pid(container))


def container_pid(container: str) -> int:
    """Return the id of a container's first process, as this host sees it."""
    inspect = ["docker", "inspect", container]
    done = subprocess.run(inspect, check=True, capture_output=True, text=True)
    return int(json.loads(done.stdout)[0]["State"]["Pid"])
