"""What every job works with: settings, repositories, the lock, and a record of how it went."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from backup.errors import BackupError
from backup.lock import Holder, held
from backup.model import Job, Kind, Outcome, Snapshot
from backup.programs import Terminated
from backup.repository import Repository
from backup.settings import Settings
from backup.sources import Series, sources_of
from backup.state import Store

MAIN, KEYS = "main", "keys"
DRILLED = (Kind.DATABASE, Kind.OBJECTS, Kind.VOLUMES)

_KILLED = Terminated.reason, "was killed before it ended"

_log = structlog.get_logger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


def repository_name(kind: Kind) -> str:
    """Return where a kind is kept: what opens the secrets lies apart from them."""
    return KEYS if kind is Kind.ENCRYPTION_KEY else MAIN


def open_repository(settings: Settings, name: str) -> Repository:
    """Return the repository ``main`` or ``keys``."""
    return Repository.of_keys(settings) if name == KEYS else Repository.of(settings)


@dataclass(slots=True)
class Report:
    """What an attempt has come to, also where it fails later on."""

    snapshot: Snapshot | None = None
    snapshots: int | None = None
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What every job works with.

    Args:
        settings: What is backed up, and where to.
        now: The time.
        wait_seconds: How long to wait for another job to end.
        open_repository: Returns the repository ``main`` or ``keys``.
        sources: Returns what is backed up.
    """

    settings: Settings
    now: Callable[[], datetime] = _now
    wait_seconds: float = 0
    open_repository: Callable[[Settings, str], Repository] = open_repository
    sources: Callable[[Settings], Sequence[Series]] = sources_of
    _ready: dict[str, Repository | BackupError] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        """Where outcomes go."""
        return Store(self.settings.state_dir)

    def series(self, kinds: Collection[Kind] = ()) -> list[Series]:
        """Return what is backed up, of some kinds or of all."""
        found = self.sources(self.settings)
        return [each for each in found if not kinds or each.kind in kinds]

    def repository(self, target: str, kind: Kind) -> Repository:
        """Return where a kind of a target is kept, ready; what is not is asked only once.

        Raises:
            BackupError: It cannot be used.
        """
        name = repository_name(kind)
        if name not in self._ready:
            try:
                repository = self.open_repository(self.settings, name)
                repository.ready()
                self._ready[name] = repository
            except BackupError as error:
                self._ready[name] = error
        found = self._ready[name]
        if isinstance(found, BackupError):
            raise found
        return found.of_target(target)

    def ready_repositories(self) -> Mapping[str, Repository]:
        """Return those that were asked for and can be used."""
        found = self._ready.items()
        return {name: each for name, each in found if isinstance(each, Repository)}

    @contextmanager
    def at_work(self, job: Job, kinds: Collection[Kind] = ()) -> Iterator[None]:
        """Hold the lock for some kinds or for all; what was killed before is told of first.

        Raises:
            Busy: Another job is at work.
        """
        folder, wait = self.settings.state_dir, self.wait_seconds
        with held(folder, job, kinds, now=self.now, wait_seconds=wait) as killed:
            if killed is not None:
                self._tell_of(killed)
            yield

    def attempt(self, target: str, kind: Kind, job: Job, act: Callable[[Report], None]) -> Outcome:
        """Try one job with one kind, and remember and tell how it went."""
        began, report, error = self.now(), Report(), None
        try:
            act(report)
        except Terminated as ended:
            told = Terminated.reason, str(ended)
            self.conclude(target, _outcome(kind, job, report, (began, self.now()), told))
            raise
        except BackupError as known:
            error = (known.reason, str(known))
        except Exception as unknown:  # noqa: BLE001 - the other kinds still have their turn
            _log.exception("job.crashed", job=job, kind=kind)
            error = (BackupError.reason, f"unexpected: {type(unknown).__name__}")
        outcome = _outcome(kind, job, report, (began, self.now()), error)
        self.conclude(target, outcome)
        return outcome

    def conclude(self, target: str, outcome: Outcome) -> None:
        """Remember an outcome, and write it to the log."""
        facts = {
            "target": target,
            "kind": outcome.kind,
            "seconds": round(outcome.seconds, 1),
            "size_bytes": outcome.size_bytes,
            "snapshot": outcome.snapshot,
            "message": outcome.message,
        }
        told = {name: value for name, value in facts.items() if value not in (None, "")}
        if outcome.error is None:
            _log.info(f"{outcome.job}.succeeded", **told)
        else:
            _log.error(f"{outcome.job}.failed", reason=outcome.error, **told)
        try:
            self.store.record(target, outcome)
        except OSError as error:
            _log.error("state.not_written", error=error.strerror)

    def _tell_of(self, killed: Holder) -> None:
        """Conclude what a job that was killed left open."""
        state = self.store.read()
        for series in self.series(killed.kinds):
            record = state.record(series.target, series.kind, killed.job)
            if record is None or record.last.began < killed.since:
                times = killed.since, self.now()
                killed_it = _outcome(series.kind, killed.job, Report(), times, _KILLED)
                self.conclude(series.target, killed_it)


def _outcome(
    kind: Kind,
    job: Job,
    report: Report,
    times: tuple[datetime, datetime],
    error: tuple[str, str] | None,
) -> Outcome:
    reason, message = error or (None, report.message)
    return Outcome(
        kind=kind,
        job=job,
        began=times[0],
        ended=times[1],
        error=reason,
        message=message,
        size_bytes=report.snapshot.size_bytes if report.snapshot else None,
        snapshot=report.snapshot.id if report.snapshot else None,
        snapshots=report.snapshots,
    )
