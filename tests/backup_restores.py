"""Restores that tests make, also in a process that is killed at some step of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import psycopg

from backup.database import Database
from backup.model import Kind, Snapshot
from backup.postgres import PostgresSource
from backup.postgres_programs import newest
from backup.programs import Command
from backup.repository import Repository
from backup.restore import restore_database
from backup.restore_model import Restored
from backup.settings import Settings
from backup.steps import Step
from backup_worlds import repository_of, settings_of

_SECONDS = 300


def saved(database: Database, repository: Repository) -> Snapshot:
    """Return a snapshot of a PostgreSQL database."""
    return PostgresSource(database, Path()).save(repository)


def saved_as(repository: Repository, like: Snapshot, *command: str) -> Snapshot:
    """Return a snapshot of what *command* writes that says what *like* says."""
    return repository.save_command(
        Command(argv=command),
        kind=Kind.DATABASE,
        filename=like.path.removeprefix("/"),
        tags=like.tags,
    )


def restored(
    settings: Settings,
    snapshot: Snapshot,
    into: Database,
    say: Callable[[Step], None] = lambda _: None,
) -> Restored:
    """Restore *snapshot* from the repository of *settings*."""
    return restore_database(settings, repository_of(settings), snapshot, into, say=say)


def content(database: Database) -> str:
    """Return all of a PostgreSQL database's schema public, rows included, as SQL."""
    done = subprocess.run(
        [newest("pg_dump").path, "--schema=public", "--no-owner", "--no-acl"],
        env={**database.environment(Path()), "PATH": os.environ["PATH"]},
        check=True,
        capture_output=True,
        text=True,
    )
    # Each dump has another word there.
    return "\n".join(line for line in done.stdout.splitlines() if "restrict " not in line)


def ask(database: Database, statement: str) -> list[tuple[object, ...]]:
    """Run a statement by itself and return its rows, of which there may be none."""
    with psycopg.connect(database.url.get_secret_value(), autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def as_role(role: str, database: Database) -> Database:
    """Return the same database for another role."""
    return Database.of(re.sub("//.*@", f"//{role}@", database.url.get_secret_value()))


def killed_at(step: str, folder: Path, snapshot: Snapshot, into: Database) -> int:
    """Restore in a process that is killed where *step* begins; return how it ended.

    Args:
        step: The name of a `Step`.
        folder: Of `settings_of`.
        snapshot: What to restore.
        into: What to replace.
    """
    address = into.url.get_secret_value()
    url = f"sqlite:///{address}" if into.engine == "sqlite" else address
    # A process that is killed leaves its temporary files.
    with tempfile.TemporaryDirectory() as temporary:
        done = subprocess.run(
            [sys.executable, __file__, step, str(folder), snapshot.id, url],
            env={**os.environ, "PYTHONPATH": ":".join(sys.path), "TMPDIR": temporary},
            check=False,
            capture_output=True,
            timeout=_SECONDS,
        )
    return done.returncode


def _main(step: str, folder: str, snapshot: str, url: str) -> None:
    settings = settings_of(Path(folder))
    found = repository_of(settings).find(Kind.DATABASE, id=snapshot)

    def kill(reached: Step) -> None:
        if reached.name == step:
            os.kill(os.getpid(), signal.SIGKILL)

    restored(settings, found, Database.of(url), kill)


if __name__ == "__main__":
    _main(*sys.argv[1:])
