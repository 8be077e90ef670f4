"""The jobs: each under the lock, each with an outcome for every kind, whatever happens."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from backup.desk import DRILLED, KEYS, MAIN, Desk, Report, repository_name
from backup.drill import drill
from backup.errors import BackupError, ClockWrong
from backup.model import Job, Kind, Outcome, Snapshot
from backup.repository import Repository
from backup.retention import Retention
from backup.sources import Series
from backup.steps import Say

_CLOCK_TOLERANCE = timedelta(minutes=5)
_USUAL = 7

_log = structlog.get_logger(__name__)


def run_backup(desk: Desk, kinds: Collection[Kind] = ()) -> list[Outcome]:
    """Make a snapshot of each kind, and forget those that need not be kept.

    Raises:
        Busy: Another job is at work.
    """
    with desk.at_work(Job.BACKUP, kinds):
        outcomes = [
            desk.attempt(each.target, each.kind, Job.BACKUP, _Backup(desk, each))
            for each in desk.series(kinds)
        ]
        _measure(desk)
        return outcomes


@dataclass(frozen=True, slots=True)
class _Backup:
    desk: Desk
    series: Series

    def __call__(self, report: Report) -> None:
        repository = self.desk.repository(self.series.target, self.series.kind)
        before = repository.snapshots(self.series.kind)
        began = self.desk.now()
        snapshot = report.snapshot = self.series.source.save(repository)
        report.snapshots = len(before) + 1
        _check_clock(repository, before, began)
        if usual := _lost_half(snapshot, before):
            report.message = (
                f"only {snapshot.size_bytes} bytes, less than half of the usual {usual:.0f}:"
                " it may be cut short, or data is gone; older snapshots are all kept meanwhile"
            )
            _log.warning("backup.shrank", kind=self.series.kind, message=report.message)
            return
        report.message = _missing(snapshot, before)
        repository.forget(Retention.of(self.desk.settings), self.series.kind)
        report.snapshots = len(repository.snapshots(self.series.kind))


def _check_clock(repository: Repository, before: Sequence[Snapshot], now: datetime) -> None:
    if ahead := [each for each in before if each.time - now > _CLOCK_TOLERANCE]:
        forget = repository.restic.by_hand("forget", *(each.id[:8] for each in ahead))
        raise ClockWrong(
            f"it is {now:%Y-%m-%d %H:%M %Z} here, but the snapshot {ahead[-1].id:.8} is of"
            f" {ahead[-1].time:%Y-%m-%d %H:%M %Z}: set the clock; where it is right, and was wrong"
            f" then, forget what is not of its time: docker compose exec backup {forget};"
            " a snapshot was made, and none is forgotten meanwhile"
        )


def _lost_half(snapshot: Snapshot, before: Sequence[Snapshot]) -> float | None:
    """Return the usual size where a database's snapshot has less than half of it."""
    if snapshot.kind is not Kind.DATABASE or not before:
        return None
    usual = statistics.median(each.size_bytes for each in before[-_USUAL:])
    return usual if snapshot.size_bytes < usual / 2 else None


def _missing(snapshot: Snapshot, before: Sequence[Snapshot]) -> str:
    """Return what a snapshot is without, though it succeeded; "" where nothing is known of."""
    had = _parts(before[-1], "volumes") if before else set()
    told = {
        "no longer there": had - _parts(snapshot, "volumes"),
        "the API did not give": _parts(snapshot, "skipped"),
    }
    return "; ".join(f"{what}: {', '.join(sorted(names))}" for what, names in told.items() if names)


def _parts(snapshot: Snapshot, tag: str) -> set[str]:
    return set(filter(None, snapshot.tags.get(tag, "").split(".")))


def run_check(desk: Desk) -> list[Outcome]:
    """Look for damage in the repositories, and read a part of their data.

    Raises:
        Busy: Another job is at work.
    """
    with desk.at_work(Job.CHECK):
        outcomes: list[Outcome] = []
        for name in (MAIN, KEYS):
            found = [each for each in desk.series() if repository_name(each.kind) == name]
            if found:
                outcomes += _check(desk, found)
        _measure(desk)
        return outcomes


def _check(desk: Desk, found: Sequence[Series]) -> Iterator[Outcome]:
    """Check the repository of some series once; what comes of it is true of each."""
    first, *others = found
    record = desk.store.read().record(first.target, first.kind, Job.CHECK)
    part = record.results if record else 0

    def act(_report: Report) -> None:
        desk.repository(first.target, first.kind).check(desk.settings.check_percent, part)

    outcome = desk.attempt(first.target, first.kind, Job.CHECK, act)
    yield outcome
    for series in others:
        same = replace(outcome, kind=series.kind)
        desk.conclude(series.target, same)
        yield same


def run_drill(
    desk: Desk, kinds: Collection[Kind] = (), *, snapshot: str | None = None, say: Say
) -> list[Outcome]:
    """Restore the newest snapshot of each kind where nobody looks, and see whether it is whole.

    Args:
        desk: What to work with.
        kinds: Which; all that can be drilled where there are none.
        snapshot: The beginning of the id of another one; *kinds* is then its kind alone.
        say: Is told how far it is.

    Raises:
        Busy: Another job is at work.
        NoSnapshot: There is none with such an id, or there are several; nothing was tried.
        BackupError: The repository that is to have it cannot be used; nothing was tried.
    """
    chosen = kinds or DRILLED
    with desk.at_work(Job.DRILL, chosen):
        if snapshot is None:
            drills = [_Drill(desk, each.target, each.kind, say) for each in desk.series(chosen)]
        else:
            (kind,) = kinds
            drills = [_drill_of(desk, kind, snapshot, say)]
        return [desk.attempt(each.target, each.kind, Job.DRILL, each) for each in drills]


@dataclass(frozen=True, slots=True)
class _Drill:
    desk: Desk
    target: str
    kind: Kind
    say: Say
    chosen: Snapshot | None = None

    def __call__(self, report: Report) -> None:
        repository = self.desk.repository(self.target, self.kind)
        report.snapshot = self.chosen or repository.find(self.kind)
        report.message = str(drill(self.desk.settings, repository, report.snapshot, say=self.say))


def _drill_of(desk: Desk, kind: Kind, beginning: str, say: Say) -> _Drill:
    main = desk.repository(desk.settings.target, kind)
    found = main.find(kind, id=beginning)
    owners = (
        each.target for each in desk.series([kind]) if main.of_target(each.target).owns(found)
    )
    # What is backed up no more can be tried all the same.
    target = next(owners, found.tags.get("target", ""))
    return _Drill(desk, target, kind, say, found)


def _measure(desk: Desk) -> None:
    """Note how large the repositories are; a job is none the worse for not knowing."""
    for name, repository in desk.ready_repositories().items():
        try:
            desk.store.measure(name, repository.size_bytes())
        except (BackupError, OSError) as error:
            _log.warning("repository.not_measured", repository=name, error=str(error))
