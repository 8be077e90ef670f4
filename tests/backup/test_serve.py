"""The service: what is due is done, what is asked is told, and it ends when it is told to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import httpx
import pytest
from structlog.testing import capture_logs

from backup.crontab import Cron
from backup.model import Job, Kind, Outcome
from backup.serve import Service, overdue
from backup.state import Store
from backup_worlds import process_environment, settings_of
from demo.processes import answers_at, free_port, wait_until

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@contextmanager
def serving(
    folder: Path, *options: str, **given: str
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run the service, and yield its process and its address."""
    port = free_port()
    environment = process_environment(folder, LISTEN_ADDRESS=f"127.0.0.1:{port}", **given)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "backup", "serve", *options], env=environment, stderr=log
        )
    url = f"http://127.0.0.1:{port}/metrics"
    try:
        wait_until(answers_at(url), within=60, what="the service")
        yield process, url
    finally:
        process.kill()
        process.wait()


def logged(folder: Path) -> list[str]:
    """Return the events of the service and its jobs."""
    lines = (folder / "log").read_text().splitlines()
    return [json.loads(line)["event"] for line in lines if line.startswith("{")]


@pytest.mark.real
@pytest.mark.timeout(300)
def test_due_backup_is_made_and_told(tmp_path: Path) -> None:
    """What is due is done in a process of its own; and SIGTERM ends the service with 0."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "encryption_key").write_text("x" * 43 + "=")
    with serving(tmp_path, SCHEDULE="* * * * *", JITTER="0s") as (process, url):
        told = 'prefect_backup_last_run_success{kind="encryption_key",target="default"} 1.0'
        wait_until(lambda: told in httpx.get(url).text, within=200, what="a backup")
        process.send_signal(signal.SIGTERM)

        assert 0 == process.wait(10)
    assert {"backup.started", "backup.succeeded", "backup.ended"} <= set(logged(tmp_path))


@pytest.mark.real
@pytest.mark.timeout(300)
def test_job_is_ended_with_the_service(tmp_path: Path) -> None:
    """SIGTERM in the middle of a job: all ends within ten seconds, and the outcome says so."""
    (tmp_path / "volumes").mkdir()
    with serving(tmp_path, SCHEDULE="* * * * *", JITTER="0s") as (process, _url):
        made = (tmp_path / "repository" / "config").exists
        wait_until(made, within=200, what="a repository")
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)

        assert 0 == process.wait(10)
        assert time.monotonic() - began < 10
    record = Store(tmp_path / "state").read().record("default", Kind.VOLUMES, Job.BACKUP)
    assert record is not None
    assert record.last.error in {"terminated", "source"}


@pytest.mark.real
def test_missed_backup_waits_for_the_stack(tmp_path: Path) -> None:
    """Where nothing was ever kept, nobody waits for the night; but the rest starts first."""
    (tmp_path / "volumes").mkdir()
    began = time.time()
    with serving(tmp_path, SCHEDULE="17 1 1 1 *") as (_process, url):
        text = httpx.get(url).text

    name = 'prefect_backup_next_run_timestamp_seconds{action="backup",target="default"} '
    (due,) = [float(line.split()[-1]) for line in text.splitlines() if line.startswith(name)]
    assert 19 * 60 < due - began < 22 * 60


@pytest.mark.real
def test_metrics_alone_plan_nothing(tmp_path: Path) -> None:
    """What is overdue is for others to do, and the next time is the schedule's, if there is one."""
    (tmp_path / "volumes").mkdir()
    never = {"DRILL_SCHEDULE": "0 0 30 2 *"}
    with serving(tmp_path, "--metrics-only", SCHEDULE="17 1 1 1 *", **never) as (_process, url):
        lines = httpx.get(url).text.splitlines()

    name = "prefect_backup_next_run_timestamp_seconds{"
    told = {line.split('"')[1]: line.split()[-1] for line in lines if line.startswith(name)}
    assert {"backup", "check"} == told.keys()
    at = datetime.fromtimestamp(float(told["backup"])).astimezone()
    assert (1, 1, 1, 17) == (at.month, at.day, at.hour, at.minute)


ATTEMPT = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from backup.model import Job, Kind, Outcome
from backup.state import Store

folder, code, *words = sys.argv[1:]
with (Path(folder) / "attempts").open("a") as file:
    print(*words, file=file)
if words[0] != "run":
    sys.exit()
fails = (Path(folder) / "attempts").read_text().count("run") < 3
now = datetime.now(UTC)
for kind in (Kind.VOLUMES, Kind.ENCRYPTION_KEY):
    error = "source" if fails and kind is Kind.ENCRYPTION_KEY else None
    done = Outcome(kind=kind, job=Job.BACKUP, began=now, ended=now, error=error)
    Store(Path(folder) / "state").record("default", done)
sys.exit(int(code) if fails else 0)
"""


@contextmanager
def attempting(
    folder: Path, *, behind: timedelta, code: int = 1, cron: str = "17 1 1 1 *"
) -> Iterator[Service]:
    """Run a service whose first backup and a drill are due; two backups fail with one kind.

    Args:
        folder: Has the commands, one line each.
        behind: How far the service's clock is: what it plans within that is due at once.
        code: Of the backups that fail.
        cron: When a backup is due besides.
    """
    # A drill was missed, and no job but the backup is due by the schedule while this runs.
    elsewhen = f"0 {(datetime.now().astimezone() + timedelta(hours=12)).hour} * * *"
    times = {"DRILL_SCHEDULE": elsewhen, "CHECK_SCHEDULE": elsewhen}
    settings = settings_of(folder, SCHEDULE=cron, JITTER="0s", **times)
    settings.volumes_dir.mkdir()
    settings.encryption_key_file.write_text("key")
    old = datetime.now(UTC) - timedelta(days=3)
    drilled = Outcome(kind=Kind.VOLUMES, job=Job.DRILL, began=old, ended=old)
    Store(settings.state_dir).record("default", drilled)
    program = (sys.executable, "-c", ATTEMPT, str(folder), str(code))
    with mock.patch.dict(os.environ, process_environment(folder)):
        service = Service(settings, program, now=lambda: datetime.now(UTC) - behind)
        with service.running():
            # It comes after the backup in the same thread: all that follows from that is planned.
            wait_until(lambda: "drill --wait" in commands(folder), within=60, what="the drill")
            yield service


def commands(folder: Path) -> list[str]:
    """Return what was done so far."""
    file = folder / "attempts"
    return file.read_text().splitlines() if file.exists() else []


def test_failed_backup_is_tried_again_until_it_succeeds(tmp_path: Path) -> None:
    """Only what failed is read anew, and after its success nothing is left to do."""
    with attempting(tmp_path, behind=timedelta(hours=1)) as service:
        wait_until(lambda: len(commands(tmp_path)) == 4, within=60, what="three backups")
        later = datetime.now(UTC) + timedelta(hours=1)
        wait_until(lambda: service.due()[Job.BACKUP] > later, within=60, what="an end")

    again = "run --wait encryption_key"
    done = [each for each in commands(tmp_path) if each != "drill --wait"]
    assert ["run --wait", again, again] == done


def test_retry_is_an_hour_later_and_told(tmp_path: Path) -> None:
    """The time of the next backup is that of the retry."""
    behind = timedelta(minutes=20)
    began = datetime.now(UTC) - behind
    with attempting(tmp_path, behind=behind) as service:
        due = service.due()[Job.BACKUP]
        ended = datetime.now(UTC) - behind

    hour = timedelta(hours=1)
    assert began + hour <= due <= ended + hour


@pytest.mark.parametrize(
    ("code", "cron"), [(3, "17 1 1 1 *"), (1, "* * * * *")], ids=["busy", "due before that"]
)
def test_backup_is_not_tried_again(tmp_path: Path, code: int, cron: str) -> None:
    """Where another job is at work, or the next backup comes first, there is no retry."""
    behind = timedelta(minutes=20)
    with capture_logs() as logs, attempting(tmp_path, behind=behind, code=code, cron=cron):
        pass

    assert [] == [each for each in logs if each["event"] == "backup.retry"]


@pytest.mark.real
def test_service_starts_with_nothing(tmp_path: Path) -> None:
    """Without targets, passwords, or a place to write, it answers and says what is missing."""
    missing = "/proc/nowhere"
    with serving(tmp_path, STATE_DIR=missing, SCRATCH_DIR=missing, PASSWORD_FILE=missing) as (
        _process,
        url,
    ):
        text = httpx.get(url).text

    assert 'prefect_backup_configured{kind="database",target="default"} 0.0' in text


@pytest.mark.real
def test_address_in_use_is_told(tmp_path: Path) -> None:
    """Two services at one address: the second says which setting, and ends with 2."""
    with serving(tmp_path) as (_process, url):
        address = url.removeprefix("http://").removesuffix("/metrics")
        ended = subprocess.run(
            [sys.executable, "-m", "backup", "serve"],
            env=process_environment(tmp_path, LISTEN_ADDRESS=address),
            capture_output=True,
            text=True,
            check=False,
        )

    assert 2 == ended.returncode
    assert f"PREFECT_BACKUP_LISTEN_ADDRESS={address} cannot be listened at" in ended.stderr


@pytest.mark.parametrize(
    ("job", "days", "error", "late"),
    [
        (Job.BACKUP, None, None, True),
        (Job.BACKUP, 0.2, None, False),
        (Job.BACKUP, 2, None, True),
        (Job.BACKUP, 0.2, "source", True),
        (Job.DRILL, None, None, False),
        (Job.DRILL, 0.1, "unverified", False),
        (Job.DRILL, 8, None, True),
        (Job.CHECK, 8, "unreachable", True),
        (Job.CHECK, None, None, False),
    ],
)
def test_missed_jobs_are_overdue(
    tmp_path: Path, job: Job, days: float | None, error: str | None, *, late: bool
) -> None:
    """A first backup is due at once, a failed one again; a drill that was tried is not."""
    (tmp_path / "volumes").mkdir()
    settings = settings_of(tmp_path)
    if days is not None:
        at = NOW - timedelta(days=days)
        outcome = Outcome(kind=Kind.VOLUMES, job=job, began=at, ended=at, error=error)
        Store(settings.state_dir).record("default", outcome)

    assert late == bool(overdue(job, settings, NOW))


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("17 4 * * 0", "Sunday"),
        ("17 4 * * 7", "Sunday"),
        ("17 4 * * sun", "Sunday"),
        ("17 4 * * 1", "Monday"),
        ("17 4 * * 6", "Saturday"),
        ("17 4 * * 5-6", "Friday"),
        ("17 4 22 11 *", "Sunday"),
        ("17 4 * * 3/3", "Wednesday"),
    ],
)
def test_days_of_the_week_are_cron_s(text: str, day: str) -> None:
    """0 and 7 are Sunday, as in cron, and not Monday, as in the library."""
    after = datetime(2026, 11, 16, tzinfo=UTC)

    assert day == f"{Cron(text).trigger().get_next_fire_time(None, after):%A}"


def test_jitter_is_bounded() -> None:
    """A job begins at its time or later, by no more than the jitter."""
    trigger = Cron("0 1 * * *").trigger(900)
    times = [trigger.get_next_fire_time(None, NOW) for _ in range(50)]

    hour = times[0].replace(hour=1, minute=0, second=0, microsecond=0)
    assert all(timedelta(0) <= each - hour <= timedelta(seconds=900) for each in times)
    assert 1 < len(set(times))
