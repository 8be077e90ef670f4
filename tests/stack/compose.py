"""docker-compose.yml as it is, under a name, with secrets and on ports of its own."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import httpx

ROOT = Path(__file__).parents[2]
PROFILES = ("server", "demo")

UP_WITHIN = 300.0
"""Seconds for every healthcheck: 180 are promised, and a machine of CI may be busy."""


class ComposeError(AssertionError):
    """A command failed; the message has what it wrote and what ails the containers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """One installation of the file.

    Args:
        name: The Compose project's.
        folder: Has ``.env`` and ``secrets/``; belongs to this stack alone.
        ports: What is published where, by the variables of ``.env``.
        absent: Services that are scaled to zero, since their images cannot be had.
        overrides: Further Compose files, after the real one.
        profiles: Those that are on.
    """

    name: str
    folder: Path
    ports: Mapping[str, int]
    absent: Sequence[str] = ()
    overrides: Sequence[Path] = ()
    profiles: Sequence[str] = ()

    def having(self, *profiles: str) -> Self:
        """Return the same stack with these profiles on."""
        return replace(self, profiles=profiles)

    def up(self, *services: str) -> float:
        """Start *services*, or all; return the seconds until each healthcheck was green."""
        began = time.monotonic()
        scales = [] if services else [f"--scale={service}=0" for service in self.absent]
        wait = ["--wait", f"--wait-timeout={UP_WITHIN:.0f}"]
        self.compose("up", "--detach", "--pull=never", *wait, *scales, *services)
        return time.monotonic() - began

    def down(self, *options: str) -> None:
        """Remove the containers and networks of all profiles; with ``--volumes`` the rest too."""
        self.having(*PROFILES).compose("down", "--remove-orphans", *options)

    def compose(self, *arguments: str) -> str:
        """Return what ``docker compose`` writes to standard output.

        Raises:
            ComposeError: It ended with another code than 0, or took too long.
        """
        ran = self.try_compose(*arguments)
        if ran.returncode:
            raise ComposeError(f"compose {' '.join(arguments)}:\n{ran.stderr}\n{self.ailments()}")
        return ran.stdout

    def try_compose(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``docker compose`` on this stack, whatever comes of it."""
        files = [ROOT / "docker-compose.yml", *self.overrides]
        options = [f"--file={path}" for path in files]
        options += [f"--profile={profile}" for profile in self.profiles]
        options += [f"--project-name={self.name}", f"--project-directory={ROOT}"]
        options += [f"--env-file={self.folder / '.env'}", "--ansi=never", "--progress=plain"]
        return docker_run("compose", *options, *arguments)

    def containers(self, *services: str) -> list[Container]:
        """Return the containers of *services*, or all that exist, in the order of their names."""
        label = f"label=com.docker.compose.project={self.name}"
        ids = docker("ps", "--all", "--quiet", "--no-trunc", f"--filter={label}").split()
        found = [Container(document) for document in inspect(*ids)]
        wanted = [one for one in found if not services or one.service in services]
        return sorted(wanted, key=lambda container: container.name)

    def container(self, service: str) -> Container:
        """Return the one container of *service*."""
        (only,) = self.containers(service)
        return only

    def url(self, variable: str) -> str:
        """Return where the published port of that variable answers on this machine."""
        return f"http://127.0.0.1:{self.ports[variable]}"

    def secret(self, name: str) -> str:
        """Return what that secret's file holds."""
        return (self.folder / "secrets" / name).read_text().strip()

    def prefect(self) -> httpx.Client:
        """Return a client of the bundled server's API, through the proxy; the caller closes it."""
        url = f"{self.url('PREFECT_PORT')}/api"
        auth = ("admin", self.secret("prefect_password"))
        return httpx.Client(base_url=url, auth=auth, timeout=30, trust_env=False)

    def ailments(self) -> str:
        """Return what is not well: the containers, and the last lines of each."""
        ill = [container for container in self.containers() if not container.well]
        tails = [f"--- {one.name} ({one.state})\n{one.log(tail=25)}" for one in ill]
        return "\n".join([self.try_compose("ps", "--all").stdout, *tails])


@dataclass(frozen=True, slots=True)
class Container:
    """One container, as ``docker inspect`` described it when it was asked for."""

    inspected: Mapping[str, Any]

    @property
    def id(self) -> str:
        """Docker's name for it."""
        return str(self.inspected["Id"])

    @property
    def name(self) -> str:
        """Compose's name for it."""
        return str(self.inspected["Name"]).removeprefix("/")

    @property
    def service(self) -> str:
        """The service that it is of."""
        return str(self.inspected["Config"]["Labels"]["com.docker.compose.service"])

    @property
    def state(self) -> str:
        """``running``, ``exited 0`` ..., and ``healthy`` or not where somebody asks it."""
        state = self.inspected["State"]
        code = f" {state['ExitCode']}" if state["Status"] == "exited" else ""
        return f"{state['Status']}{code} {state.get('Health', {}).get('Status', '')}".strip()

    @property
    def well(self) -> bool:
        """Whether it is healthy, runs without a healthcheck, or has done its one job."""
        return self.state in {"running healthy", "running", "exited 0"}

    @property
    def begun(self) -> tuple[str, str, int]:
        """What changes where it is made anew or started again."""
        return self.id, self.inspected["State"]["StartedAt"], self.inspected["RestartCount"]

    def address(self, network: str) -> str:
        """Return its IP address in that network of the stack."""
        networks = self.inspected["NetworkSettings"]["Networks"]
        (address,) = (it["IPAddress"] for name, it in networks.items() if name.endswith(network))
        return str(address)

    def log(self, *, tail: int | None = None) -> str:
        """Return what it wrote, or its last lines."""
        lines = [] if tail is None else [f"--tail={tail}"]
        ran = docker_run("logs", *lines, self.id)
        return ran.stdout + ran.stderr

    def crash(self, image: str) -> None:
        """Kill its process as the kernel would.

        Docker takes ``docker kill`` for the wish of a person, and leaves the container stopped.

        Args:
            image: One with ``kill``, that looks at all processes of Docker's machine.
        """
        pid = str(self.inspected["State"]["Pid"])
        rights = ["--pid=host", "--network=none", "--cap-drop=ALL", "--cap-add=KILL", "--user=0"]
        docker("run", "--rm", *rights, image, "kill", "-9", pid)


def docker(*arguments: str) -> str:
    """Return what ``docker`` writes to standard output; raise `ComposeError` where it fails."""
    ran = docker_run(*arguments)
    if ran.returncode:
        raise ComposeError(f"docker {' '.join(arguments)}:\n{ran.stderr}")
    return ran.stdout


def docker_environment() -> dict[str, str]:
    """Return what ``docker`` needs, and no variable that Compose would take for its file's."""
    kept = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "STACK_VERSION")
    return {name: os.environ[name] for name in kept if name in os.environ}


def docker_run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``docker``."""
    return subprocess.run(
        ["docker", *arguments],
        env=docker_environment(),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=UP_WITHIN * 2,
    )


def inspect(*ids: str) -> list[Mapping[str, Any]]:
    """Return what Docker knows of these containers; of one that is gone, nothing."""
    ran = docker_run("inspect", "--type=container", *ids) if ids else None
    documents: list[Mapping[str, Any]] = json.loads(ran.stdout or "[]") if ran else []
    return documents
