"""What is remembered of jobs: nothing is lost to a crash, and nothing damaged stops a job."""

from __future__ import annotations

import errno
import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from structlog.testing import capture_logs

from backup.model import Job, Kind, Outcome
from backup.state import State, Store
from backup_worlds import small_disk

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)


def outcome(
    *, job: Job = Job.BACKUP, error: str | None = None, minute: int = 0, size: int | None = None
) -> Outcome:
    """Return how a job of the database went."""
    began = NOW + timedelta(minutes=minute)
    return Outcome(
        kind=Kind.DATABASE,
        job=job,
        began=began,
        ended=began + timedelta(seconds=30),
        error=error,
        size_bytes=size,
    )


def test_outcome_survives_a_restart(tmp_path: Path) -> None:
    """What was recorded is read by another process."""
    Store(tmp_path).record("default", outcome(size=5))

    record = Store(tmp_path).read().record("default", Kind.DATABASE, Job.BACKUP)

    assert record is not None
    assert outcome(size=5) == record.last == record.success == record.made


def test_failure_leaves_the_last_success() -> None:
    """A failure counts, and what succeeded before stays known."""
    state = State().then("default", outcome(size=5))
    state = state.then("default", outcome(error="source", minute=1))
    state = state.then("default", outcome(error="source", minute=2))

    record = state.record("default", Kind.DATABASE, Job.BACKUP)

    assert record is not None
    assert outcome(size=5) == record.success == record.made
    assert "source" == record.last.error
    assert {"source": 2} == record.errors


@pytest.mark.parametrize("error", ["unreachable", "busy", "terminated", "password", "program"])
def test_check_that_did_not_end_says_nothing_of_damage(error: str) -> None:
    """Only a check that came to its end is a result."""
    state = State().then("default", outcome(job=Job.CHECK, error="damaged"))
    state = state.then("default", outcome(job=Job.CHECK, error=error, minute=1))

    record = state.record("default", Kind.DATABASE, Job.CHECK)

    assert record is not None
    assert record.result is not None
    assert ("damaged", 1) == (record.result.error, record.results)


def test_drill_that_was_ended_says_nothing_of_the_snapshot() -> None:
    """A redeployment in the middle of a drill is no failed restore."""
    state = State().then("default", outcome(job=Job.DRILL))
    state = state.then("default", outcome(job=Job.DRILL, error="terminated", minute=1))

    record = state.record("default", Kind.DATABASE, Job.DRILL)

    assert record is not None
    assert record.result is not None
    assert record.result.error is None


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\x00" * 4096, b"[]", b'{"records": [{"target": 1}]}', b'{"records": "x"}'],
    ids=repr,
)
def test_damaged_state_begins_anew_and_is_told(tmp_path: Path, content: bytes) -> None:
    """A file that cannot be read is said in the log, without its content, and stops nothing."""
    (tmp_path / "state.json").write_bytes(content)

    with capture_logs() as logs:
        Store(tmp_path).record("default", outcome())

    assert ["state.unreadable"] == [each["event"] for each in logs]
    assert 1 == len(Store(tmp_path).read().records)


def test_no_state_yet_is_no_damage(tmp_path: Path) -> None:
    """The first start says nothing."""
    with capture_logs() as logs:
        state = Store(tmp_path / "none").read()

    assert (State(), []) == (state, logs)


class Disk(RuleBasedStateMachine):
    """Outcomes are recorded by a process that may be killed in the middle of writing."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)
        self.known = 0
        self.minute = 0

    @rule(error=st.sampled_from([None, "source", "disk_full"]))
    def record(self, error: str | None) -> None:
        """An outcome is recorded."""
        self.minute += 1
        Store(self.path).record("default", outcome(error=error, minute=self.minute))
        self.known = self.minute

    @rule(content=st.binary(max_size=50))
    def crash(self, content: bytes) -> None:
        """A process dies while it writes: what it was writing is not whole."""
        (self.path / "state.json.new").write_bytes(content)

    @rule(size=st.integers(0, 10**12))
    def measure(self, size: int) -> None:
        """A repository is measured, which changes no outcome."""
        Store(self.path).measure("main", size)

    @invariant()
    def last_outcome_is_known(self) -> None:
        """What was recorded last is what is read."""
        record = Store(self.path).read().record("default", Kind.DATABASE, Job.BACKUP)
        minute = 0 if record is None else (record.last.began - NOW) // timedelta(minutes=1)

        assert self.known == minute

    def teardown(self) -> None:
        """Remove the folder."""
        self.folder.cleanup()


TestDisk = Disk.TestCase
TestDisk.settings = settings(max_examples=15, stateful_step_count=10)


def test_full_disk_is_still_told_of(tmp_path: Path) -> None:
    """An outcome has room that was set aside, and the next one too, once there is more."""
    with small_disk(tmp_path, "1m") as disk:
        Store(disk).record("default", outcome())
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            (disk / "filler").write_bytes(b"x" * 2**21)
        Store(disk).record("default", outcome(error="disk_full", minute=1))
        Store(disk).record("default", outcome(error="disk_full", minute=2))
        record = Store(disk).read().record("default", Kind.DATABASE, Job.BACKUP)

    assert record is not None
    assert {"disk_full": 2} == record.errors
