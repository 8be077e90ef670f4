"""A dump of PostgreSQL holds what one transaction saw, and says so; or there is none."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from backup import tables
from backup.database import Database
from backup.errors import BackupError, SourceUnavailable
from backup.model import Kind, Manifest, Snapshot
from backup.postgres import PostgresSource, check_version
from backup.postgres_programs import Installed, newest
from backup.programs import Command, pipe
from backup.repository import Repository
from backup_databases import Databases
from backup_worlds import repository_of, settings_of
from certificates import certificate
from demo.postgres import start_postgres
from demo.processes import Program, free_port, wait_until

# The first of these tests waits for a database to be made and filled.
pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

_READER = "prefect_backup"
_PASSWORD = "no-word-of-this-anywhere"  # noqa: S105 - that is what is looked for
_POOLERS = """
[databases]
* = host=127.0.0.1 port={server} user=prefect
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
"""


@pytest.fixture(name="repository")
def _repository(tmp_path: Path) -> Repository:
    repository = repository_of(settings_of(tmp_path))
    repository.ready()
    return repository


@pytest.fixture(name="database")
def _database(databases: Databases) -> Iterator[Database]:
    """A database of Prefect's, read by a role that may do no more than that."""
    with databases.admin() as connection:
        connection.execute(
            f"""
            DO $$ BEGIN
              CREATE ROLE {_READER} LOGIN; GRANT pg_read_all_data TO {_READER};
              ALTER ROLE {_READER} SET default_transaction_read_only = on;
            EXCEPTION WHEN duplicate_object THEN NULL; END $$
            """.encode()
        )
    with databases.copy("dumped") as made:
        yield _as(_READER, made)


def _as(role: str, database: Database) -> Database:
    parts = database.conninfo()
    place = f"{parts['host']}:{parts['port']}/{parts['dbname']}"
    return Database.of(f"postgresql://{role}:{_PASSWORD}@{place}")


def _name(database: Database) -> str:
    return database.conninfo()["dbname"]


def _save(database: Database, repository: Repository) -> Snapshot:
    return PostgresSource(database, Path(), lock_seconds=1).save(repository)


def test_dump_says_what_it_holds(
    databases: Databases, database: Database, repository: Repository
) -> None:
    """Its tags are the schema and the rows of each table, and those are what comes out of it."""
    snapshot = _save(database, repository)
    [kept] = repository.snapshots(Kind.DATABASE)

    assert kept.id == snapshot.id
    assert "public" == kept.tags["pg_trgm"]
    expected = Manifest.from_tags(kept.tags)
    assert (69, 183) == (expected.rows["flow_run"], expected.rows["task_run"])
    assert expected == _restored(databases, repository, kept)


def test_counts_are_exact_while_rows_are_written(
    databases: Databases, database: Database, repository: Repository
) -> None:
    """However much is written meanwhile, a dump holds as many rows as it says."""
    with _writing(databases):
        snapshots = [_save(database, repository) for _ in range(3)]

    for snapshot in snapshots:
        expected = Manifest.from_tags(snapshot.tags)
        tables.compare(expected, _restored(databases, repository, snapshot))
    numbers = [int(each.tags["rows.log"]) for each in snapshots]
    assert sorted({*numbers}) == numbers


def test_database_without_prefect_is_refused(databases: Databases, repository: Repository) -> None:
    """An empty database is no backup of one."""
    with (
        databases.copy("empty", template="template0") as empty,
        pytest.raises(SourceUnavailable, match=r"no database of a Prefect server: it has no"),
    ):
        _save(empty, repository)

    assert [] == repository.snapshots(Kind.DATABASE)


def test_table_that_may_not_be_read_is_named(
    databases: Databases, database: Database, repository: Repository
) -> None:
    """A role without the right to one table makes no dump without it."""
    with databases.admin("dumped") as admin:
        admin.execute("DROP ROLE IF EXISTS half; CREATE ROLE half LOGIN")
        admin.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO half")
        admin.execute("REVOKE SELECT ON log FROM half")
    try:
        with pytest.raises(SourceUnavailable, match=r"role half may not read .* the table log: "):
            _save(_as("half", database), repository)
    finally:
        with databases.admin("dumped") as admin:
            admin.execute("DROP OWNED BY half; DROP ROLE half")

    assert [] == repository.snapshots(Kind.DATABASE)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("set_config(text, text, boolean)", "cannot be set up: permission denied"),
        ("pg_export_snapshot()", "could not be read: permission denied"),
    ],
)
def test_function_that_may_not_be_called_is_told(
    databases: Databases, database: Database, repository: Repository, function: str, said: str
) -> None:
    """A server that was made tight is no crash: what it refuses is one line."""
    with databases.admin("dumped") as admin:
        admin.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC".encode())

    with pytest.raises(SourceUnavailable, match=said):
        _save(database, repository)


def test_row_level_security_hides_nothing_silently(
    databases: Databases, database: Database, repository: Repository
) -> None:
    """Rows that a policy keeps from the role are no rows that are missing: it is an error."""
    with databases.admin("dumped") as admin:
        admin.execute("ALTER TABLE log ENABLE ROW LEVEL SECURITY")

    with pytest.raises(SourceUnavailable, match=r"the table log: .* BYPASSRLS"):
        _save(database, repository)


def test_locked_table_is_an_error_and_the_next_run_works(
    databases: Databases, database: Database, repository: Repository
) -> None:
    """A migration under way is waited for a while, and then it is said what to do: nothing."""
    with (
        _locked(databases, "flow_run"),
        pytest.raises(SourceUnavailable, match=r"lock on the table flow_run, .*tries again"),
    ):
        _save(database, repository)
    _save(database, repository)

    assert 1 == len(repository.snapshots(Kind.DATABASE))


def test_table_locked_for_pg_dump_alone_is_an_error(
    databases: Databases, database: Database, repository: Repository
) -> None:
    """As above, where the lock comes after the rows were counted."""
    with (
        _locked(databases, "Uncounted"),
        pytest.raises(SourceUnavailable, match=r"locked for 1 s, .*the next run tries again"),
    ):
        _save(database, repository)

    assert [] == repository.snapshots(Kind.DATABASE)


@pytest.mark.parametrize("ending", ["killed", "disconnected"])
def test_dump_that_ends_early_is_no_snapshot(
    databases: Databases, database: Database, repository: Repository, ending: str
) -> None:
    """Whether pg_dump or its connection is ended, there is an error, and no snapshot."""
    failed: list[BackupError] = []

    def save() -> None:
        try:
            PostgresSource(database, Path(), lock_seconds=60).save(repository)
        except BackupError as error:
            failed.append(error)

    with _locked(databases, "Uncounted"):
        saving = threading.Thread(target=save)
        saving.start()
        wait_until(lambda: _waiting(databases), within=30, what="a pg_dump that waits")
        if ending == "killed":
            _pg_dump_process().send_signal(signal.SIGKILL)
        else:
            with databases.admin() as admin:
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'pg_dump'"
                )
        saving.join(30)

    [error] = failed
    assert isinstance(error, SourceUnavailable)
    assert str(error).startswith("pg_dump failed: ")
    assert [] == repository.snapshots(Kind.DATABASE)


def test_password_is_seen_by_nobody(
    databases: Databases, database: Database, repository: Repository
) -> None:
    """It is in no argument and no environment of pg_dump's, nor in a file that outlives that."""
    source = PostgresSource(database, Path(), lock_seconds=60)
    with _locked(databases, "Uncounted"):
        saving = threading.Thread(target=source.save, args=[repository])
        saving.start()
        wait_until(lambda: _waiting(databases), within=30, what="a pg_dump that waits")
        dumping = _pg_dump_process()
        seen, environment = dumping.cmdline(), dumping.environ()
        file = Path(environment["PGPASSFILE"])
        held = _PASSWORD in file.read_text()
        mode = file.stat().st_mode & 0o777
    saving.join(60)

    assert (True, 0o600) == (held, mode)
    assert not file.parent.exists()
    assert _PASSWORD not in f"{seen} {environment}"


def test_server_that_does_not_answer_is_named(repository: Repository) -> None:
    """The message has the address without its password."""
    nobody = Database.of(f"postgresql://me:{_PASSWORD}@127.0.0.1:{free_port()}/prefect")

    with pytest.raises(SourceUnavailable) as failed:
        _save(nobody, repository)

    assert str(failed.value).startswith("postgresql me@127.0.0.1:")
    assert "Connection refused" in str(failed.value)
    assert _PASSWORD not in str(failed.value)


def test_newer_server_than_pg_dump_is_refused() -> None:
    """It says so before pg_dump does, and what is to be done."""
    program = Installed(Path("pg_dump"), 17)
    check_version(17, program)
    check_version(14, program)

    with pytest.raises(
        SourceUnavailable, match=r"^PostgreSQL 18 is newer than this image's pg_dump 17, "
    ):
        check_version(18, program)


def test_limits_of_the_role_do_not_end_a_dump(
    databases: Databases, database: Database, repository: Repository
) -> None:
    """Timeouts that are meant for a server's statements are not for this."""
    with databases.admin() as admin:
        admin.execute(f"ALTER ROLE {_READER} SET statement_timeout = '300ms'".encode())
        admin.execute(
            f"ALTER ROLE {_READER} SET idle_in_transaction_session_timeout = 100".encode()
        )
    try:
        snapshot = _save(database, repository)
    finally:
        with databases.admin() as admin:
            admin.execute(f"ALTER ROLE {_READER} RESET statement_timeout".encode())
            admin.execute(
                f"ALTER ROLE {_READER} RESET idle_in_transaction_session_timeout".encode()
            )

    assert Manifest.from_tags(snapshot.tags) == _restored(databases, repository, snapshot)


def test_certificate_of_the_server_is_verified(
    databases: Databases, repository: Repository, tmp_path: Path
) -> None:
    """A dump is made over TLS with sslmode=verify-full, and none where another is trusted."""
    folder = databases.scratch("certificates")
    files = certificate(folder)
    for file in files:
        shutil.chown(file, "postgres")
        file.chmod(0o600)
    other, _key = certificate(tmp_path, "other")
    server = start_postgres(
        databases.sandbox,
        name="tls",
        durable=False,
        ssl="on",
        ssl_cert_file=str(files[0]),
        ssl_key_file=str(files[1]),
    )
    try:
        _copy_over(databases, server.url())
        trusted = f"{server.url()}?sslmode=verify-full&sslrootcert="
        _save(Database.of(f"{trusted}{files[0]}"), repository)
        with pytest.raises(SourceUnavailable, match=r"certificate verify failed"):
            _save(Database.of(f"{trusted}{other}"), repository)
    finally:
        server.process.stop()

    assert 1 == len(repository.snapshots(Kind.DATABASE))


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_pooler_in_transaction_mode_is_refused(
    databases: Databases, database: Database, repository: Repository, mode: str
) -> None:
    """There pg_dump would leave its search_path to others; a pooler of sessions does no harm."""
    with _pgbouncer(databases, mode) as port:
        pooled = Database.of(f"postgresql://prefect@127.0.0.1:{port}/{_name(database)}")
        if mode == "session":
            _save(pooled, repository)
        else:
            with pytest.raises(SourceUnavailable, match=r"pooler in transaction mode.*own port"):
                _save(pooled, repository)

    assert (mode == "session") == bool(repository.snapshots(Kind.DATABASE))


def _restored(databases: Databases, repository: Repository, snapshot: Snapshot) -> Manifest:
    with databases.copy("restored", template="template0") as into:
        restore = [str(newest("pg_restore").path), "--schema=public", "--no-owner", "--dbname="]
        restore[-1] += into.url.get_secret_value()
        with databases.admin("restored") as connection:
            connection.execute("CREATE EXTENSION pg_trgm")
            pipe(repository.dump_command(snapshot), Command(argv=restore), timeout=60)
            return tables.manifest(connection)


@contextmanager
def _writing(databases: Databases) -> Iterator[None]:
    """Write log lines as fast as the server takes them, one by one."""
    stop, failed = threading.Event(), list[Exception]()

    def write() -> None:
        try:
            with databases.admin("dumped") as admin:
                while not stop.is_set():
                    admin.execute(
                        "INSERT INTO log (name, level, message, timestamp)"
                        " VALUES ('flow', 20, 'meanwhile', now())"
                    )
        except psycopg.Error as error:
            failed.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        stop.set()
        writer.join()
    assert not failed


@contextmanager
def _locked(databases: Databases, table: str) -> Iterator[None]:
    """Hold a lock on *table*, which is made where there is none, as a migration would."""
    with databases.admin("dumped") as admin:
        admin.execute(f'CREATE TABLE IF NOT EXISTS "{table}" (x int)'.encode())
        with admin.transaction():
            admin.execute(f'LOCK TABLE "{table}" IN ACCESS EXCLUSIVE MODE'.encode())
            yield


def _waiting(databases: Databases) -> bool:
    with databases.admin() as admin:
        row = admin.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE application_name = 'pg_dump' AND wait_event_type = 'Lock'"
        ).fetchone()
    return row == (1,)


def _pg_dump_process() -> psutil.Process:
    found = []
    for each in psutil.Process().children(recursive=True):
        # PostgreSQL's workers come and go meanwhile.
        with suppress(psutil.NoSuchProcess):
            if each.name() == "pg_dump":
                found.append(each)
    [process] = found
    return process


def _copy_over(databases: Databases, url: str) -> None:
    dump = Command(argv=["pg_dump", "--format=custom", databases.postgres.url("filled")])
    pipe(dump, Command(argv=["pg_restore", f"--dbname={url}"]), timeout=60)


@contextmanager
def _pgbouncer(databases: Databases, mode: str) -> Iterator[int]:
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program, "PgBouncer is not installed: apt-get install pgbouncer"
    port = free_port()
    file = databases.scratch("poolers") / f"{mode}.ini"
    file.write_text(_POOLERS.format(server=databases.postgres.port, port=port, mode=mode))
    file.chmod(0o644)

    def ready() -> bool:
        try:
            psycopg.connect(f"postgresql://prefect@127.0.0.1:{port}/dumped").close()
        except psycopg.OperationalError:
            return False
        return True

    process = databases.sandbox.start(
        Program(
            name=f"pgbouncer-{mode}",
            argv=[program, "-q", str(file)],
            env=databases.sandbox.environment(),
            ready=ready,
            user="postgres",
        )
    )
    try:
        yield port
    finally:
        process.stop()
