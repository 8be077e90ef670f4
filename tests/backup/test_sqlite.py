"""A copy of a SQLite database is of one moment, sound, and does not hold up its server."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from backup.database import Database
from backup.errors import SourceUnavailable
from backup.model import Kind, Manifest, Snapshot
from backup.programs import Command, pipe
from backup.repository import Repository
from backup.settings import Settings
from backup.sqlite import SqliteSource, read_manifest
from backup_databases import FLOW_RUNS, copy_sqlite
from backup_worlds import repository_of, settings_of

# The first of these tests waits for a database to be made and filled.
pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

_PADDING = 64 * 2**20


@pytest.fixture(name="database")
def _database(sqlite_file: Path, tmp_path: Path) -> Database:
    return copy_sqlite(sqlite_file, tmp_path)


@pytest.fixture(name="settings")
def _settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


@pytest.fixture(name="repository")
def _repository(settings: Settings) -> Repository:
    repository = repository_of(settings)
    repository.ready()
    return repository


def test_snapshot_says_what_it_holds(
    database: Database, settings: Settings, repository: Repository, tmp_path: Path
) -> None:
    """Its tags are the schema and the rows of what comes out: one file, which needs no other."""
    SqliteSource(database, settings.scratch_dir).save(repository)
    [kept] = repository.snapshots(Kind.DATABASE)
    file = _fetched(repository, kept, tmp_path / "fetched")

    assert FLOW_RUNS == Manifest.from_tags(kept.tags).rows["flow_run"]
    assert Manifest.from_tags(kept.tags) == read_manifest(file)
    with closing(sqlite3.connect(file)) as connection:
        assert [("delete",)] == connection.execute("PRAGMA journal_mode").fetchall()


def test_server_goes_on_writing(
    database: Database, settings: Settings, repository: Repository, tmp_path: Path
) -> None:
    """The copy is of one moment of a database that always changes, and nobody waits for it."""
    with closing(sqlite3.connect(database.path)) as connection:
        connection.execute("CREATE TABLE padding (bytes BLOB)")
        connection.execute("INSERT INTO padding VALUES (zeroblob(?))", [_PADDING])
        connection.commit()
    with _writing(database.path) as waits:
        snapshot = SqliteSource(database, settings.scratch_dir).save(repository)

    file = _fetched(repository, snapshot, tmp_path / "fetched")
    assert Manifest.from_tags(snapshot.tags) == read_manifest(file)
    assert len(waits) > 20
    assert max(waits) < 5


def test_nothing_is_left_of_the_copy(
    database: Database, settings: Settings, repository: Repository
) -> None:
    """The scratch folder holds none after a backup, nor after one that fails."""
    SqliteSource(database, settings.scratch_dir).save(repository)
    settings.password_file.write_text("another\n")
    with pytest.raises(Exception, match="password"):
        SqliteSource(database, settings.scratch_dir).save(repository)

    assert [] == list(settings.scratch_dir.glob("work-*"))


def test_missing_database_is_not_made(
    settings: Settings, repository: Repository, tmp_path: Path
) -> None:
    """A path where nothing is makes no empty backup, and no empty database there."""
    nothing = Database.of(f"sqlite:///{tmp_path}/none.db")
    with pytest.raises(SourceUnavailable, match=r"none\.db cannot be read: unable to open"):
        SqliteSource(nothing, settings.scratch_dir).save(repository)

    assert not nothing.path.exists()
    assert [] == repository.snapshots(Kind.DATABASE)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "no database of a Prefect server: it has no alembic_version"),
        (b"no database at all" * 500, "file is not a database"),
    ],
    ids=["empty", "other"],
)
def test_file_that_is_no_database_of_prefect_is_refused(
    database: Database, settings: Settings, repository: Repository, content: bytes, problem: str
) -> None:
    """An empty file, or another one, is an error and no snapshot."""
    database.path.write_bytes(content)
    with pytest.raises(SourceUnavailable, match=problem):
        SqliteSource(database, settings.scratch_dir).save(repository)

    assert [] == repository.snapshots(Kind.DATABASE)


def test_damaged_database_is_refused(
    database: Database, settings: Settings, repository: Repository
) -> None:
    """A page that is overwritten is found before it takes the place of a good backup."""
    with database.path.open("r+b") as file:
        file.seek(4096 * 40)
        file.write(b"\xff" * 4096 * 30)

    with pytest.raises(SourceUnavailable, match=r"damaged|malformed"):
        SqliteSource(database, settings.scratch_dir).save(repository)

    assert [] == repository.snapshots(Kind.DATABASE)


def _fetched(repository: Repository, snapshot: Snapshot, file: Path) -> Path:
    pipe(repository.dump_command(snapshot), Command(argv=["dd", f"of={file}"]), timeout=60)
    return file


@contextmanager
def _writing(path: Path) -> Iterator[list[float]]:
    """Write flows all the time, as a server in WAL mode; collect how long each took."""
    stop, waits = threading.Event(), list[float]()

    def write() -> None:
        with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as connection:
            # It waits for nobody's lock, and for no disk that others are busy with.
            connection.execute("PRAGMA synchronous = OFF")
            while not stop.is_set():
                began = time.monotonic()
                connection.execute(
                    "INSERT INTO flow (name, tags, labels) VALUES (hex(randomblob(8)), '[]', '{}')"
                )
                waits.append(time.monotonic() - began)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield waits
    finally:
        stop.set()
        writer.join()
