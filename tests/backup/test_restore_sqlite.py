"""A restore of SQLite exchanges the whole file, or leaves it alone."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from backup.database import Database
from backup.errors import NoSpace, SourceUnavailable, Unverified
from backup.model import Kind, Snapshot
from backup.repository import Repository
from backup.restore import plan
from backup.settings import Settings
from backup.sqlite import SqliteSource
from backup.steps import Step
from backup_databases import copy_sqlite, make_sqlite
from backup_restores import killed_at, restored
from backup_worlds import repository_of, settings_of
from demo.sandbox import Sandbox

# The first of these tests waits for a database to be made and filled.
pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]


@pytest.fixture(name="filled", scope="module")
def _filled() -> Iterator[Path]:
    with Sandbox() as sandbox:
        yield make_sqlite(sandbox)


@pytest.fixture(name="settings", scope="module")
def _settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return settings_of(tmp_path_factory.mktemp("restores"))


@pytest.fixture(name="repository", scope="module")
def _repository(settings: Settings) -> Repository:
    repository = repository_of(settings)
    repository.ready()
    return repository


@pytest.fixture(name="snapshot", scope="module")
def _snapshot(
    filled: Path,
    settings: Settings,
    repository: Repository,
    tmp_path_factory: pytest.TempPathFactory,
) -> Snapshot:
    database = copy_sqlite(filled, tmp_path_factory.mktemp("saved"))
    return SqliteSource(database, settings.scratch_dir).save(repository)


@pytest.fixture(name="database")
def _database(filled: Path, tmp_path: Path) -> Database:
    """What the snapshot is of, but that it has lost some runs."""
    database = copy_sqlite(filled, tmp_path)
    with _open(database) as connection:
        connection.execute("DELETE FROM flow_run WHERE id IN (SELECT id FROM flow_run LIMIT 10)")
    return database


def _open(database: Database) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(database.path, isolation_level=None))


def _runs(database: Database) -> int:
    with _open(database) as connection:
        [(number,)] = connection.execute("SELECT count(*) FROM flow_run")
    return int(number)


def _files(database: Database) -> list[str]:
    return sorted(path.name for path in database.path.parent.iterdir())


def test_a_restore_exchanges_the_file(
    settings: Settings, repository: Repository, snapshot: Snapshot, database: Database
) -> None:
    """Mode and owner stay, nothing else does; and there is a way back."""
    database.path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(database.path, 12, 34)
    before = database.path.stat()

    result = restored(settings, snapshot, database)

    after = database.path.stat()
    assert 60 == _runs(database)
    assert (before.st_mode, before.st_uid, before.st_gid) == (
        after.st_mode,
        after.st_uid,
        after.st_gid,
    )
    assert ["prefect.db"] == _files(database)
    assert result.safety is not None
    restored(settings, repository.find(Kind.DATABASE, id=result.safety.id), database)
    assert 50 == _runs(database)


def test_what_a_killed_server_left_in_its_log_is_no_part_of_it(
    settings: Settings, snapshot: Snapshot, database: Database
) -> None:
    """The write-ahead log of the old file would damage the new one; the safety snapshot has it."""
    with _open(database) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("DELETE FROM flow_run WHERE id IN (SELECT id FROM flow_run LIMIT 5)")
        log = database.path.with_name("prefect.db-wal").read_bytes()
        main = database.path.read_bytes()
    database.path.write_bytes(main)
    database.path.with_name("prefect.db-wal").write_bytes(log)

    result = restored(settings, snapshot, database)

    assert result.safety is not None
    assert "45" == result.safety.tags["rows.flow_run"]
    assert 60 == _runs(database)
    assert ["prefect.db"] == _files(database)


def test_into_nothing_it_makes_the_file(
    settings: Settings, snapshot: Snapshot, tmp_path: Path
) -> None:
    """On a new machine; only its owner can read it."""
    fresh = Database.of(f"sqlite:///{tmp_path}/new.db")

    result = restored(settings, snapshot, fresh)

    assert result.safety is None
    assert 60 == _runs(fresh)
    assert 0o600 == fresh.path.stat().st_mode & 0o777


def test_a_file_that_was_made_meanwhile_is_not_replaced(
    settings: Settings, snapshot: Snapshot, tmp_path: Path
) -> None:
    """Nothing of it was kept: a server that was started too early is to be stopped."""
    fresh = Database.of(f"sqlite:///{tmp_path}/new.db")

    def start(step: Step) -> None:
        if step.name == "verifying":
            fresh.path.write_bytes(b"made meanwhile")

    with pytest.raises(SourceUnavailable, match="was made meanwhile: stop the Prefect server"):
        restored(settings, snapshot, fresh, start)

    assert b"made meanwhile" == fresh.path.read_bytes()
    assert ["new.db"] == _files(fresh)


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_a_log_without_its_database_is_moved_by_a_person(
    settings: Settings, repository: Repository, snapshot: Snapshot, tmp_path: Path, suffix: str
) -> None:
    """SQLite would apply it to the file that comes."""
    (tmp_path / f"new.db{suffix}").write_bytes(b"left")

    with pytest.raises(SourceUnavailable, match=f"{suffix} is of a database that is not there"):
        plan(settings, repository, snapshot, Database.of(f"sqlite:///{tmp_path}/new.db"))


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_an_open_database_is_left_alone(
    settings: Settings, repository: Repository, snapshot: Snapshot, database: Database, mode: str
) -> None:
    """A server that runs would go on writing to a file that has no name any more."""
    with _open(database) as server:
        server.execute(f"PRAGMA journal_mode = {mode}")
        server.execute("BEGIN")
        server.execute("SELECT count(*) FROM flow_run").fetchall()

        with pytest.raises(SourceUnavailable, match="stop the Prefect server first"):
            plan(settings, repository, snapshot, database)

    assert 50 == _runs(database)


def test_other_rows_than_the_manifest_says_leave_the_old_file(
    settings: Settings, snapshot: Snapshot, database: Database
) -> None:
    """The error has both numbers, and nothing lies beside it."""
    wrong = replace(snapshot, tags={**snapshot.tags, "rows.flow_run": "61"})

    with pytest.raises(Unverified, match="flow_run has 60 rows and had 61 rows"):
        restored(settings, wrong, database)

    assert 50 == _runs(database)
    assert ["prefect.db"] == _files(database)


def test_no_room_is_found_before_anything_is_written(
    settings: Settings, repository: Repository, snapshot: Snapshot, database: Database
) -> None:
    """Both files lie there for a moment."""
    huge = replace(snapshot, size_bytes=1 << 60)

    with pytest.raises(NoSpace, match="bytes free"):
        plan(settings, repository, huge, database)


def test_a_damaged_file_is_not_replaced_unseen(
    settings: Settings, repository: Repository, snapshot: Snapshot, database: Database
) -> None:
    """What is in it cannot be kept first, so a person moves it away."""
    database.path.write_bytes(b"SQLite format 3\0" + b"\xff" * 8192)

    with pytest.raises(SourceUnavailable, match="move it away"):
        plan(settings, repository, snapshot, database)


@pytest.mark.parametrize("step", ["restoring", "verifying", "keeping what is there now"])
def test_a_killed_restore_leaves_the_old_file(
    settings: Settings, snapshot: Snapshot, database: Database, step: str
) -> None:
    """The next try clears away what it left, and succeeds."""
    folder = settings.state_dir.parent

    assert -signal.SIGKILL == killed_at(step, folder, snapshot, database)

    assert 50 == _runs(database)
    restored(settings, snapshot, database)
    assert 60 == _runs(database)
    assert ["prefect.db"] == _files(database)
