"""What Prometheus is told: made of the state and the settings at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from backup import errors
from backup.desk import DRILLED
from backup.errors import BackupError
from backup.model import Job, Kind, Outcome
from backup.programs import Terminated
from backup.settings import Settings
from backup.state import Record, State, Store

SERIES = ("target", "kind")
"""The labels of all but a few."""

_log = structlog.get_logger(__name__)


class BackupMetrics(Collector):
    """All metrics of the backup.

    Args:
        load: Reads the settings: they name files that change.
        due: When each job is next, by job.
    """

    def __init__(
        self, load: Callable[[], Settings], due: Callable[[], Mapping[Job, datetime]]
    ) -> None:
        self._load = load
        self._due = due
        self._settings = load()
        self._configured = self._settings.configured()

    def describe(self) -> Iterable[Metric]:
        """Return no metric: which there are needs no reading of the state."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield every metric; with settings that have become bad, by the last good ones."""
        try:
            settings = self._load()
            self._settings, self._configured = settings, settings.configured()
        except BackupError as error:
            _log.warning("settings.unusable", error=str(error))
        configured = self._configured
        state = Store(self._settings.state_dir).read()
        kept = [series for series, there in configured.items() if there]
        yield _family(
            "prefect_backup_configured",
            "Whether this kind is backed up; 0 where the installation does not say where it is.",
            {series: float(there) for series, there in configured.items()},
        )
        yield from _backups(state, kept)
        yield from _drills(state, kept)
        yield from _checks(state, kept)
        yield _errors(state, kept)
        yield _sizes(state, self._settings.target)
        yield self._next_runs()

    def _next_runs(self) -> Metric:
        family = GaugeMetricFamily(
            "prefect_backup_next_run_timestamp_seconds",
            "When a job is next.",
            labels=("target", "action"),
        )
        for job, at in self._due().items():
            family.add_metric((self._settings.target, job), at.timestamp())
        return family


Series = tuple[str, Kind]


def _family(name: str, help_: str, values: Mapping[Series, float | None]) -> Metric:
    family = GaugeMetricFamily(name, help_, labels=SERIES)
    for series, value in values.items():
        if value is not None:
            family.add_metric(series, value)
    return family


def _each(
    state: State, kept: Iterable[Series], job: Job, read: Callable[[Record], float | None]
) -> dict[Series, float | None]:
    found = {series: state.record(*series, job) for series in kept}
    return {series: None if record is None else read(record) for series, record in found.items()}


def _succeeded(outcome: Outcome | None) -> float | None:
    return None if outcome is None else float(outcome.error is None)


def _ended(outcome: Outcome | None) -> float | None:
    return None if outcome is None else outcome.ended.timestamp()


def _or_never(values: Mapping[Series, float | None]) -> dict[Series, float | None]:
    return {series: value or 0.0 for series, value in values.items()}


def _backups(state: State, kept: list[Series]) -> Iterator[Metric]:
    def each(read: Callable[[Record], float | None]) -> dict[Series, float | None]:
        return _each(state, kept, Job.BACKUP, read)

    yield _family(
        "prefect_backup_last_success_timestamp_seconds",
        "When a backup last succeeded; 0 for never.",
        _or_never(each(lambda record: _ended(record.success))),
    )
    yield _family(
        "prefect_backup_last_run_success",
        "Whether the last backup succeeded.",
        each(lambda record: _succeeded(record.last)),
    )
    yield _family(
        "prefect_backup_last_size_bytes",
        "Size of the newest snapshot, before compression.",
        each(lambda record: record.made.size_bytes if record.made else None),
    )
    yield _family(
        "prefect_backup_last_duration_seconds",
        "How long the last backup took.",
        each(lambda record: record.last.seconds),
    )
    yield _family(
        "prefect_backup_snapshots",
        "Snapshots in the repository.",
        each(lambda record: record.made.snapshots if record.made else None),
    )


def _drills(state: State, kept: list[Series]) -> Iterator[Metric]:
    drilled = [series for series in kept if series[1] in DRILLED]

    def each(read: Callable[[Record], float | None]) -> dict[Series, float | None]:
        return _each(state, drilled, Job.DRILL, read)

    yield _family(
        "prefect_backup_last_restore_verified_timestamp_seconds",
        "When a snapshot was last restored as a test and found whole; 0 for never.",
        _or_never(each(lambda record: _ended(record.success))),
    )
    yield _family(
        "prefect_backup_last_restore_success",
        "Whether the last restore as a test succeeded.",
        each(lambda record: _succeeded(record.result)),
    )
    yield _family(
        "prefect_backup_last_restore_duration_seconds",
        "How long the last restore as a test took.",
        each(lambda record: record.result.seconds if record.result else None),
    )


def _checks(state: State, kept: list[Series]) -> Iterator[Metric]:
    def each(read: Callable[[Record], float | None]) -> dict[Series, float | None]:
        return _each(state, kept, Job.CHECK, read)

    yield _family(
        "prefect_backup_last_check_success",
        "Whether the last check found the kind's repository undamaged.",
        each(lambda record: _succeeded(record.result)),
    )
    yield _family(
        "prefect_backup_last_check_timestamp_seconds",
        "When the kind's repository was last checked to the end.",
        each(lambda record: _ended(record.result)),
    )


def _errors(state: State, kept: list[Series]) -> Metric:
    family = CounterMetricFamily(
        "prefect_backup_errors_total",
        "Jobs that failed, by reason.",
        labels=(*SERIES, "action", "reason"),
    )
    for target, kind in kept:
        for job in (Job.BACKUP, Job.CHECK, Job.DRILL):
            if job is Job.DRILL and kind not in DRILLED:
                continue
            record = state.record(target, kind, job)
            counted = record.errors if record else {}
            for reason in _REASONS:
                family.add_metric((target, kind, job, reason), counted.get(reason, 0))
    return family


def _sizes(state: State, target: str) -> Metric:
    family = GaugeMetricFamily(
        "prefect_backup_repository_size_bytes",
        "Size of a repository, compressed, with all that it holds.",
        labels=("target", "repository"),
    )
    for name, size in state.sizes.items():
        family.add_metric((target, name), size)
    return family


def _reasons() -> tuple[str, ...]:
    found = (getattr(each, "reason", None) for each in vars(errors).values())
    return tuple(sorted({each for each in found if each} | {Terminated.reason}))


_REASONS = _reasons()
