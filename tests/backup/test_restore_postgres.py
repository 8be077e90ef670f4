"""A restore into PostgreSQL brings back all, or changes nothing."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import psycopg
import pytest

from backup import restore_sql
from backup.database import Database
from backup.errors import (
    BackupError,
    BadSetting,
    NoSpace,
    SchemaTooNew,
    SourceUnavailable,
    Unverified,
)
from backup.model import Kind, Snapshot
from backup.repository import Repository
from backup.restore import plan
from backup.restore_stream import output_of
from backup.settings import Settings
from backup.steps import Step
from backup_databases import ENCRYPTION_KEY, Databases
from backup_restores import as_role, ask, content, killed_at, restored, saved, saved_as
from backup_worlds import repository_of, settings_of
from demo.prefect_server import start_prefect_server
from demo.processes import wait_until

# The first of these tests waits for a database to be made and filled.
pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

_OWNER = "restore_owner"
_SERVER = "restore_server"
_OLDER = "c8d5f2a71b3e"
_LOSE = "DELETE FROM flow_run WHERE id IN (SELECT id FROM flow_run LIMIT 10)"
_RUNS = "SELECT count(*) FROM flow_run"


@pytest.fixture(name="settings", scope="module")
def _settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return settings_of(tmp_path_factory.mktemp("restores"))


@pytest.fixture(name="repository", scope="module")
def _repository(settings: Settings) -> Repository:
    repository = repository_of(settings)
    repository.ready()
    return repository


@pytest.fixture(name="database")
def _database(databases: Databases) -> Iterator[Database]:
    """What the snapshot is of, but that it has lost some runs and gained a flow."""
    with databases.copy("restored") as made:
        ask(made, _LOSE)
        ask(made, "INSERT INTO flow (name) VALUES ('made since')")
        yield made


@pytest.fixture(name="snapshot", scope="module")
def _snapshot(databases: Databases, repository: Repository) -> Snapshot:
    with databases.copy("saved") as made:
        return saved(made, repository)


@pytest.fixture(name="owned")
def _owned(databases: Databases) -> Iterator[Database]:
    """An empty database whose roles are as those of the stack."""
    with databases.admin() as connection:
        for role in (_OWNER, _SERVER):
            connection.execute(
                f"DO $$ BEGIN CREATE ROLE {role} LOGIN;"
                " EXCEPTION WHEN duplicate_object THEN NULL; END $$".encode()
            )
    with databases.copy("owned", "template0") as made:
        ask(made, f"ALTER DATABASE owned OWNER TO {_OWNER}")
        ask(made, f"ALTER SCHEMA public OWNER TO {_OWNER}")
        ask(made, f"GRANT USAGE ON SCHEMA public TO {_SERVER}")
        ask(
            made,
            f"ALTER DEFAULT PRIVILEGES FOR ROLE {_OWNER} IN SCHEMA public"
            f" GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {_SERVER}",
        )
        yield as_role(_OWNER, made)


def test_a_restore_brings_back_what_was_there(
    settings: Settings, databases: Databases, snapshot: Snapshot, database: Database
) -> None:
    """Every row, index, type and sequence, and nothing that came later."""
    ask(database, "CREATE TABLE made_since (id serial)")
    ask(database, "CREATE TYPE mood AS ENUM ('a')")
    ask(database, "CREATE VIEW seen AS SELECT id FROM flow")
    ask(database, "CREATE FUNCTION one() RETURNS int LANGUAGE sql RETURN 1")

    restored(settings, snapshot, database)

    with databases.copy("as_it_was") as expected:
        assert content(expected) == content(database)


def test_the_result_tells_of_runs_that_are_not_what_they_were(
    settings: Settings, snapshot: Snapshot, database: Database
) -> None:
    """Some were due meanwhile, and some that ran have ended."""
    result = restored(settings, snapshot, database)

    due = "state_type = 'SCHEDULED' AND next_scheduled_start_time < now()"
    late = ask(database, f"{_RUNS} WHERE {due}")[0][0]
    running = ask(database, f"{_RUNS} WHERE state_type = 'RUNNING'")[0][0]
    assert (late, running) == (result.after.due, result.after.running)
    assert f"Workers start {late} runs again that were due since" in str(result)
    assert f"{running} runs are taken for running" in str(result)


def test_a_restore_can_be_undone(
    settings: Settings, repository: Repository, snapshot: Snapshot, database: Database
) -> None:
    """What was replaced is a snapshot like others, whose id the result says."""
    before = content(database)

    first = restored(settings, snapshot, database)
    assert first.safety is not None
    restored(settings, repository.find(Kind.DATABASE, id=first.safety.id[:8]), database)

    assert before == content(database)
    assert first.safety.safety
    assert f"restore database --snapshot {first.safety.id[:8]} --yes" in str(first)
    assert "RPO" in str(first)
    assert "RTO" in str(first)


def test_an_owner_without_privileges_restores_for_its_server(
    settings: Settings, snapshot: Snapshot, owned: Database
) -> None:
    """Into nothing, and over what it restored: the server's role reads and writes each time."""
    server = as_role(_SERVER, owned)

    for expected_safety in (False, True):
        result = restored(settings, snapshot, owned)

        assert expected_safety == (result.safety is not None)
        # Roles that other tests have made may read everything.
        assert {_OWNER, _SERVER} <= set(result.after.roles)
        assert [(69,)] == ask(server, _RUNS)
        ask(server, "INSERT INTO flow (name) VALUES ('written by the server')")


@pytest.mark.usefixtures("owned")
def test_rights_that_were_given_by_hand_stay(
    settings: Settings, snapshot: Snapshot, database: Database
) -> None:
    """Whoever might read a table before may read it after, and no one else."""
    ask(database, f"GRANT SELECT, UPDATE ON flow_run TO {_SERVER}")
    rights = (
        "SELECT privilege_type::text FROM pg_class, aclexplode(relacl) JOIN pg_roles"
        " ON pg_roles.oid = grantee WHERE relname = 'flow_run' AND rolname = 'restore_server'"
        " ORDER BY 1"
    )

    restored(settings, snapshot, database)

    assert [("SELECT",), ("UPDATE",)] == ask(database, rights)


def test_plan_says_what_will_be_lost_and_changes_nothing(
    settings: Settings, repository: Repository, snapshot: Snapshot, database: Database
) -> None:
    """Before anybody says yes."""
    ask(database, "UPDATE flow_run SET created = '2026-01-01'")
    before = content(database)

    safe = repository.snapshots(Kind.DATABASE, safety=True)

    text = str(plan(settings, repository, snapshot, database))

    assert re.search(r"Replace +postgresql prefect@127.0.0.1:\d+/restored: 59 flow runs", text)
    assert f"snapshot {snapshot.id[:8]} of {snapshot.time:%Y-%m-%d}" in text
    assert "of which 69 flow runs" in text
    assert "0 flow runs were made then" in text
    assert before == content(database)
    assert safe == repository.snapshots(Kind.DATABASE, safety=True)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("default", "of the target default\n"),
        ("staging", "of the target staging, which is NOT default, whose database is replaced"),
    ],
)
def test_plan_says_whose_the_snapshot_is(
    settings: Settings, snapshot: Snapshot, database: Database, target: str, said: str
) -> None:
    """A snapshot that was named by its id may be another server's."""
    others = replace(snapshot, tags={**snapshot.tags, "target": target})

    assert re.search(said, str(plan(settings, repository_of(settings), others, database)))


def test_rows_that_differ_from_the_manifest_undo_everything(
    settings: Settings, repository: Repository, snapshot: Snapshot, database: Database
) -> None:
    """The error names the table and both numbers; the safety snapshot stays."""
    safe = len(repository.snapshots(Kind.DATABASE, safety=True))
    before = content(database)
    wrong = replace(snapshot, tags={**snapshot.tags, "rows.flow_run": "70"})

    with pytest.raises(Unverified, match="the table flow_run has 69 rows and had 70") as caught:
        restored(settings, wrong, database)

    assert ["The database is as it was."] == caught.value.__notes__
    assert before == content(database)
    assert safe + 1 == len(repository.snapshots(Kind.DATABASE, safety=True))


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"revision": _OLDER}, f"the schema is d4a7e1c93f52 and was {_OLDER}"),
        ({"rows.nothing": "0"}, "the table nothing is missing"),
    ],
)
def test_another_schema_than_the_manifest_says_undoes_everything(
    settings: Settings, snapshot: Snapshot, database: Database, tags: dict[str, str], said: str
) -> None:
    """Also where all rows are there."""
    before = content(database)

    with pytest.raises(Unverified, match=said):
        restored(settings, replace(snapshot, tags={**snapshot.tags, **tags}), database)

    assert before == content(database)


@pytest.mark.parametrize("share", [0.9, 0.1])
def test_a_truncated_dump_undoes_everything(
    settings: Settings, snapshot: Snapshot, database: Database, tmp_path: Path, share: float
) -> None:
    """However much of it is missing."""
    repository = repository_of(settings)
    whole = tmp_path / "dump"
    with closing(output_of([repository.dump_command(snapshot)])) as chunks:
        whole.write_bytes(b"".join(chunks))
    size = round(whole.stat().st_size * share)
    cut = saved_as(repository, snapshot, "head", f"--bytes={size}", str(whole))
    before = content(database)

    with pytest.raises(Unverified, match=f"the dump in the snapshot {cut.id[:8]} is not whole"):
        restored(settings, cut, database)

    assert before == content(database)


def _not_known(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, tags={**snapshot.tags, "revision": "ffffffffffff"})


def _of_sqlite(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, tags={**snapshot.tags, "engine": "sqlite"})


def _without_manifest(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, tags={})


def _forgotten(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, id="0" * 64)


@pytest.mark.parametrize(
    ("wrong", "refusal"),
    [
        (_not_known, (SchemaTooNew, "made by a newer Prefect; update the stack first")),
        (_of_sqlite, (BadSetting, "is of sqlite, which cannot go into postgresql")),
        (_without_manifest, (Unverified, "does not say what it holds")),
        (_forgotten, (BackupError, "restic")),
    ],
)
def test_what_cannot_be_restored_is_found_before_anything_is_touched(
    settings: Settings,
    snapshot: Snapshot,
    database: Database,
    wrong: Callable[[Snapshot], Snapshot],
    refusal: tuple[type[BackupError], str],
) -> None:
    """By the plan and by the restore alike; not even a safety snapshot is made."""
    repository = repository_of(settings)
    safe = repository.snapshots(Kind.DATABASE, safety=True)
    steps: list[Step] = []
    error, said = refusal

    with pytest.raises(error, match=said):
        plan(settings, repository, wrong(snapshot), database)
    with pytest.raises(error, match=said):
        restored(settings, wrong(snapshot), database, steps.append)

    assert not steps
    assert safe == repository.snapshots(Kind.DATABASE, safety=True)


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (
            ["CREATE TABLE public.theirs (id int)"],
            "may not drop what others own: table public.theirs",
        ),
        (
            ["CREATE SCHEMA elsewhere", "CREATE EXTENSION pg_trgm SCHEMA elsewhere"],
            "ALTER EXTENSION pg_trgm SET SCHEMA public",
        ),
        (["ALTER DATABASE owned OWNER TO prefect"], "CREATE EXTENSION pg_trgm WITH SCHEMA public"),
        (
            ["DROP SCHEMA public", "CREATE SCHEMA public"],
            f"GRANT CREATE ON SCHEMA public TO {_OWNER}",
        ),
    ],
    ids=["ownership", "extension elsewhere", "no extension", "no schema"],
)
def test_a_role_that_may_not_is_told_what_it_needs(
    settings: Settings, snapshot: Snapshot, owned: Database, prepare: list[str], said: str
) -> None:
    """Before anything is touched."""
    for statement in prepare:
        ask(as_role("prefect", owned), statement)

    with pytest.raises(SourceUnavailable, match=said):
        plan(settings, repository_of(settings), snapshot, owned)


def test_tables_that_are_not_prefects_are_left_alone(
    settings: Settings, repository: Repository, snapshot: Snapshot, databases: Databases
) -> None:
    """A database that was named by mistake."""
    with databases.copy("theirs", "template0") as other:
        ask(other, "CREATE TABLE customers (id int)")

        with pytest.raises(SourceUnavailable, match="tables that are not Prefect's"):
            plan(settings, repository, snapshot, other)


def test_what_depends_on_the_tables_from_outside_keeps_them(
    settings: Settings, snapshot: Snapshot, database: Database
) -> None:
    """A view in another schema would go with them: it is named as the reason instead."""
    ask(database, "CREATE SCHEMA reports")
    ask(database, "CREATE VIEW reports.runs AS SELECT id FROM public.flow_run")
    before = content(database)

    with pytest.raises(SourceUnavailable, match="other schemas depend on these tables"):
        restored(settings, snapshot, database)

    assert before == content(database)
    assert [(59,)] == ask(database, "SELECT count(*) FROM reports.runs")


def test_a_database_that_does_not_answer_is_one_line(
    settings: Settings, repository: Repository, snapshot: Snapshot
) -> None:
    """It names the database, and no password."""
    gone = Database.of("postgresql://prefect:hidden@127.0.0.1:1/prefect")

    with pytest.raises(SourceUnavailable, match=r"postgresql prefect@127\.0\.0\.1:1") as caught:
        plan(settings, repository, snapshot, gone)

    assert "hidden" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "step",
    [
        "waiting until nobody writes",
        "keeping what is there now",
        "waiting until nobody reads",
        "restoring",
        "verifying",
        "committing",
    ],
)
def test_a_killed_restore_leaves_everything_as_it_was(
    settings: Settings, snapshot: Snapshot, database: Database, step: str
) -> None:
    """No row, lock or session is left of it, and the next try succeeds."""
    before = content(database)

    assert -signal.SIGKILL == killed_at(step, _folder(settings), snapshot, database)

    wait_until(lambda: _alone(database), within=20, what="end of its sessions")
    assert before == content(database)
    repository_of(settings).ready()
    restored(settings, snapshot, database)
    assert [(69,)] == ask(database, _RUNS)


def _alone(database: Database) -> bool:
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    return [(1,)] == ask(database, sessions)


def test_killed_after_its_end_a_restore_stands(
    settings: Settings, snapshot: Snapshot, database: Database
) -> None:
    """What was committed is all there."""
    step = "gathering statistics"

    assert -signal.SIGKILL == killed_at(step, _folder(settings), snapshot, database)

    assert [(69,)] == ask(database, _RUNS)


def _folder(settings: Settings) -> Path:
    return settings.state_dir.parent


@contextmanager
def _reader(database: Database, name: str) -> Iterator[psycopg.Connection]:
    address = database.url.get_secret_value()
    with psycopg.connect(address, application_name=name) as connection:
        connection.execute(_RUNS.encode())
        yield connection


def _lock(connection: psycopg.Connection) -> None:
    connection.execute(restore_sql.begin().replace("'5s'", "'50ms'").encode())
    connection.execute(restore_sql.lock("ACCESS EXCLUSIVE").encode())


def test_what_goes_wrong_after_the_end_is_told_as_that(
    settings: Settings, databases: Databases, snapshot: Snapshot, database: Database
) -> None:
    """The database was restored: the error does not let anyone think otherwise."""

    def vanish(step: Step) -> None:
        if step.name == "gathering statistics":
            with databases.admin() as connection:
                connection.execute("ALTER DATABASE restored ALLOW_CONNECTIONS false")

    with pytest.raises(SourceUnavailable) as caught:
        restored(settings, snapshot, database, vanish)

    [note] = caught.value.__notes__
    assert "The database was restored; this went wrong after that" in note
    assert "what was there before is the snapshot" in note


def test_who_is_in_the_way_is_named(
    settings: Settings, snapshot: Snapshot, owned: Database
) -> None:
    """A session of another role is not ended, and keeps what it reads."""
    restored(settings, snapshot, owned)
    address = owned.url.get_secret_value()

    with (
        _reader(as_role(_SERVER, owned), "report") as reader,
        psycopg.connect(address, autocommit=True) as own,
    ):
        with pytest.raises(psycopg.errors.LockNotAvailable) as caught:
            _lock(own)

        process = f"{_SERVER} process {reader.info.backend_pid} report"
        assert f"the tables are in use by {process}" in str(caught.value)
        assert [(69,)] == reader.execute(_RUNS.encode()).fetchall()


def test_a_migration_that_hangs_is_no_reason_not_to_restore(
    settings: Settings, repository: Repository, snapshot: Snapshot, database: Database
) -> None:
    """Its runs are not counted, its session is ended, and what was there is kept."""
    address = database.url.get_secret_value()
    with psycopg.connect(address) as stuck:
        stuck.execute(b"LOCK TABLE flow_run, alembic_version IN ACCESS EXCLUSIVE MODE")

        text = str(plan(settings, repository, snapshot, database))
        result = restored(settings, snapshot, database)

        with pytest.raises(psycopg.OperationalError):
            stuck.execute(b"SELECT 1")
    assert "not counted flow runs, schema not known; kept as a snapshot first" in text
    assert result.safety is not None
    assert "59" == result.safety.tags["rows.flow_run"]
    assert [(69,)] == ask(database, _RUNS)


def test_what_came_into_an_empty_database_meanwhile_is_not_dropped(
    settings: Settings, snapshot: Snapshot, owned: Database
) -> None:
    """Nothing of it was kept: a server that was started too early is to be stopped."""

    def migrate(step: Step) -> None:
        if step.name == "waiting until nobody reads":
            ask(owned, "CREATE TABLE flow_run (id int)")
            ask(owned, "INSERT INTO flow_run VALUES (1)")

    with pytest.raises(SourceUnavailable, match="was empty, and has 1 tables now: stop what"):
        restored(settings, snapshot, owned, migrate)

    assert [(1,)] == ask(owned, _RUNS)


def test_what_cannot_be_kept_is_not_replaced(
    settings: Settings, snapshot: Snapshot, database: Database
) -> None:
    """The error says what to do in that case, in one line."""
    ask(database, "INSERT INTO alembic_version VALUES ('another')")
    before = content(database)

    with pytest.raises(SourceUnavailable, match="alembic_version has 2 rows") as caught:
        restored(settings, snapshot, database)

    [note] = caught.value.__notes__
    assert note.startswith("Nothing was replaced")
    assert note.endswith("or restore into a new, empty database.")
    assert before == content(database)


def test_no_limit_of_the_role_ends_a_restore(owned: Database) -> None:
    """Of all those that the server knows; one of them came with PostgreSQL 17."""
    known = (
        "SELECT name::text, setting FROM pg_settings"
        " WHERE name IN ('statement_timeout', 'idle_in_transaction_session_timeout',"
        " 'idle_session_timeout', 'transaction_timeout')"
    )
    admin = as_role("prefect", owned)
    for name, _ in ask(owned, known):
        ask(admin, f"ALTER ROLE {_OWNER} IN DATABASE owned SET {name} = '61s'")
    with psycopg.connect(owned.url.get_secret_value(), autocommit=True) as own:
        before = own.execute(known.encode()).fetchall()
        own.execute(restore_sql.begin().encode())
        after = own.execute(known.encode()).fetchall()

    assert {"61000"} == {limit for _, limit in before}
    assert [(name, "0") for name, _ in before] == after


def test_a_forgotten_session_of_the_own_role_is_ended(database: Database) -> None:
    """Such as a psql that somebody left open in a transaction."""
    address = database.url.get_secret_value()
    with psycopg.connect(address) as forgotten, psycopg.connect(address, autocommit=True) as own:
        forgotten.execute(_RUNS.encode())

        _lock(own)

        with pytest.raises(psycopg.OperationalError):
            forgotten.execute(b"SELECT 1")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_full_disk_undoes_everything(
    databases: Databases, settings: Settings, snapshot: Snapshot
) -> None:
    """The old rows are there, and are replaced once there is room."""
    with _small_disk(databases) as folder, databases.admin() as connection:
        connection.execute(f"CREATE TABLESPACE small LOCATION '{folder / 'space'}'".encode())
        connection.execute(b"CREATE DATABASE cramped TEMPLATE filled TABLESPACE small")
        cramped = Database.of(databases.postgres.url("cramped"))
        try:
            ask(cramped, _LOSE)
            before = content(cramped)
            ballast = folder / "ballast"
            ballast.write_bytes(bytes(shutil.disk_usage(folder).free - 1_000_000))

            with pytest.raises(NoSpace, match="No space left on device"):
                restored(settings, snapshot, cramped)
            assert before == content(cramped)

            ballast.unlink()
            restored(settings, snapshot, cramped)
            assert [(69,)] == ask(cramped, _RUNS)
        finally:
            connection.execute(b"DROP DATABASE cramped WITH (FORCE)")
            connection.execute(b"DROP TABLESPACE small")


@contextmanager
def _small_disk(databases: Databases) -> Iterator[Path]:
    folder = databases.sandbox.folder / "small"
    folder.mkdir(mode=0o711)
    options = ["-t", "tmpfs", "-o", "size=60m,mode=711", "tmpfs", str(folder)]
    if subprocess.run(["mount", *options], check=False).returncode:
        pytest.skip("this container may not mount")
    try:
        (folder / "space").mkdir(mode=0o700)
        shutil.chown(folder / "space", "postgres")
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_an_older_schema_is_restored_and_can_be_upgraded(
    databases: Databases, settings: Settings, repository: Repository, database: Database
) -> None:
    """Over a newer one; the result says what must be run, and that then works."""
    with databases.copy("older", "template0") as older:
        _prefect(databases, older, "upgrade", "-y", "-r", _OLDER)
        snapshot = saved(older, repository)

    result = restored(settings, snapshot, database)

    assert [(_OLDER,)] == ask(database, "SELECT version_num FROM alembic_version")
    assert "prefect server database upgrade" in str(result)
    _prefect(databases, database, "upgrade", "-y")
    assert [("d4a7e1c93f52",)] == ask(database, "SELECT version_num FROM alembic_version")


def _prefect(databases: Databases, database: Database, *arguments: str) -> None:
    url = database.url.get_secret_value().replace("postgresql:", "postgresql+asyncpg:")
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "server", "database", *arguments],
        env=databases.sandbox.prefect_environment(
            "upgrade", PREFECT_API_DATABASE_CONNECTION_URL=url
        ),
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_a_server_at_work_goes_on_with_what_was_restored(
    databases: Databases, settings: Settings, snapshot: Snapshot, database: Database
) -> None:
    """Each of its connections fails once at most, as its statements are of tables that are gone."""
    server = start_prefect_server(
        databases.sandbox,
        database_url=database.url.get_secret_value().replace("postgresql:", "postgresql+asyncpg:"),
        PREFECT_API_DATABASE_MIGRATE_ON_START="false",
        PREFECT_SERVER_ENCRYPTION_KEY=ENCRYPTION_KEY,
    )
    try:
        with server.client() as client:
            assert 59 == client.post("/flow_runs/count", json={}).json()

            restored(settings, snapshot, database)

            wait_until(lambda: _counts(client) == 69, within=20, what="the runs restored")
            [block] = client.post("/block_documents/filter", json={"include_secrets": True}).json()
            assert {"value": "not for everybody"} == block["data"]
    finally:
        server.process.stop()


def _counts(client: httpx.Client) -> object:
    answer = client.post("/flow_runs/count", json={})
    return answer.json() if answer.is_success else None
