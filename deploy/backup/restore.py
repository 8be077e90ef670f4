"""Restores a database: what is there is kept, what comes is verified, or all is undone."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from backup import restore_postgres, restore_sqlite, schema
from backup.database import Database
from backup.errors import BackupError, BadSetting, Unverified
from backup.model import Manifest, Snapshot
from backup.repository import Repository
from backup.restore_model import After, Plan, Restored, Task, There
from backup.settings import Settings
from backup.steps import Say


def at_time(text: str) -> datetime:
    """Return the time that ``--at`` names.

    Raises:
        BadSetting: It is none, or one without a time zone.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadSetting("--at", "is no time: write it as 2026-11-20T03:00Z") from None
    if found.tzinfo is None:
        raise BadSetting("--at", "says no time zone: write 2026-11-20T03:00Z or ...T03:00+01:00")
    return found


def plan(settings: Settings, repository: Repository, snapshot: Snapshot, into: Database) -> Plan:
    """Return what a restore would do, after all that can be found out without changing anything.

    Raises:
        BackupError: It cannot be done.
    """
    task = _task(settings, repository, snapshot, into)
    return Plan(task=task, there=_look(task), now=datetime.now(UTC))


def restore_database(
    settings: Settings, repository: Repository, snapshot: Snapshot, into: Database, *, say: Say
) -> Restored:
    """Replace what *into* holds by *snapshot*.

    Raises:
        BackupError: It could not be done; a note says what became of the database.
    """
    began, started = datetime.now(UTC), time.monotonic()
    task = _task(settings, repository, snapshot, into)
    safety, after = _replace(task, _look(task), say)
    return Restored(
        task=task,
        safety=safety,
        seconds=time.monotonic() - started,
        age_seconds=(began - snapshot.time).total_seconds(),
        after=after,
    )


def _task(settings: Settings, repository: Repository, snapshot: Snapshot, into: Database) -> Task:
    try:
        manifest = Manifest.from_tags(snapshot.tags)
    except (KeyError, ValueError):
        raise Unverified(
            f"the snapshot {snapshot.id:.8} does not say what it holds: something else made it"
        ) from None
    if manifest.engine != into.engine:
        raise BadSetting(
            "--snapshot",
            f"{snapshot.id:.8} is of {manifest.engine}, which cannot go into {into.shown}",
        )
    schema.check_known(manifest)
    return Task(
        repository=repository,
        snapshot=snapshot,
        manifest=manifest,
        into=into,
        scratch=settings.scratch_dir,
        timeout=settings.timeout_seconds,
    )


def _look(task: Task) -> There:
    if task.into.engine == "sqlite":
        return restore_sqlite.look(task)
    return restore_postgres.look(task)


def _replace(task: Task, there: There, say: Say) -> tuple[Snapshot | None, After]:
    try:
        if task.into.engine == "sqlite":
            safety = restore_sqlite.replace(task, there, say)
        else:
            safety = restore_postgres.replace(task, there, say)
    except BackupError as error:
        if not getattr(error, "__notes__", None):
            error.add_note("The database is as it was.")
        raise
    return safety, _finish(task, safety, say)


def _finish(task: Task, safety: Snapshot | None, say: Say) -> After:
    try:
        if task.into.engine == "sqlite":
            return restore_sqlite.finish(task)
        return restore_postgres.finish(task, say)
    except BackupError as error:
        before = f"; what was there before is the snapshot {safety.id:.8}" if safety else ""
        error.add_note(f"The database was restored; this went wrong after that{before}.")
        raise
