"""What tests of the backup work on: settings below a folder, repositories, stores, sources."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest import mock

import pytest

from backup.environment import load_settings
from backup.model import Kind, Snapshot
from backup.programs import Command
from backup.repository import HOST, Repository
from backup.settings import PREFIX, Settings
from demo.processes import Process, Program, answers_at, free_port
from monitoring import BIN, tool

SECRET = "correct-horse-battery"  # noqa: S105 - of repositories that tests make
ROOT = Path(__file__).parents[1]


def variables_of(folder: Path, **given: str) -> dict[str, str]:
    """Return the variables of an installation below *folder*, which is made.

    Args:
        folder: Everything lies below it.
        given: Others, by what follows ``PREFECT_BACKUP_``; they win.
    """
    secrets = folder / "secrets"
    (secrets / "store").mkdir(parents=True, exist_ok=True)
    (folder / "state").mkdir(exist_ok=True)
    for name in ("password", "key_password"):
        if not (secrets / name).exists():
            (secrets / name).write_text(f"{SECRET}-{name}\n")
    usual = {
        "REPOSITORY": folder / "repository",
        "PASSWORD_FILE": secrets / "password",
        "KEY_REPOSITORY": folder / "key-repository",
        "KEY_PASSWORD_FILE": secrets / "key_password",
        "CREDENTIALS_DIR": secrets / "store",
        "DATABASE_FILE": secrets / "database_url",
        "BUNDLED_DATABASE_FILE": folder / "bundled_database",
        "DATABASE_PASSWORD_FILE": secrets / "database_password",
        "TARGETS_FILE": folder / "targets.yaml",
        "VOLUMES_DIR": folder / "volumes",
        "ENCRYPTION_KEY_FILE": secrets / "encryption_key",
        "STATE_DIR": folder / "state",
        "SCRATCH_DIR": folder / "scratch",
        "LOG_FORMAT": "json",
    }
    return {f"{PREFIX}{name}": str(value) for name, value in (usual | given).items()}


def settings_of(folder: Path, **given: str) -> Settings:
    """Return the settings of an installation below *folder*: `variables_of`."""
    others = {name: text for name, text in os.environ.items() if not name.startswith(PREFIX)}
    with mock.patch.dict(os.environ, others | variables_of(folder, **given), clear=True):
        return load_settings()


def process_environment(folder: Path, **given: str) -> dict[str, str]:
    """Return the environment for a process of the backup's with these settings."""
    return {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT / 'deploy'}:{ROOT / 'tests'}:{ROOT / 'examples'}",
        **variables_of(folder, **given),
    }


def repository_of(settings: Settings) -> Repository:
    """Return the installation's repository, which does not wait long for a lock."""
    return hasty(Repository.of(settings))


def hasty(repository: Repository) -> Repository:
    """Return the same repository with little patience."""
    return replace(repository, restic=replace(repository.restic, patience_seconds=1))


def restic(repository: Repository, *argv: str) -> str:
    """Run restic on a repository as a person would, and return what it wrote."""
    return subprocess.run(
        [tool("restic"), *argv],
        env={"PATH": os.environ["PATH"], **repository.restic.environment()},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def aged(repository: Repository, kind: Kind, at: datetime, *, safety: str = "no") -> None:
    """Add a snapshot that says it was made at a time, as no command of ours can."""
    tags = f"kind={kind},target={repository.target},safety={safety}"
    name = repository.restic.scratch / "aged"
    name.write_text(f"made at {at}")
    time = f"--time={at.astimezone():%Y-%m-%d %H:%M:%S}"
    restic(repository, "backup", time, f"--host={HOST}", f"--tag={tags}", str(name))


@dataclass
class ScriptedSource:
    """A source that keeps what a shell writes.

    Args:
        script: Writes the content.
        kind: The series.
        env: What the script finds in its environment.
        tags: Of the snapshot.
    """

    script: str
    kind: Kind = Kind.DATABASE
    env: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    def save(self, repository: Repository) -> Snapshot:
        """Keep it."""
        command = Command(argv=["sh", "-c", self.script], env=self.env)
        return repository.save_command(command, kind=self.kind, filename="scripted", tags=self.tags)


@contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """Run an S3 server that logs below *folder*, and yield its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server = Process(
        Program(
            name="s3",
            argv=[sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            env=dict(os.environ),
            ready=answers_at(f"{url}/moto-api/"),
        ),
        log=folder / "s3.log",
        cwd=folder,
    )
    server.start()
    try:
        server.wait_ready()
        yield url
    finally:
        server.stop()


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a disk of some size, such as ``8m``, below *folder*."""
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("only root can mount a disk")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@contextmanager
def answering(status: int, code: str, message: str) -> Iterator[str]:
    """Run a store that answers everything by one error of S3's, and yield its address."""
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_PUT = do_GET  # noqa: N815 - as http.server calls them

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
