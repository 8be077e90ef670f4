"""Restores as a person asks for it: what would be done is told, and done only with ``--yes``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from backup import objects, volumes
from backup.database import Database
from backup.desk import Desk, Report, open_repository, repository_name
from backup.errors import BackupError, BadSetting, NoSnapshot, SourceUnavailable
from backup.model import Job, Kind, Snapshot
from backup.progress import shown
from backup.repository import Repository
from backup.restore import at_time, plan, restore_database
from backup.restore_model import SAFETY_TAGS, putting_aside, target_of, way_back
from backup.scratch import workspace
from backup.settings import PREFIX, Settings
from backup.steps import Step
from backup.targets import Target

_UNCHANGED = "Nothing was changed. Run it again with --yes to do it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person asked for: the options of ``prefect-backup restore``."""

    kind: Kind
    snapshot: str | None
    at: str | None
    target: str | None
    into_file: str | None
    yes: bool


@dataclass(frozen=True, slots=True)
class _Task:
    settings: Settings
    wish: Wish
    repository: Repository
    snapshot: Snapshot


def restore(settings: Settings, wish: Wish) -> bool:
    """Tell what would be done, and do it where that is wished.

    Returns:
        Whether it was done.

    Raises:
        BackupError: It cannot be done, or failed; its notes say what became of what was there.
    """
    repository = open_repository(settings, repository_name(wish.kind))
    if not repository.is_there():
        raise NoSnapshot(f"there is no repository at {repository.restic.address}")
    repository = repository.of_target(wish.target or settings.target)
    desk = Desk(settings=settings)
    at = at_time(wish.at) if wish.at else None
    snapshot = repository.find(wish.kind, id=wish.snapshot, at=at)
    act = _ACTS[wish.kind](_Task(settings, wish, repository, snapshot))
    if not wish.yes:
        click.echo(_UNCHANGED)
        return False
    with desk.at_work(Job.RESTORE, [wish.kind]):
        _attempt(desk, repository.target, snapshot, act)
    return True


def _attempt(desk: Desk, target: str, snapshot: Snapshot, act: Callable[[], str]) -> None:
    failed: list[BackupError] = []

    def tried(report: Report) -> None:
        report.snapshot = snapshot
        try:
            report.message = act()
        except BackupError as error:
            failed.append(error)
            raise

    outcome = desk.attempt(target, snapshot.kind, Job.RESTORE, tried)
    if failed:
        raise failed[0]
    if outcome.error is not None:
        raise BackupError(outcome.message)


def _database(task: _Task) -> Callable[[], str]:
    file = task.wish.into_file
    into = Database.of(f"sqlite:///{Path(file).absolute()}") if file else task.settings.database
    if into is None:
        problem = "names no database to restore into; write its owner's address into it"
        raise BadSetting(f"{PREFIX}DATABASE_FILE", problem)
    if task.wish.target is not None and not task.repository.owns(task.snapshot):
        problem = f"{task.snapshot.id:.8} is of the target {target_of(task.snapshot)}"
        raise BadSetting("--snapshot", f"{problem}, and --target names another")
    # Whosever the snapshot is: what is kept of this database is its own target's.
    repository = task.repository.of_target(task.settings.target)
    click.echo(plan(task.settings, repository, task.snapshot, into))

    def act() -> str:
        with shown() as say:
            done = restore_database(task.settings, repository, task.snapshot, into, say=say)
        click.echo(done)
        return f"into {into.shown}"

    return act


def _objects(task: _Task) -> Callable[[], str]:
    target = _target(task)
    click.echo(f"{_described(task.snapshot)}: make those that {target.url} does not have")

    def act() -> str:
        with _fetched(task) as folder, objects.Api(target) as api:
            done = objects.restore_objects(folder, api, say=click.echo)
        click.echo(done)
        if done.refused:
            raise SourceUnavailable(f"{target.url} did not take {done.refused} objects")
        return str(done)

    return act


def _volumes(task: _Task) -> Callable[[], str]:
    into = task.settings.volumes_dir
    first = "; kept as a snapshot first" if volumes.hold_something(into) else ""
    click.echo(f"{_described(task.snapshot)}: replace its files below {into}{first}")

    def act() -> str:
        with _fetched(task) as folder, _kept(task):
            done = ", ".join(volumes.restore_volumes(folder, into))
            click.echo(f"Restored {done}")
        return done

    return act


@contextmanager
def _kept(task: _Task) -> Iterator[None]:
    """Keep what is in the volumes, and tell how to go back, however the block ends."""
    if not volumes.hold_something(task.settings.volumes_dir):
        yield
        return
    source = volumes.VolumesSource(
        task.settings.volumes_dir, task.settings.scratch_dir, tags=SAFETY_TAGS
    )
    with putting_aside(f"move what is damaged out of {task.settings.volumes_dir}"):
        safety = source.save(task.repository.of_target(task.settings.target))
    click.echo(f"Kept what is there as snapshot {safety.id:.8}")
    try:
        yield
    except BackupError as error:
        error.add_note(way_back(safety))
        raise
    click.echo(way_back(safety))


def _encryption_key(_task: _Task) -> Callable[[], str]:
    problem = "is where the key goes, by hand: `prefect-backup show-key --yes` prints it"
    raise BadSetting(f"{PREFIX}ENCRYPTION_KEY_FILE", problem)


def _target(task: _Task) -> Target:
    name = task.repository.target
    found = next((each for each in task.settings.targets if each.name == name), None)
    if found is None:
        raise BadSetting(f"{PREFIX}TARGETS_FILE", f"names no target {name!r} to restore into")
    return found


@contextmanager
def _fetched(task: _Task) -> Iterator[Path]:
    with workspace(task.settings.scratch_dir) as folder, shown() as say:
        say(Step("fetching the snapshot"))
        task.repository.fetch_folder(task.snapshot, folder)
        yield folder


def _described(snapshot: Snapshot) -> str:
    return f"Snapshot {snapshot.id:.8} of {snapshot.time:%Y-%m-%d %H:%M:%S %Z}"


_ACTS: Mapping[Kind, Callable[[_Task], Callable[[], str]]] = {
    Kind.DATABASE: _database,
    Kind.OBJECTS: _objects,
    Kind.VOLUMES: _volumes,
    Kind.ENCRYPTION_KEY: _encryption_key,
}
