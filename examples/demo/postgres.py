"""A throw-away PostgreSQL."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from demo.processes import Process, Program, free_port
from demo.sandbox import Sandbox, find_program

_ROLE = "prefect"
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


@dataclass(frozen=True, slots=True)
class Postgres:
    """A PostgreSQL on loopback that trusts whoever connects; *bin_folder* holds its programs."""

    process: Process
    port: int
    bin_folder: Path

    def url(self, database: str = "postgres") -> str:
        """Return the address of a database as libpq and asyncpg take it."""
        return f"postgresql://{_ROLE}@127.0.0.1:{self.port}/{database}"

    def prefect_url(self, database: str = "postgres") -> str:
        """Return the address of a database as Prefect takes it."""
        return self.url(database).replace("postgresql://", "postgresql+asyncpg://")

    def create_database(self, name: str) -> None:
        """Create an empty database."""
        command = [str(self.bin_folder / "createdb"), f"--maintenance-db={self.url()}", name]
        subprocess.run(command, check=True, capture_output=True)


def start_postgres(
    sandbox: Sandbox, *, name: str = "postgres", durable: bool = True, **parameters: str
) -> Postgres:
    """Start a new, empty PostgreSQL and return once it takes connections.

    Args:
        sandbox: Where it runs.
        name: Tells several of one sandbox apart.
        durable: False skips every wait for the disk: faster, and lost in a power cut.
        parameters: Further server parameters, for example ``max_connections="300"``.

    Raises:
        FileNotFoundError: PostgreSQL is not installed.
    """
    programs = find_postgres()
    if programs is None:
        raise FileNotFoundError("PostgreSQL is not installed: apt-get install postgresql")
    # PostgreSQL refuses to run as root.
    user = "postgres" if os.geteuid() == 0 else None
    data = sandbox.subfolder(name)
    if user is not None:
        shutil.chown(data, user)
    _initialise(programs, data, user)
    port = free_port()
    ready = [str(programs / "pg_isready"), "--quiet", "--host=127.0.0.1", f"--port={port}"]
    program = Program(
        name=name,
        argv=[str(programs / "postgres"), *_arguments(data, port, parameters, durable=durable)],
        env=sandbox.environment(LC_ALL="C.UTF-8"),
        ready=lambda: subprocess.run(ready, check=False).returncode == 0,
        user=user,
        stop_signal=signal.SIGINT,  # a "fast" shutdown: clients are sent away, data is safe
    )
    return Postgres(sandbox.start(program), port, programs)


def find_postgres() -> Path | None:
    """Return the folder of the newest installed PostgreSQL's programs."""
    folders = [p for p in Path("/usr/lib/postgresql").glob("*/bin") if (p / "postgres").exists()]
    if folders:
        return max(folders, key=_version)
    on_path = find_program("postgres")
    return Path(on_path).resolve().parent if on_path else None


def _version(folder: Path) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", folder.parent.name)]


def _initialise(programs: Path, data: Path, user: str | None) -> None:
    command = [str(programs / "initdb"), f"--pgdata={data}", f"--username={_ROLE}", "--auth=trust"]
    rest = ["--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]
    done = subprocess.run(
        [*command, *rest], user=user, cwd=data, check=False, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise RuntimeError(f"initdb failed: {done.stderr.strip()}")


def _arguments(data: Path, port: int, parameters: dict[str, str], *, durable: bool) -> list[str]:
    settings = [f"{key}={value}" for key, value in parameters.items()]
    fixed = ["listen_addresses=127.0.0.1", f"port={port}", "unix_socket_directories="]
    all_of_them = [*fixed, *(() if durable else _FAST), *settings]
    return ["-D", str(data), *(part for one in all_of_them for part in ("-c", one))]
