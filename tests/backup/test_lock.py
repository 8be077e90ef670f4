"""One job at a time, whatever ends the one before."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backup.errors import BadSetting, Busy
from backup.lock import held
from backup.model import Job, Kind
from backup_worlds import ROOT

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)
HOLD = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from backup.lock import held
from backup.model import Job
with held(Path(sys.argv[1]), Job.DRILL, now=lambda: datetime(2026, 11, 22, 2, tzinfo=UTC)):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(folder: Path) -> subprocess.Popen[bytes]:
    """Return another process that holds the lock until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        env={"PYTHONPATH": str(ROOT / "deploy")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert b"held\n" == process.stdout.readline()
    return process


def test_second_job_is_told_of_the_first(tmp_path: Path) -> None:
    """Who comes second hears at once which job is at work, since when, and as which process."""
    with holder(tmp_path) as first:
        with pytest.raises(Busy) as caught, held(tmp_path, Job.BACKUP, now=lambda: NOW):
            pass
        first.communicate()

    expected = (
        "the job drill is at work since 2026-11-22 02:00:00 UTC"
        f" (process {first.pid}); wait for its end"
    )
    assert expected == str(caught.value)


def test_who_waits_comes_next(tmp_path: Path) -> None:
    """With patience, a job begins when the other one has ended."""
    with holder(tmp_path) as first:
        assert first.stdin is not None
        first.stdin.close()
        with held(tmp_path, Job.BACKUP, now=lambda: NOW, wait_seconds=20) as killed:
            assert killed is None


def test_killed_job_holds_nothing(tmp_path: Path) -> None:
    """After kill -9 the next job begins at once, and is told of the one that was killed."""
    with holder(tmp_path) as first:
        first.send_signal(signal.SIGKILL)
        first.communicate()
    with held(tmp_path, Job.BACKUP, now=lambda: NOW) as killed:
        assert killed is not None
        assert (Job.DRILL, first.pid) == (killed.job, killed.pid)

    with held(tmp_path, Job.BACKUP, now=lambda: NOW) as killed:
        assert killed is None


def test_killed_job_leaves_its_kinds(tmp_path: Path) -> None:
    """The one that comes next learns what the one that was killed was at."""
    with held(tmp_path, Job.BACKUP, [*Kind, *Kind, *Kind], now=lambda: NOW):
        left = (tmp_path / "job.lock").read_text()
    (tmp_path / "job.lock").write_text(left)

    with held(tmp_path, Job.CHECK, now=lambda: NOW) as killed:
        assert killed is not None
        assert set(Kind) == set(killed.kinds)


def test_job_that_fails_lets_go(tmp_path: Path) -> None:
    """An error ends the hold as an end does."""
    with pytest.raises(ValueError, match="no"), held(tmp_path, Job.CHECK, now=lambda: NOW):
        raise ValueError("no")
    with held(tmp_path, Job.BACKUP, now=lambda: NOW) as killed:
        assert killed is None


@pytest.mark.parametrize("left", ["", "{", '{"job": "x"}', "\x00" * 500], ids=repr)
def test_damaged_lock_file_is_no_obstacle(tmp_path: Path, left: str) -> None:
    """Whatever the file holds, the lock can be had."""
    (tmp_path / "job.lock").write_text(left)

    with held(tmp_path, Job.BACKUP, now=lambda: NOW) as killed:
        assert killed is None


def test_folder_that_cannot_be_written_is_a_bad_setting(tmp_path: Path) -> None:
    """The setting is named."""
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(BadSetting, match=r"^PREFECT_BACKUP_STATE_DIR names .* cannot be written"),
        held(tmp_path / "file", Job.BACKUP, now=lambda: NOW),
    ):
        pass
