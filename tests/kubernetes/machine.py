"""A machine within this one: its network, mounts and processes are its own, and end with it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from demo.processes import Program, descendants, wait_until
from demo.sandbox import Sandbox

# Several may run at a time, each in networks of its own number.
_NUMBERS = range(1, 100)
_CGROUPS = Path("/sys/fs/cgroup")
# In these folders programs keep things. They are in memory: quick, and gone at the end.
_START = """
set -e
for folder in /run /var/lib /var/log; do mount -t tmpfs tmpfs $folder; done
ip link set lo up
touch "$1"
sleep infinity & wait
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """One that runs.

    Args:
        sandbox: Where its files are.
        pid: Its first process.
        number: Tells it from others of the same time.
    """

    sandbox: Sandbox
    pid: int
    number: int

    @property
    def host(self) -> str:
        """The address at which it reaches this machine."""
        return f"10.232.{self.number}.1"

    @property
    def address(self) -> str:
        """Its own address."""
        return f"10.232.{self.number}.2"

    @property
    def pods(self) -> str:
        """The network of its pods, which this machine reaches too."""
        return f"10.233.{self.number}.0/24"

    @property
    def cgroup(self) -> str:
        """The parent of all its control groups."""
        return f"prefect-node-{self.number}"

    def command(self, *argv: str) -> list[str]:
        """Return the command that runs *argv* in it."""
        return ["nsenter", f"--target={self.pid}", "--net", "--mount", "--pid", *argv]

    def path(self, path: str) -> Path:
        """Return where this machine finds a file of that one."""
        return Path(f"/proc/{self.pid}/root{path}")

    def run(self, *argv: str) -> str:
        """Run a command in it, and return what that prints.

        Raises:
            CalledProcessError: It fails.
        """
        return _run(*self.command(*argv))


@contextmanager
def machine(sandbox: Sandbox) -> Iterator[Machine]:
    """Have a machine until the block ends. Needs root."""
    there = sandbox.subfolder("machine") / "there"
    spaces = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    program = Program(
        name="machine",
        argv=["unshare", *spaces, "sh", "-c", _START, "sh", str(there)],
        env=sandbox.environment(),
        ready=there.exists,
    )
    process = sandbox.start(program)
    try:
        made = _connected(sandbox, descendants(process.pid)[0].pid)
        with _cgroup(made.cgroup):
            try:
                yield made
            finally:
                # All but its first process, this command too, so that their peers learn of it.
                with suppress(subprocess.CalledProcessError):
                    made.run("sh", "-c", "kill -9 -1")
    finally:
        process.kill()


def _connected(sandbox: Sandbox, pid: int) -> Machine:
    """Return the machine with that first process, once it can be reached."""
    for number in _NUMBERS:
        link = f"prefect-node-{number}"
        with suppress(subprocess.CalledProcessError):
            _run("ip", "link", "add", link, "type", "veth", "peer", "eth0", "netns", str(pid))
            break
    else:
        raise OSError("cannot make a network link: ip link add ... type veth")
    made = Machine(sandbox, pid, number)
    _run("ip", "address", "add", f"{made.host}/30", "dev", link)
    _run("ip", "link", "set", link, "up")
    made.run("ip", "address", "add", f"{made.address}/30", "dev", "eth0")
    made.run("ip", "link", "set", "eth0", "up")
    made.run("ip", "route", "add", "default", "via", made.host)
    _run("ip", "route", "add", made.pods, "via", made.address)
    return made


@contextmanager
def _cgroup(name: str) -> Iterator[None]:
    # A hierarchy for each controller in version 1, one for all in version 2.
    version2 = (_CGROUPS / "cgroup.controllers").exists()
    roots = [_CGROUPS] if version2 else [path for path in _CGROUPS.iterdir() if path.is_dir()]
    folders = [root / name for root in roots]
    for folder in folders:
        folder.mkdir(exist_ok=True)
    try:
        yield
    finally:
        for folder in folders:
            wait_until(lambda: _removed(folder), within=10, what=f"the end of {folder}")  # noqa: B023 - at once


def _removed(folder: Path) -> bool:
    # Only folders can be removed of a control group, the innermost first, and busy ones later.
    below = sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True)
    for path in [*below, folder]:
        with suppress(OSError):
            path.rmdir()
    return not folder.exists()


def _run(*argv: str) -> str:
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    return done.stdout
