"""Jobs, with real restic: every kind has an outcome, and nothing is forgotten that is needed."""

from __future__ import annotations

import shlex
import sqlite3
import subprocess
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from backup.desk import Desk, open_repository
from backup.errors import Busy, NoSnapshot, SourceUnavailable
from backup.jobs import run_backup, run_check, run_drill
from backup.lock import held
from backup.model import Job, Kind, Snapshot
from backup.programs import Terminated
from backup.repository import Repository
from backup.settings import Settings
from backup.sources import Series, sources_of
from backup.state import Record
from backup.volumes import VolumesSource
from backup_worlds import ScriptedSource, aged, hasty, settings_of

pytestmark = pytest.mark.real

BIG = "head -c 100000 /dev/urandom"


class Failing:
    """A source that cannot be read."""

    def __init__(self, error: BaseException, kind: Kind = Kind.OBJECTS) -> None:
        self.kind = kind
        self._error = error

    def save(self, repository: Repository) -> Snapshot:
        """Fail."""
        raise self._error


@dataclass(frozen=True)
class ObjectsThatAreNone:
    """A source that keeps a folder in which there are no objects."""

    target: str
    kind: Kind = Kind.OBJECTS

    def save(self, repository: Repository) -> Snapshot:
        """Keep it."""
        folder = repository.restic.scratch / "none"
        folder.mkdir(exist_ok=True)
        (folder / "target").write_text(self.target)
        return repository.save_folder(folder, kind=self.kind, tags={})


def desk_of(settings: Settings, *sources: Series, now: datetime | None = None) -> Desk:
    """Return a desk with these sources, whose repositories are hasty."""

    def chosen(_settings: Settings) -> Sequence[Series]:
        return sources

    return Desk(
        settings=settings,
        now=lambda: now or datetime.now(UTC),
        open_repository=lambda settings, name: hasty(open_repository(settings, name)),
        sources=chosen,
    )


def database(script: str) -> Series:
    """Return a database that writes what a script does."""
    return Series("default", ScriptedSource(script))


def recorded(desk: Desk, kind: Kind = Kind.DATABASE, job: Job = Job.BACKUP) -> Record:
    """Return what is remembered."""
    record = desk.store.read().record("default", kind, job)
    assert record is not None
    return record


def test_backup_is_remembered(tmp_path: Path) -> None:
    """An outcome has its snapshot, its size, and how many there are."""
    desk = desk_of(settings_of(tmp_path), database("printf 12345"))

    [outcome] = run_backup(desk)

    assert (None, 5, 1) == (outcome.error, outcome.size_bytes, outcome.snapshots)
    assert outcome == recorded(desk).success
    assert {"main"} == set(desk.store.read().sizes)


def test_kinds_fail_alone(tmp_path: Path) -> None:
    """What goes wrong with one kind, expected or not, is told, and the others have their turn."""
    crashed = Failing(RuntimeError("secret thing"), Kind.VOLUMES)
    desk = desk_of(
        settings_of(tmp_path),
        Series("default", Failing(SourceUnavailable("it sleeps"))),
        Series("default", crashed),
        database("echo 1"),
    )

    with capture_logs() as logs:
        outcomes = run_backup(desk)

    assert [
        (Kind.OBJECTS, "source", "it sleeps"),
        (Kind.VOLUMES, "error", "unexpected: RuntimeError"),
        (Kind.DATABASE, None, ""),
    ] == [(each.kind, each.error, each.message) for each in outcomes]
    assert "backup.failed" in [each["event"] for each in logs]


def test_only_chosen_kinds_are_backed_up(tmp_path: Path) -> None:
    """Who asks for one kind gets no other."""
    desk = desk_of(settings_of(tmp_path), database("echo 1"), Series("default", Failing(OSError())))

    assert [Kind.DATABASE] == [each.kind for each in run_backup(desk, [Kind.DATABASE])]


def test_unusable_repository_fails_every_kind_once_asked(tmp_path: Path) -> None:
    """A wrong password is told for each kind, and the key's repository is none the worse."""
    desk = desk_of(
        settings_of(tmp_path),
        database("echo 1"),
        Series("default", ScriptedSource("echo 1", Kind.VOLUMES)),
        Series("default", ScriptedSource("echo key", Kind.ENCRYPTION_KEY)),
    )
    hasty(Repository.of(desk.settings)).ready()
    desk.settings.password_file.write_text("another")

    assert ["password", "password", None] == [each.error for each in run_backup(desk)]


def test_second_job_is_busy(tmp_path: Path) -> None:
    """Two at once: the second ends at once, and nothing of the first is touched."""
    desk = desk_of(settings_of(tmp_path), database("echo 1"))

    with (
        held(desk.settings.state_dir, Job.CHECK, now=lambda: datetime.now(UTC)),
        pytest.raises(Busy, match="the job check is at work"),
    ):
        run_backup(desk)

    assert () == desk.store.read().records


def test_termination_is_an_outcome(tmp_path: Path) -> None:
    """A job that is told to end says so, and ends."""
    desk = desk_of(settings_of(tmp_path), Series("default", Failing(Terminated("SIGTERM"))))

    with pytest.raises(Terminated):
        run_backup(desk)

    last = recorded(desk, Kind.OBJECTS).last
    assert ("terminated", "ended by SIGTERM") == (last.error, last.message)


def test_killed_job_is_told_of_by_the_next(tmp_path: Path) -> None:
    """What kill -9 left open is concluded before the next job begins."""
    desk = desk_of(settings_of(tmp_path), database("echo 1"))
    lock = desk.settings.state_dir / "job.lock"
    lock.write_text('{"job": "check", "since": "2026-11-22T02:00:00+00:00", "pid": 1}')

    run_backup(desk)

    last = recorded(desk, job=Job.CHECK).last
    assert ("terminated", "was killed before it ended") == (last.error, last.message)
    assert None is recorded(desk).last.error


def test_only_kinds_of_a_killed_job_are_told_of(tmp_path: Path) -> None:
    """A job that was killed with one kind says nothing of the others."""
    others = Series("default", ScriptedSource("echo 1", Kind.VOLUMES))
    desk = desk_of(settings_of(tmp_path), database("echo 1"), others)
    lock = desk.settings.state_dir / "job.lock"
    with desk.at_work(Job.CHECK, [Kind.DATABASE]):
        left = lock.read_text()
    lock.write_text(left)

    run_backup(desk)

    assert "terminated" == recorded(desk, job=Job.CHECK).last.error
    assert None is desk.store.read().record("default", Kind.VOLUMES, Job.CHECK)


def test_volume_that_is_gone_is_told(tmp_path: Path) -> None:
    """A backup without what the one before had succeeds, and says so."""
    settings = settings_of(tmp_path)
    silences = settings.volumes_dir / "alertmanager" / "silences"
    silences.parent.mkdir(parents=True)
    silences.write_bytes(b"")
    with closing(sqlite3.connect(_grafana(settings.volumes_dir))) as connection:
        connection.execute("CREATE TABLE dashboard (id)")
    desk = desk_of(
        settings, Series("default", VolumesSource(settings.volumes_dir, settings.scratch_dir))
    )
    [whole] = run_backup(desk)
    _grafana(settings.volumes_dir).unlink()

    [less] = run_backup(desk)

    assert [(None, ""), (None, "no longer there: grafana")] == [
        (each.error, each.message) for each in (whole, less)
    ]


def _grafana(volumes: Path) -> Path:
    file = volumes / "grafana" / "grafana.db"
    file.parent.mkdir(exist_ok=True)
    return file


def test_objects_that_the_api_does_not_give_are_told(tmp_path: Path) -> None:
    """Kinds that a key may not read are named, though the others are kept."""
    source = ScriptedSource("echo 1", Kind.OBJECTS, tags={"skipped": "variables.automations"})

    [outcome] = run_backup(desk_of(settings_of(tmp_path), Series("default", source)))

    assert (None, "the API did not give: automations, variables") == (
        outcome.error,
        outcome.message,
    )


def test_clock_that_is_behind_forgets_nothing(tmp_path: Path) -> None:
    """With a clock that cannot be right the backup is made, told of, and nothing is forgotten."""
    settings = settings_of(tmp_path, KEEP_LAST="1", KEEP_DAILY="0", KEEP_WEEKLY="0")
    source = database("echo 1")
    run_backup(desk_of(settings, source))
    behind = desk_of(settings, source, now=datetime.now(UTC) - timedelta(minutes=10))

    [outcome] = run_backup(behind)

    assert ("clock", 2) == (outcome.error, outcome.snapshots)
    assert "set the clock" in outcome.message
    assert outcome.snapshot is not None
    slightly = desk_of(settings, source, now=datetime.now(UTC) - timedelta(minutes=2))
    assert [None] == [each.error for each in run_backup(slightly)]


def test_snapshot_of_the_future_can_be_forgotten(tmp_path: Path) -> None:
    """After a clock that jumped ahead and back, what the message says ends it."""
    settings = settings_of(tmp_path)
    repository = hasty(Repository.of(settings))
    repository.ready()
    for days in (-1, 3, 5):
        aged(repository, Kind.DATABASE, datetime.now(UTC) + timedelta(days=days))
    _, *ahead = repository.snapshots(Kind.DATABASE)
    source = database("echo 1")

    [outcome] = run_backup(desk_of(settings, source))

    _, _, told = outcome.message.partition("docker compose exec backup ")
    command = shlex.split(told.partition(";")[0])
    assert [each.id[:8] for each in ahead] == command[-2:]
    subprocess.run(command, check=True, capture_output=True)
    assert [None] == [each.error for each in run_backup(desk_of(settings, source))]


def test_shrunken_backup_is_kept_and_nothing_forgotten(tmp_path: Path) -> None:
    """Less than half of the usual is a warning, and older snapshots stay while it lasts."""
    settings = settings_of(
        tmp_path, KEEP_LAST="2", KEEP_DAILY="0", KEEP_WEEKLY="0", KEEP_MONTHLY="0", KEEP_YEARLY="0"
    )
    for _ in range(2):
        run_backup(desk_of(settings, database(BIG)))

    with capture_logs() as logs:
        [outcome] = run_backup(desk_of(settings, database("echo cut")))

    assert (None, 3) == (outcome.error, outcome.snapshots)
    assert "less than half" in outcome.message
    assert "backup.shrank" in [each["event"] for each in logs]
    [outcome] = run_backup(desk_of(settings, database(BIG)))
    assert (2, "") == (outcome.snapshots, outcome.message)


def test_failed_backup_forgets_nothing(tmp_path: Path) -> None:
    """Old snapshots are removed only after a new one is there."""
    settings = settings_of(tmp_path, KEEP_LAST="1", KEEP_DAILY="0", KEEP_WEEKLY="0")
    repository = hasty(Repository.of(settings))
    repository.ready()
    for days in (3, 2):
        aged(repository, Kind.DATABASE, datetime.now(UTC) - timedelta(days=days))

    run_backup(desk_of(settings, database("exit 1")))

    assert 2 == len(repository.snapshots(Kind.DATABASE))


def test_check_reads_another_part_each_time(tmp_path: Path) -> None:
    """Damage that one check does not read is found by a later one, and told of by its reason."""
    settings = settings_of(tmp_path, CHECK_PERCENT="50")
    desk = desk_of(settings, database(BIG), Series("default", ScriptedSource(BIG, Kind.VOLUMES)))
    run_backup(desk)
    files = [each for each in (tmp_path / "repository" / "data").rglob("*") if each.is_file()]
    pack = max(files, key=lambda each: each.stat().st_size)
    pack.chmod(0o600)
    with pack.open("r+b") as file:
        file.seek(100)
        file.write(b"damaged")

    rounds = [{each.error for each in run_check(desk)} for _ in range(2)]

    assert sorted([{None}, {"damaged"}], key=str) == sorted(rounds, key=str)
    assert 2 == recorded(desk, job=Job.CHECK).results


def test_drill_without_snapshot_says_so(tmp_path: Path) -> None:
    """A drill before the first backup fails: there is nothing to restore."""
    desk = desk_of(settings_of(tmp_path), database("echo 1"))

    [outcome] = run_drill(desk, say=lambda _step: None)

    assert "no_snapshot" == outcome.error


def test_drill_of_a_mistyped_snapshot_is_no_failed_drill(tmp_path: Path) -> None:
    """Who asks for what there is not is told, and no backup is thought to be bad."""
    desk = desk_of(settings_of(tmp_path), objects_of("default"), objects_of("other"))
    run_backup(desk)

    with pytest.raises(NoSnapshot, match="no snapshot begins with 'zzz'"):
        run_drill(desk, [Kind.OBJECTS], snapshot="zzz", say=lambda _step: None)

    assert set() == drilled(desk)


def test_drill_of_a_snapshot_is_its_target_s(tmp_path: Path) -> None:
    """Of several targets, the outcome is that of the one whose snapshot was tried."""
    desk = desk_of(settings_of(tmp_path), objects_of("default"), objects_of("other, too"))
    _, made = run_backup(desk)
    assert made.snapshot is not None

    [outcome] = run_drill(desk, [Kind.OBJECTS], snapshot=made.snapshot[:8], say=lambda _step: None)

    assert ("unverified", made.snapshot) == (outcome.error, outcome.snapshot)
    assert {"other, too"} == drilled(desk)


def objects_of(target: str) -> Series:
    """Return a target whose objects are none, which a drill finds out."""
    return Series(target, ObjectsThatAreNone(target))


def drilled(desk: Desk) -> set[str]:
    """Return the targets that have the outcome of a drill."""
    return {each.target for each in desk.store.read().records if each.last.job is Job.DRILL}


def test_sources_are_what_the_settings_name(tmp_path: Path) -> None:
    """The database and each target's objects, the volumes and the key, where there are any."""
    settings = settings_of(tmp_path)
    assert [] == sources_of(settings)
    settings.database_file.write_text("sqlite:////var/lib/prefect.db")
    settings.targets_file.write_text(
        "targets:\n  - {name: one, url: 'http://a/api'}\n  - {name: two, url: 'http://b/api'}\n"
    )
    settings.volumes_dir.mkdir()
    settings.encryption_key_file.write_text("key")

    assert [
        ("one", Kind.DATABASE),
        ("one", Kind.OBJECTS),
        ("two", Kind.OBJECTS),
        ("one", Kind.VOLUMES),
        ("one", Kind.ENCRYPTION_KEY),
    ] == [(each.target, each.kind) for each in sources_of(settings)]
