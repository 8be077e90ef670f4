"""The command line: its help, its exit codes, and what it never prints."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from backup.encryption_key import EncryptionKeySource
from backup.lock import held
from backup.model import Job, Kind
from backup.repository import Repository
from backup.state import Store
from backup_worlds import SECRET, hasty, process_environment, settings_of
from demo.processes import wait_until

KEY = "x" * 43 + "="


def ran(folder: Path, *argv: str, **given: str) -> subprocess.CompletedProcess[str]:
    """Return how a command went."""
    return subprocess.run(
        [sys.executable, "-m", "backup", *argv],
        env=process_environment(folder, **given),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def with_key(folder: Path) -> None:
    """Make an installation that backs up an encryption key and nothing else."""
    settings_of(folder).encryption_key_file.write_text(KEY)


def test_help_tells_the_exit_codes(tmp_path: Path) -> None:
    """Whoever writes a script finds them."""
    shown = ran(tmp_path, "--help").stdout

    for line in ("0  done", "1  a job failed", "2  a bad setting", "3  another job is at work"):
        assert line in shown


def test_bad_settings_are_all_told(tmp_path: Path) -> None:
    """One line each, and code 2."""
    ended = ran(tmp_path, "run", KEEP_LAST="0", SCHEDULE="daily")

    assert 2 == ended.returncode
    assert 2 == len(ended.stderr.splitlines())


@pytest.mark.real
def test_backup_is_made_listed_and_shown(tmp_path: Path) -> None:
    """The key goes into a repository of its own, is listed, and printed only when asked for."""
    with_key(tmp_path)

    run = ran(tmp_path, "run", "encryption_key")
    listed = ran(tmp_path, "snapshots", "--json")
    refused = ran(tmp_path, "show-key")
    shown = ran(tmp_path, "show-key", "--yes")

    assert (0, 0, 2, 0) == tuple(each.returncode for each in (run, listed, refused, shown)), (
        run.stderr
    )
    assert ["encryption_key"] == [each["kind"] for each in json.loads(listed.stdout)]
    assert f"{KEY}\n" == shown.stdout
    for each in (run, listed, refused):
        assert KEY not in each.stdout + each.stderr
        assert SECRET not in each.stdout + each.stderr


@pytest.mark.real
def test_key_of_an_older_snapshot_is_shown(tmp_path: Path) -> None:
    """A database from before the key was changed needs the key of then, by its id or its time."""
    with_key(tmp_path)
    repository = hasty(Repository.of_keys(settings_of(tmp_path)))
    repository.ready()
    source = EncryptionKeySource(settings_of(tmp_path).encryption_key_file)
    old = source.save(repository)
    settings_of(tmp_path).encryption_key_file.write_text("y" * 43 + "=")
    source.save(repository)

    by_id = ran(tmp_path, "show-key", "--yes", "--snapshot", old.id[:8])
    by_time = ran(tmp_path, "show-key", "--yes", "--at", old.time.isoformat())
    before = ran(tmp_path, "show-key", "--yes", "--at", "2020-01-01T00:00Z")
    newest = ran(tmp_path, "show-key", "--yes")

    assert [f"{KEY}\n", f"{KEY}\n", "", f"{'y' * 43}=\n"] == [
        each.stdout for each in (by_id, by_time, before, newest)
    ]
    assert 1 == before.returncode
    assert "no snapshot of kind encryption_key of 2020-01-01" in before.stderr


@pytest.mark.real
def test_drill_of_a_mistyped_snapshot_is_told(tmp_path: Path) -> None:
    """It is one line and code 1, and no drill is remembered."""
    settings_of(tmp_path).volumes_dir.mkdir()

    ended = ran(tmp_path, "drill", "volumes", "--snapshot", "zzz")

    assert (1, "prefect-backup: no snapshot begins with 'zzz' among those of kind volumes\n") == (
        ended.returncode,
        ended.stderr,
    )
    assert () == Store(tmp_path / "state").read().records


@pytest.mark.real
def test_failed_job_ends_with_1(tmp_path: Path) -> None:
    """A job that could not be done is told by one event, and by the code."""
    with_key(tmp_path)
    (tmp_path / "secrets" / "key_password").write_text("")

    ended = ran(tmp_path, "run")

    events = [json.loads(line) for line in ended.stderr.splitlines()]
    assert (1, ["backup.failed"]) == (ended.returncode, [each["event"] for each in events])
    assert "PREFECT_BACKUP_KEY_PASSWORD_FILE names" in events[0]["message"]


@pytest.mark.real
def test_second_job_ends_with_3(tmp_path: Path) -> None:
    """While a job is at work, another one says which, and ends at once."""
    with_key(tmp_path)
    with held(tmp_path / "state", Job.DRILL, now=lambda: datetime.now(UTC)):
        ended = ran(tmp_path, "run")

    assert 3 == ended.returncode
    assert "prefect-backup: the job drill is at work since" in ended.stderr


@pytest.mark.real
def test_job_begins_later_by_chance_only_when_asked(tmp_path: Path) -> None:
    """A CronJob's command waits for a part of the jitter, and says so; a person's does not."""
    at_once = ran(tmp_path, "run", JITTER="6h")
    later = ran(tmp_path, "run", "--jitter", JITTER="1s")

    assert (0, "") == (at_once.returncode, at_once.stderr)
    (line,) = later.stderr.splitlines()
    told = json.loads(line)
    assert (0, "job.waiting") == (later.returncode, told["event"])
    assert 0 <= told["seconds"] <= 1


@pytest.mark.real
def test_restore_without_yes_changes_nothing(tmp_path: Path) -> None:
    """What would be done is told, and code 2 says that it was not."""
    settings = settings_of(tmp_path)
    (settings.volumes_dir / "alertmanager").mkdir(parents=True)
    repository = hasty(Repository.of(settings))
    repository.ready()
    (tmp_path / "kept").mkdir()
    repository.save_folder(tmp_path / "kept", kind=Kind.VOLUMES, tags={})

    ended = ran(tmp_path, "restore", "volumes")

    assert 2 == ended.returncode
    assert "Nothing was changed. Run it again with --yes to do it." in ended.stdout


@pytest.mark.real
def test_restore_without_repository_makes_none(tmp_path: Path) -> None:
    """A wrong address is told, and no empty repository is left there."""
    ended = ran(tmp_path, "restore")

    assert 1 == ended.returncode
    assert "there is no repository at" in ended.stderr
    assert not (tmp_path / "repository").exists()


@pytest.mark.parametrize("command", ["restore", "show-key"])
def test_snapshot_by_id_and_by_time_at_once_is_refused(tmp_path: Path, command: str) -> None:
    """Neither is ignored in silence."""
    ended = ran(tmp_path, command, "--snapshot", "abc", "--at", "2026-11-20T03:00Z", "--yes")

    assert 2 == ended.returncode
    assert "--snapshot and --at name a snapshot each" in ended.stderr


@pytest.mark.real
def test_file_to_restore_into_may_be_gone(tmp_path: Path) -> None:
    """After the loss of a disk there is none: what is asked for first is a snapshot."""
    ended = ran(tmp_path, "restore", "--into-file", str(tmp_path / "lost" / "prefect.db"))

    assert 1 == ended.returncode
    assert "there is no repository at" in ended.stderr


WORK = """
import sys
from backup.desk import Desk
from backup.environment import load_settings
from backup import cli, jobs
from backup.sources import Series
from backup_worlds import ScriptedSource

source = ScriptedSource("head -c 1000000 /dev/zero; echo $$ > %s; sleep 600")
jobs_desk = Desk(settings=load_settings(), sources=lambda _settings: [Series("default", source)])
cli.cli.commands["run"].callback = lambda **_options: jobs.run_backup(jobs_desk)
sys.argv[1:] = ["run"]
cli.main()
"""


@pytest.mark.real
def test_secrets_are_in_no_list_of_processes(tmp_path: Path) -> None:
    """While a dump is made, no argument of any process has a password; SIGTERM ends them all."""
    started = tmp_path / "started"
    process = subprocess.Popen(
        [sys.executable, "-c", WORK % started],
        env=process_environment(tmp_path),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: _written(started), within=60, what="a dump")
        listed = subprocess.run(["ps", "axeww"], capture_output=True, text=True, check=True).stdout
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()

    assert SECRET not in listed
    assert 1 == process.returncode
    assert "ended by SIGTERM" in log
    # Who reaps it is not the point.
    with suppress(psutil.NoSuchProcess):
        assert psutil.STATUS_ZOMBIE == psutil.Process(int(started.read_text())).status()


def _written(file: Path) -> bool:
    return file.exists() and file.read_text().endswith("\n")
