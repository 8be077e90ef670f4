"""A drill passes where a Prefect server works on what was restored, and nowhere else."""

from __future__ import annotations

import os
import secrets
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest
from cryptography.fernet import Fernet

from backup.database import Database
from backup.drill import Drilled, drill
from backup.encryption_key import EncryptionKeySource
from backup.errors import RepositoryDamaged, SchemaTooNew, Unverified
from backup.model import Kind, Snapshot
from backup.postgres import FILENAME, PostgresSource
from backup.programs import Command
from backup.repository import Repository
from backup.settings import Settings
from backup.sqlite import SqliteSource
from backup.steps import Step
from backup.volumes import VolumesSource
from backup_databases import ENCRYPTION_KEY, FLOW_RUNS, Databases, copy_sqlite
from backup_worlds import process_environment, repository_of, settings_of
from demo.processes import wait_until

# The first of these tests waits for a database to be made and filled.
pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

_DRILL = """
from backup.drill import drill
from backup.environment import load_settings
from backup.model import Kind
from backup.repository import Repository

settings = load_settings()
repository = Repository.of(settings)
drill(settings, repository, repository.find(Kind.DATABASE), say=print)
"""


@pytest.fixture(name="scratch")
def _scratch(databases: Databases) -> Iterator[Path]:
    folder = databases.scratch(f"scratch-{secrets.token_hex(4)}")
    yield folder

    assert [] == list(folder.glob("work-*"))
    assert [] == _processes(folder)


@pytest.fixture(name="settings")
def _settings(scratch: Path, tmp_path: Path) -> Settings:
    settings = settings_of(tmp_path, SCRATCH_DIR=str(scratch))
    settings.encryption_key_file.write_text(ENCRYPTION_KEY)
    return settings


@pytest.fixture(name="repository")
def _repository(settings: Settings) -> Repository:
    repository = repository_of(settings)
    repository.ready()
    return repository


@pytest.fixture(name="database")
def _database(databases: Databases) -> Database:
    return Database.of(databases.postgres.url("filled"))


def test_postgres_comes_back_and_prefect_works_on_it(
    settings: Settings, repository: Repository, database: Database
) -> None:
    """It tells what it found, and how long each part took."""
    snapshot = _dumped(database, repository)
    steps: list[str] = []
    drilled = drill(settings, repository, snapshot, say=lambda step: steps.append(step.name))

    assert drilled.found.startswith("69 flow runs of ")
    assert drilled.found.endswith("a block decrypted with the key kept apart")
    assert drilled.server_seconds is not None
    assert 0 < drilled.restore_seconds + drilled.server_seconds <= drilled.total_seconds
    assert 0 < drilled.age_seconds < 100
    assert ["starting a PostgreSQL", "restoring the dump", "counting rows"] == steps[:3]


def test_sqlite_comes_back_and_prefect_works_on_it(
    sqlite_file: Path, settings: Settings, repository: Repository, tmp_path: Path
) -> None:
    """A drill of a SQLite server's database needs no PostgreSQL."""
    database = copy_sqlite(sqlite_file, tmp_path)
    snapshot = SqliteSource(database, settings.scratch_dir).save(repository)
    drilled = _drilled(settings, repository, snapshot)

    assert drilled.found.startswith(f"{FLOW_RUNS} flow runs of ")
    assert drilled.found.endswith("a block decrypted with the key kept apart")


def test_key_is_taken_from_where_it_is_kept(
    settings: Settings, repository: Repository, database: Database
) -> None:
    """The key repository's newest snapshot is what will be there after a disaster: not the file."""
    keys = Repository.of_keys(settings)
    keys.ready()
    EncryptionKeySource(settings.encryption_key_file).save(keys)
    settings.encryption_key_file.write_text(Fernet.generate_key().decode())

    drilled = _drilled(settings, repository, _dumped(database, repository))
    assert drilled.found.endswith("a block decrypted with the key kept apart")


@pytest.mark.parametrize("key", [Fernet.generate_key().decode(), ""], ids=["other", "none"])
def test_key_that_does_not_fit_fails_the_drill(
    settings: Settings, repository: Repository, database: Database, key: str
) -> None:
    """Without the key that the blocks were encrypted with, a dump is no backup of them."""
    snapshot = _dumped(database, repository)
    settings.encryption_key_file.write_text(key)
    with pytest.raises(Unverified, match=r"^the encryption key does not fit: "):
        _drilled(settings, repository, snapshot)


def test_without_a_key_no_password_of_its_repository_is_asked_for(
    sqlite_file: Path, settings: Settings, repository: Repository, tmp_path: Path
) -> None:
    """Where no key is kept apart, its password need not be there: the drill goes on to Prefect."""
    database = copy_sqlite(sqlite_file, tmp_path)
    snapshot = SqliteSource(database, settings.scratch_dir).save(repository)
    settings.encryption_key_file.write_text("")
    settings.key_password_file.unlink()
    with pytest.raises(Unverified, match=r"^the encryption key does not fit: "):
        _drilled(settings, repository, snapshot)


@pytest.mark.parametrize(
    ("tags", "problem"),
    [
        ({"rows.flow_run": "70"}, "flow_run has 69 rows and had 70 rows"),
        ({"rows.task_run": "182"}, "task_run has 183 rows and had 182 rows"),
        ({"rows.lost": "5"}, "lost has none such and had 5 rows"),
        ({"rows.log": "many"}, "does not say how many rows it holds"),
        ({"revision": "50737cdaee36"}, "schema is d4a7e1c93f52, and was 50737cdaee36"),
    ],
    ids=["fewer", "more", "no table", "no manifest", "other schema"],
)
def test_difference_from_the_manifest_fails_the_drill(
    settings: Settings,
    repository: Repository,
    database: Database,
    tags: Mapping[str, str],
    problem: str,
) -> None:
    """As many rows must come back as were dumped; the message has both numbers."""
    snapshot = _dumped(database, repository, tags)
    with pytest.raises(Unverified, match=problem):
        _drilled(settings, repository, snapshot)


def test_snapshot_of_a_newer_prefect_is_told_apart(
    settings: Settings, repository: Repository, database: Database
) -> None:
    """A schema that this Prefect does not know is no damage: it says to update."""
    snapshot = _dumped(database, repository, {"revision": "ffffffffffff"})
    with pytest.raises(SchemaTooNew, match="update the stack first"):
        _drilled(settings, repository, snapshot)


@pytest.mark.parametrize("percent", [1, 20, 60, 99])
def test_truncated_dump_fails_the_drill(
    settings: Settings, repository: Repository, database: Database, tmp_path: Path, percent: int
) -> None:
    """A dump whose end is missing, in the table of contents or anywhere after it, is found."""
    whole = _dumped(database, repository)
    file = tmp_path / "dump"
    command = repository.dump_command(whole)
    with file.open("wb") as output:
        environment = {**os.environ, **command.env}
        subprocess.run(command.argv, env=environment, stdout=output, check=True)
    cut = Command(argv=["head", "-c", str(file.stat().st_size * percent // 100), str(file)])
    snapshot = repository.save_command(
        cut, kind=Kind.DATABASE, filename=FILENAME, tags=_own(whole.tags)
    )

    with pytest.raises(
        Unverified, match=r"^the dump cannot be restored: pg_restore ended with code"
    ):
        _drilled(settings, repository, snapshot)


def test_damaged_repository_is_told_apart(
    settings: Settings, repository: Repository, database: Database
) -> None:
    """It is not the dump that was bad: what restic says of its store is told as everywhere."""
    snapshot = _dumped(database, repository)
    for pack in Path(repository.restic.address).glob("data/*/*"):
        pack.chmod(0o600)
        pack.write_bytes(bytes(pack.stat().st_size))

    with pytest.raises(RepositoryDamaged):
        _drilled(settings, repository, snapshot)


def test_extension_comes_back_into_a_schema_of_any_name(
    settings: Settings, repository: Repository, databases: Databases
) -> None:
    """Also where PostgreSQL writes the name in quotes."""
    with databases.copy("elsewhere") as database, databases.admin("elsewhere") as admin:
        admin.execute('CREATE SCHEMA "My""Tools"')
        admin.execute('ALTER EXTENSION pg_trgm SET SCHEMA "My""Tools"')
        snapshot = _dumped(database, repository)

    assert _drilled(settings, repository, snapshot).found.startswith("69 flow runs of ")


def test_killed_drill_is_in_nobodys_way(
    settings: Settings, repository: Repository, database: Database, tmp_path: Path
) -> None:
    """After a kill -9 while Prefect works, no process remains, and the next drill clears up."""
    snapshot = _dumped(database, repository)
    with _drilling(tmp_path, settings) as (process, running):
        process.send_signal(signal.SIGKILL)
        process.wait()
        wait_until(
            lambda: not [each for each in running if each.is_running()],
            within=30,
            what="the end of all that it started",
        )
    assert 1 == len(list(settings.scratch_dir.glob("work-*")))

    _drilled(settings, repository, snapshot)


def test_volumes_come_back(settings: Settings, repository: Repository) -> None:
    """A drill of volumes reads each file that comes back, and starts no server."""
    grafana = settings.volumes_dir / "grafana"
    grafana.mkdir(parents=True)
    with closing(sqlite3.connect(grafana / "grafana.db")) as connection:
        connection.execute("CREATE TABLE dashboard (x)")
    drilled = _drilled(
        settings,
        repository,
        VolumesSource(settings.volumes_dir, settings.scratch_dir).save(repository),
    )

    assert "grafana" in drilled.found
    assert drilled.server_seconds is None


def _drilled(settings: Settings, repository: Repository, snapshot: Snapshot) -> Drilled:
    return drill(settings, repository, snapshot, say=_unheard)


def _unheard(step: Step) -> None:
    pass


def _dumped(
    database: Database, repository: Repository, tags: Mapping[str, str] | None = None
) -> Snapshot:
    return PostgresSource(database, Path(), tags=tags).save(repository)


def _own(tags: Mapping[str, str]) -> Mapping[str, str]:
    return {name: text for name, text in tags.items() if name not in {"kind", "target", "safety"}}


@contextmanager
def _drilling(
    folder: Path, settings: Settings
) -> Iterator[tuple[subprocess.Popen[bytes], list[psutil.Process]]]:
    """Run a drill in a process of its own, until its Prefect server has been started."""
    process = subprocess.Popen(
        [sys.executable, "-c", _DRILL],
        env=process_environment(folder, SCRATCH_DIR=str(settings.scratch_dir)),
        stdout=subprocess.DEVNULL,
    )

    def has_prefect() -> bool:
        assert process.poll() is None
        running = _processes(settings.scratch_dir)
        return any("prefect server start" in " ".join(_argv(each)) for each in running)

    try:
        wait_until(has_prefect, within=60, what="a Prefect server")
        yield process, _processes(settings.scratch_dir)
    finally:
        process.kill()
        process.wait()


def _argv(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _processes(folder: Path) -> list[psutil.Process]:
    """Return what runs in *folder*."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd().startswith(str(folder)):
                found.append(process)
        except psutil.Error:
            continue
    return found
