"""A place for what a job needs while it runs: a folder, and a PostgreSQL that is thrown away."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from backup.background import Server, running
from backup.errors import BadSetting, ProgramFailed
from backup.postgres_programs import newest

_PREFIX = "work-"
_ROLE = "prefect"
_PORT = 5432
_LONGEST_SOCKET = 107
# Nothing here outlives the block. Parallel work wants shared memory; containers have little of it.
_PARAMETERS = (
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_wal_size=4GB",
    "autovacuum=off",
    "max_parallel_workers=0",
    "max_parallel_maintenance_workers=0",
    "maintenance_work_mem=128MB",
    "jit=off",
    "listen_addresses=",
)


@contextmanager
def workspace(scratch: Path) -> Iterator[Path]:
    """Make a folder in *scratch* that is removed with the block.

    What a job that was killed left there is removed first.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    for left in scratch.glob(f"{_PREFIX}*"):
        with _held(left) as held:
            if held:
                shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=scratch))
    with _held(folder):
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Hold *folder* as long as this process lives; tell whether no other one does."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(handle)


@dataclass(frozen=True, slots=True)
class Postgres:
    """A PostgreSQL that whoever may enter the folder *socket* can reach, as its superuser."""

    socket: Path

    @property
    def environment(self) -> dict[str, str]:
        """What libpq's programs need in order to connect."""
        return {
            "PGHOST": str(self.socket),
            "PGPORT": str(_PORT),
            "PGUSER": _ROLE,
            "PGDATABASE": "postgres",
        }

    @property
    def prefect_url(self) -> str:
        """The address as Prefect takes it."""
        return f"postgresql+asyncpg://{_ROLE}@:{_PORT}/postgres?host={self.socket}"

    def connect(self) -> psycopg.Connection:
        """Return a connection that commits each statement."""
        return psycopg.connect(
            host=str(self.socket), port=_PORT, user=_ROLE, dbname="postgres", autocommit=True
        )


@contextmanager
def postgres(folder: Path) -> Iterator[Postgres]:
    """Run a new, empty PostgreSQL below *folder*, which no network reaches.

    Raises:
        BadSetting: The folder's path is too long for a socket.
        ProgramFailed: It does not start.
        SourceUnavailable: PostgreSQL is not installed.
    """
    home = folder / "postgres"
    if len(str(home / f".s.PGSQL.{_PORT}")) > _LONGEST_SOCKET:
        raise BadSetting(
            "PREFECT_BACKUP_SCRATCH_DIR", "is too long a path for a socket: name a shorter one"
        )
    user = _account(folder, home)
    _initialise(home / "data", user)
    scratch = Postgres(home)
    with running(_server(scratch, user)):
        yield scratch


def _account(folder: Path, home: Path) -> str | None:
    home.mkdir(mode=0o700)
    if os.geteuid():
        return None
    # PostgreSQL refuses to run as root.
    folder.chmod(0o711)
    shutil.chown(home, "postgres")
    return "postgres"


def _initialise(data: Path, user: str | None) -> None:
    command = [
        str(newest("initdb").path),
        f"--pgdata={data}",
        f"--username={_ROLE}",
        "--auth=trust",
    ]
    rest = ["--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]
    done = subprocess.run(
        [*command, *rest],
        env=_environment(),
        user=user,
        cwd=data.parent,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [""]
        raise ProgramFailed("initdb", said[-1], done.returncode)


def _server(scratch: Postgres, user: str | None) -> Server:
    parameters = (*_PARAMETERS, f"port={_PORT}", f"unix_socket_directories={scratch.socket}")
    settings = [part for each in parameters for part in ("-c", each)]

    def ready() -> bool:
        try:
            scratch.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    return Server(
        argv=[str(newest("postgres").path), "-D", str(scratch.socket / "data"), *settings],
        env=_environment(),
        log=scratch.socket / "postgres.log",
        ready=ready,
        stop=signal.SIGQUIT,
        user=user,
    )


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
