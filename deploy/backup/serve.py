"""Does the jobs when they are due, each in a process of its own, and serves /metrics."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor  # type: ignore[import-untyped] # has none
from apscheduler.schedulers.background import (  # type: ignore[import-untyped] # as above
    BackgroundScheduler,
)
from prometheus_client import CollectorRegistry, start_http_server

from backup.cli import Exit
from backup.crontab import Cron
from backup.environment import BadSettings
from backup.metrics import BackupMetrics
from backup.model import Job, Kind
from backup.settings import PREFIX, Settings
from backup.state import Store

COMMANDS: Mapping[Job, tuple[str, ...]] = {
    Job.BACKUP: ("run", "--wait"),
    Job.DRILL: ("drill", "--wait"),
    Job.CHECK: ("check", "--wait"),
}

_GRACE_SECONDS = 8.0
# The rest of a stack that starts now has no schema yet, and its volumes hold nothing.
_SETTLE = timedelta(minutes=20)
_RETRY = timedelta(hours=1)

_log = structlog.get_logger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


class Service:
    """The scheduler with its jobs.

    Args:
        settings: When they are due.
        program: What runs a job, without its command.
        now: The time. What was missed by then is done soon after.
    """

    def __init__(
        self,
        settings: Settings,
        program: Sequence[str] = (sys.executable, "-m", "backup"),
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._settings = settings
        self._program = program
        self._now = now
        self._child: subprocess.Popen[bytes] | None = None
        self._ending = threading.Event()
        # One worker: a job that is due while another is at work comes after it.
        self._scheduler = BackgroundScheduler(executors={"default": ThreadPoolExecutor(1)})

    def due(self) -> dict[Job, datetime]:
        """Return when each job is next."""
        found: dict[Job, datetime] = {}
        for each in self._scheduler.get_jobs():
            (job,) = each.args
            found[job] = min(found.get(job, each.next_run_time), each.next_run_time)
        return found

    @contextmanager
    def running(self) -> Iterator[None]:
        """Do the jobs when they are due until the end; the one at work is told to end then."""
        for job, cron in _schedules(self._settings).items():
            self._schedule(job, cron)
        self._scheduler.start()
        try:
            yield
        finally:
            self._ending.set()
            self._scheduler.shutdown(wait=False)
            self._end_child()

    def _schedule(self, job: Job, cron: Cron) -> None:
        self._add(self._do, job, job, trigger=cron.trigger(self._settings.jitter_seconds))
        now = self._now()
        if overdue(job, self._settings, now):
            self._add(self._do, f"{job}-missed", job, run_date=now + _SETTLE)

    def _add(self, act: Callable[[Job], None], name: str, job: Job, **when: object) -> None:
        # However late: the machine may have slept.
        usual = {"args": [job], "coalesce": True, "misfire_grace_time": None}
        self._scheduler.add_job(act, id=name, **{"trigger": "date", **usual, **when})

    def _do(self, job: Job, kinds: Collection[Kind] = ()) -> None:
        if self._ending.is_set():
            return
        with subprocess.Popen([*self._program, *COMMANDS[job], *kinds]) as child:
            self._child = child
            code = child.wait()
        self._child = None
        if code < 0:
            _log.error("job.killed", job=job, signal=-code)
        if job is Job.BACKUP and code not in {0, Exit.BUSY} and not self._ending.is_set():
            self._plan_retry()

    def _plan_retry(self) -> None:
        """Try a backup again, unless it is due before that."""
        at = self._now() + _RETRY
        if at < self._scheduler.get_job(Job.BACKUP).next_run_time:
            _log.warning("backup.retry", at=f"{at:%Y-%m-%d %H:%M:%S %Z}")
            # The one that plans the next may not have ended yet.
            once_more = {"replace_existing": True, "max_instances": 2}
            self._add(self._retry, "backup-retry", Job.BACKUP, run_date=at, **once_more)

    def _retry(self, job: Job) -> None:
        # What has succeeded, also by hand since, need not be read again.
        if kinds := overdue(job, self._settings, self._now()):
            self._do(job, kinds)

    def _end_child(self) -> None:
        child = self._child
        if child is None:
            return
        child.terminate()
        try:
            child.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()


def overdue(job: Job, settings: Settings, now: datetime) -> set[Kind]:
    """Return the kinds that a job should have been done with, and was not.

    A first backup is overdue from the start, and a failed one until one succeeds. A first drill or
    check waits for its time.
    """
    state, cron = Store(settings.state_dir).read(), _schedules(settings)[job]

    def is_late(target: str, kind: Kind) -> bool:
        record = state.record(target, kind, job)
        if job is Job.BACKUP:
            done = record.success if record else None
            return done is None or cron.missed(done.began, now)
        return record is not None and cron.missed(record.last.began, now)

    kept = [series for series, there in settings.configured().items() if there]
    return {kind for target, kind in kept if is_late(target, kind)}


def serve(load: Callable[[], Settings], *, jobs: bool = True) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Args:
        load: Reads the settings.
        jobs: Whether to do the jobs too; else others do, such as CronJobs, by the same schedules.

    Raises:
        BadSettings: They cannot be used, or something else listens at the address.
    """
    settings = load()
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: told.set())
    service = Service(settings)
    due = service.due if jobs else partial(_next_times, settings)
    at_work = service.running() if jobs else nullcontext()
    with _listening(settings, BackupMetrics(load, due)), at_work:
        _log.info("backup.started", address=str(settings.listen_address))
        told.wait()
    _log.info("backup.ended")


@contextmanager
def _listening(settings: Settings, metrics: BackupMetrics) -> Iterator[None]:
    registry = CollectorRegistry()
    registry.register(metrics)
    address = settings.listen_address
    try:
        server, thread = start_http_server(address.port, address.host, registry)
    except OSError as error:
        problem = f"{PREFIX}LISTEN_ADDRESS={address} cannot be listened at ({error.strerror})"
        raise BadSettings((f"{problem}; give another",)) from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _next_times(settings: Settings) -> dict[Job, datetime]:
    now = _now()
    times = {job: cron.next(now) for job, cron in _schedules(settings).items()}
    return {job: at for job, at in times.items() if at is not None}


def _schedules(settings: Settings) -> dict[Job, Cron]:
    return {
        Job.BACKUP: settings.schedule,
        Job.DRILL: settings.drill_schedule,
        Job.CHECK: settings.check_schedule,
    }
