"""The stack's volumes are copied while their programs work, and come back whole."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from alerting.teams import Teams
from alertmanagers import alertmanager, write
from backup.errors import NoSnapshot, SourceUnavailable, Unverified
from backup.model import Kind
from backup.repository import Repository
from backup.restoring import Wish, restore
from backup.settings import Settings
from backup.volumes import VolumesSource, copy_volumes, restore_volumes, verify
from backup_worlds import repository_of, restic, settings_of

GRAFANA = "grafana/grafana.db"
_KILLED = """
import os, signal, sys
from pathlib import Path
from backup.volumes import restore_volumes

def kill(event, arguments):
    if event == "os.rename":
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(kill)
restore_volumes(*map(Path, sys.argv[1:]))
"""
_TEAMS = {"default": "platform", "teams": {"platform": {}}}


@pytest.fixture(name="volumes")
def _volumes(tmp_path: Path) -> Path:
    """The volumes of a stack with one dashboard and an empty Alertmanager."""
    volumes = tmp_path / "volumes"
    for name in ("grafana", "alertmanager"):
        (volumes / name).mkdir(parents=True)
    make_database(volumes / GRAFANA, "DELETE")
    for name in ("png", "plugins"):
        (volumes / "grafana" / name).mkdir()
        (volumes / "grafana" / name / "large").write_bytes(bytes(1000))
    (volumes / "alertmanager" / "silences").touch()
    (volumes / "alertmanager" / "nflog").write_bytes(b"\x03abc\x81\x01" + bytes(129))
    return volumes


def make_database(path: Path, mode: str) -> None:
    """Make a database such as Grafana's."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("CREATE TABLE dashboard (a INTEGER, b INTEGER, page BLOB)")
        connection.execute("INSERT INTO dashboard VALUES (1, 1, zeroblob(5000))")


def dashboards(path: Path) -> int:
    """Return how many rows a copy has, all of them whole."""
    with closing(sqlite3.connect(path)) as connection:
        assert [("ok",)] == connection.execute("PRAGMA integrity_check").fetchall()
        torn = connection.execute("SELECT count(*) FROM dashboard WHERE a <> b").fetchone()
        assert (0,) == torn
        (number,) = connection.execute("SELECT count(*) FROM dashboard").fetchone()
        return int(number)


def leave_log(path: Path) -> None:
    """Add a dashboard that is in the write-ahead log alone, as after a kill."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("INSERT INTO dashboard VALUES (1, 1, '')")
        log = path.with_name(f"{path.name}-wal").read_bytes()
        main = path.read_bytes()
    path.write_bytes(main)
    path.with_name(f"{path.name}-wal").write_bytes(log)


def saved(volumes: Path, folder: Path) -> tuple[Settings, Repository]:
    """Make an installation below *folder* with one snapshot of *volumes*."""
    settings = settings_of(folder, VOLUMES_DIR=str(volumes))
    repository = repository_of(settings)
    repository.ready()
    VolumesSource(volumes, settings.scratch_dir).save(repository)
    return settings, repository


def wish(snapshot: str | None = None) -> Wish:
    """Return the wish to have a snapshot of the volumes back, the newest unless it is named."""
    return Wish(
        kind=Kind.VOLUMES, snapshot=snapshot, at=None, target=None, into_file=None, yes=True
    )


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Write rows all the time, in transactions of several statements, until the block ends."""
    begun, over = threading.Event(), threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
            number = 1
            while not over.is_set():
                number += 1
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("UPDATE dashboard SET a = ?", (number,))
                connection.execute("UPDATE dashboard SET b = ?", (number,))
                connection.execute("INSERT INTO dashboard VALUES (1, 1, randomblob(3000))")
                connection.execute("COMMIT")
                begun.set()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert begun.wait(30)
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_database_is_copied_as_at_one_moment(volumes: Path, tmp_path: Path, mode: str) -> None:
    """Grafana writes meanwhile; a copy holds whole transactions alone, and what came before it."""
    (volumes / GRAFANA).unlink()
    make_database(volumes / GRAFANA, mode)
    with writing(volumes / GRAFANA):
        for number in range(5):
            copy_volumes(volumes, tmp_path / str(number))

    copies = [dashboards(tmp_path / str(number) / GRAFANA) for number in range(5)]
    assert copies == sorted(copies)
    assert 2 <= copies[0]


def test_only_what_people_made_is_copied(volumes: Path, tmp_path: Path) -> None:
    """Plugins and rendered pictures stay where they are."""
    copy_volumes(volumes, tmp_path / "copy")

    copied = {str(file.relative_to(tmp_path / "copy")) for file in (tmp_path / "copy").rglob("*.*")}
    assert {GRAFANA} == copied
    assert "grafana/grafana.db, 0 silences, 2 notifications" == verify(tmp_path / "copy")


def test_volume_is_left_as_it_was(volumes: Path, tmp_path: Path) -> None:
    """Nothing is written beside what is copied, not even in WAL mode: it may be read-only."""
    (volumes / GRAFANA).unlink()
    make_database(volumes / GRAFANA, "WAL")
    before = {file: file.stat().st_mtime_ns for file in volumes.rglob("*")}
    copy_volumes(volumes, tmp_path / "copy")

    assert before == {file: file.stat().st_mtime_ns for file in volumes.rglob("*")}


def test_volume_that_is_not_there_is_left_out(volumes: Path, tmp_path: Path) -> None:
    """A stack without Grafana backs up Alertmanager; one without both has nothing to back up."""
    (volumes / GRAFANA).unlink()
    assert 2 == len(copy_volumes(volumes, tmp_path / "copy"))

    with pytest.raises(SourceUnavailable, match="holds nothing to back up"):
        copy_volumes(tmp_path / "nothing", tmp_path / "another")


def test_damaged_database_is_no_backup(volumes: Path, tmp_path: Path) -> None:
    """It is told in one line, and there is no snapshot of it."""
    (volumes / GRAFANA).write_bytes(b"SQLite format 3\x00" + bytes(5000))
    settings = settings_of(tmp_path)
    repository = repository_of(settings)
    repository.ready()
    with pytest.raises(SourceUnavailable, match=r"grafana\.db"):
        VolumesSource(volumes, settings.scratch_dir).save(repository)

    with pytest.raises(NoSnapshot):
        repository.find(Kind.VOLUMES)
    assert [] == list(settings.scratch_dir.glob("volumes"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (GRAFANA, b"SQLite format 3\x00 but no more"),
        ("alertmanager/silences", b"\x05abc"),
        ("alertmanager/nflog", b"\x80"),
    ],
)
def test_damage_is_found_before_anything_is_replaced(
    volumes: Path, tmp_path: Path, name: str, content: bytes
) -> None:
    """A file that was cut, or that is none, keeps all others where they are."""
    copy_volumes(volumes, tmp_path / "copy")
    (tmp_path / "copy" / name).write_bytes(content)
    before = {file: file.read_bytes() for file in volumes.rglob("*") if file.is_file()}
    with pytest.raises(Unverified):
        restore_volumes(tmp_path / "copy", volumes)

    assert before == {file: file.read_bytes() for file in volumes.rglob("*") if file.is_file()}


def test_restore_replaces_the_database_with_its_leftovers(volumes: Path, tmp_path: Path) -> None:
    """A WAL of the old file would be put into the new one."""
    copy_volumes(volumes, tmp_path / "copy")
    leave_log(volumes / GRAFANA)
    restored = restore_volumes(tmp_path / "copy", volumes)

    assert [GRAFANA, "alertmanager/silences", "alertmanager/nflog"] == restored
    assert ["grafana.db"] == [file.name for file in (volumes / "grafana").glob("*grafana*")]
    assert 1 == dashboards(volumes / GRAFANA)


def test_killed_restore_loses_nothing_that_was_committed(volumes: Path, tmp_path: Path) -> None:
    """Whenever it ends before the file is exchanged, the old one has all of its rows."""
    copy_volumes(volumes, tmp_path / "copy")
    leave_log(volumes / GRAFANA)
    ended = subprocess.run(
        [sys.executable, "-c", _KILLED, str(tmp_path / "copy"), str(volumes)],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        check=False,
    )

    assert -signal.SIGKILL == ended.returncode
    assert 2 == dashboards(volumes / GRAFANA)


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_database_that_is_open_is_left_alone(volumes: Path, tmp_path: Path, mode: str) -> None:
    """A Grafana that runs would go on writing to a file that has no name any more."""
    copy_volumes(volumes, tmp_path / "copy")
    (volumes / GRAFANA).unlink()
    make_database(volumes / GRAFANA, mode)
    with closing(sqlite3.connect(volumes / GRAFANA, isolation_level=None)) as grafana:
        grafana.execute("BEGIN")
        grafana.execute("SELECT count(*) FROM dashboard").fetchall()
        before = (volumes / GRAFANA).stat().st_ino
        with pytest.raises(SourceUnavailable, match="stop Grafana first"):
            restore_volumes(tmp_path / "copy", volumes)

        assert before == (volumes / GRAFANA).stat().st_ino


def test_log_without_its_database_is_moved_by_a_person(volumes: Path, tmp_path: Path) -> None:
    """SQLite would apply it to the file that comes, and rows may be in it."""
    copy_volumes(volumes, tmp_path / "copy")
    leave_log(volumes / GRAFANA)
    (volumes / GRAFANA).unlink()

    with pytest.raises(SourceUnavailable, match="-wal is of a database that is not there"):
        restore_volumes(tmp_path / "copy", volumes)

    assert (volumes / f"{GRAFANA}-wal").exists()


def test_restore_can_be_undone(
    volumes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is replaced becomes a snapshot first, and it is said how to have it again."""
    settings, repository = saved(volumes, tmp_path)
    leave_log(volumes / GRAFANA)
    (volumes / "alertmanager" / "silences").write_bytes(b"\x01a")

    assert restore(settings, wish())
    [safety] = repository.snapshots(Kind.VOLUMES, safety=True)
    told = capsys.readouterr().out
    assert 1 == dashboards(volumes / GRAFANA)
    assert f"Kept what is there as snapshot {safety.id[:8]}" in told
    assert f'make restore ARGS="volumes --snapshot {safety.id[:8]} --yes"' in told

    restore(settings, wish(safety.id[:8]))
    assert 2 == dashboards(volumes / GRAFANA)
    assert b"\x01a" == (volumes / "alertmanager" / "silences").read_bytes()
    assert 1 == len(repository.snapshots(Kind.VOLUMES))


def test_failed_restore_tells_how_to_go_back(volumes: Path, tmp_path: Path) -> None:
    """Some files may be exchanged by then, and others not."""
    settings, repository = saved(volumes, tmp_path)
    shutil.rmtree(volumes / "alertmanager")
    (volumes / "alertmanager").touch()

    with pytest.raises(SourceUnavailable, match="alertmanager/silences") as caught:
        restore(settings, wish())

    [safety] = repository.snapshots(Kind.VOLUMES, safety=True)
    [note] = caught.value.__notes__
    assert f"restore volumes --snapshot {safety.id[:8]} --yes" in note


def test_empty_volumes_need_not_be_kept(volumes: Path, tmp_path: Path) -> None:
    """On a new machine there is nothing to lose."""
    settings, repository = saved(volumes, tmp_path)
    (volumes / GRAFANA).unlink()
    (volumes / "alertmanager" / "nflog").write_bytes(b"")

    assert restore(settings, wish())
    assert [] == repository.snapshots(Kind.VOLUMES, safety=True)
    assert 1 == dashboards(volumes / GRAFANA)


def test_what_cannot_be_kept_is_not_replaced(volumes: Path, tmp_path: Path) -> None:
    """A damaged database is for a person to move away: the error says so."""
    settings, _ = saved(volumes, tmp_path)
    (volumes / GRAFANA).write_bytes(b"SQLite format 3\x00" + bytes(5000))
    before = (volumes / GRAFANA).read_bytes()

    with pytest.raises(SourceUnavailable, match=r"grafana\.db") as caught:
        restore(settings, wish())

    [note] = caught.value.__notes__
    assert note.startswith("Nothing was replaced")
    assert note.endswith(f"or move what is damaged out of {volumes}.")
    assert before == (volumes / GRAFANA).read_bytes()


def test_two_backups_of_one_state_add_nothing(volumes: Path, tmp_path: Path) -> None:
    """Restic sees the same folder, with the same content, each time."""
    settings = settings_of(tmp_path)
    repository = repository_of(settings)
    repository.ready()
    source = VolumesSource(volumes, settings.scratch_dir)
    first, second = source.save(repository), source.save(repository)

    assert first.path == second.path
    assert "alertmanager.grafana" == first.tags["volumes"]
    changes = restic(repository, "diff", first.id, second.id)
    assert "Files:           0 new,     0 removed,     0 changed" in changes
    assert "Data Blobs:      0 new,     0 removed" in changes


@pytest.mark.real
def test_silence_comes_back_to_a_new_alertmanager(tmp_path: Path) -> None:
    """What a person silenced stays silenced on another machine."""
    config = write(tmp_path / "alertmanager.yml", Teams.model_validate(_TEAMS))
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        (folder / "alertmanager").mkdir(parents=True)
    now = datetime.now(UTC)
    silence = {
        "matchers": [{"name": "team", "value": "payments", "isRegex": False}],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(hours=2)).isoformat(),
        "createdBy": "me",
        "comment": "a move",
    }
    with alertmanager(config, old) as running:
        post = httpx.post(f"{running.url}/api/v2/silences", json=silence, trust_env=False)
        post.raise_for_status()
    copy_volumes(old, tmp_path / "copy")
    assert "1 silences, 0 notifications" == verify(tmp_path / "copy")
    restore_volumes(tmp_path / "copy", new)
    with alertmanager(config, new) as running:
        listed = httpx.get(f"{running.url}/api/v2/silences", trust_env=False).json()

    assert ["a move"] == [each["comment"] for each in listed]
