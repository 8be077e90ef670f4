"""deploy/prefect: how secrets reach Prefect, and who may do what in its PostgreSQL."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo.postgres import find_postgres
from demo.prefect_server import start_prefect_server
from demo.processes import Program, answers, free_port
from demo.sandbox import Sandbox

_ROOT = Path(__file__).parents[2]
_DEPLOY = _ROOT / "deploy"
_ROLES = ("postgres", "prefect_owner", "prefect_db", "postgres_exporter", "backup")


def _entrypoint(*command: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(_DEPLOY / "prefect" / "entrypoint.sh"), *command],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]} | dict(env),
    )


@pytest.mark.parametrize(
    ("content", "value"),
    [("plain\n", "plain"), ("a b $HOME `id` \\n'\"", "a b $HOME `id` \\n'\""), ("x\n\n", "x")],
    ids=["newline", "shell", "newlines"],
)
def test_entrypoint_gives_a_secret_as_it_is(tmp_path: Path, content: str, value: str) -> None:
    """Nothing in a value is expanded; the newline at its end is no part of it."""
    file = tmp_path / "secret"
    file.write_text(content)

    done = _entrypoint(
        "sh",
        "-c",
        'printf "%s|%s" "$PREFECT_API_AUTH_STRING" "${PREFECT_API_AUTH_STRING_FILE-none}"',
        env={"PREFECT_API_AUTH_STRING_FILE": str(file)},
    )

    assert done.stdout == f"{value}|none"


@pytest.mark.parametrize("content", [None, "", "\n"], ids=["missing", "empty", "blank"])
def test_entrypoint_says_which_secret_is_not_there(tmp_path: Path, content: str | None) -> None:
    """One line names the variable, the file and what makes it; nothing is started."""
    file = tmp_path / "secret"
    if content is not None:
        file.write_text(content)

    done = _entrypoint("echo", "started", env={"PREFECT_SERVER_ENCRYPTION_KEY_FILE": str(file)})

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"PREFECT_SERVER_ENCRYPTION_KEY_FILE={file}" in done.stderr
    assert "make secrets" in done.stderr


def _docket_url(tmp_path: Path, password: str, url: str) -> str:
    file = tmp_path / "password"
    file.write_text(password)
    return _entrypoint(
        "printenv",
        "PREFECT_SERVER_DOCKET_URL",
        env={
            "PREFECT_REDIS_MESSAGING_PASSWORD_FILE": str(file),
            "PREFECT_SERVER_DOCKET_URL": url,
        },
    ).stdout.strip()


def test_entrypoint_puts_the_password_into_the_address_of_redis(tmp_path: Path) -> None:
    """Encoded, so that no character of it is taken for a part of the address."""
    address = _docket_url(tmp_path, "a:/@%", "redis://prefect@redis:6379/1")

    assert address == "redis://prefect:%61%3a%2f%40%25@redis:6379/1"


@pytest.mark.parametrize("url", ["redis://redis:6379/1", "redis://u:own@redis:6379/1", "memory://"])
def test_entrypoint_leaves_another_address_alone(tmp_path: Path, url: str) -> None:
    """Only one that names a user and no password is completed."""
    assert url == _docket_url(tmp_path, "password", url)


def test_no_secret_is_an_argument_of_a_program(tmp_path: Path) -> None:
    """Whoever lists processes sees none, also not those that encode it."""
    seen = tmp_path / "seen"
    spy = tmp_path / "od"
    spy.write_text(
        f"#!/bin/sh\ncat /proc/$PPID/cmdline /proc/$$/cmdline >>{seen}\n"
        f'exec {shutil.which("od")} "$@"\n'
    )
    spy.chmod(0o755)
    password = secrets.token_hex()
    file = tmp_path / "password"
    file.write_text(password)

    done = _entrypoint(
        "cat",
        "/proc/self/cmdline",
        env={
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "PREFECT_REDIS_MESSAGING_PASSWORD_FILE": str(file),
            "PREFECT_SERVER_DOCKET_URL": "redis://prefect@redis",
        },
    )

    assert done.returncode == 0
    assert b"entrypoint.sh" in seen.read_bytes()
    assert password.encode() not in seen.read_bytes() + done.stdout.encode()


@dataclass(frozen=True)
class _Database:
    """A PostgreSQL with the roles of the stack."""

    programs: Path
    socket: Path
    port: int
    secrets: Path

    def password(self, role: str) -> str:
        """Return the password of a role, as its clients read it."""
        name = {"prefect": "prefect_db", "prefect_backup": "backup"}.get(role, role)
        return (self.secrets / f"{name}_password").read_text().strip()

    def run(
        self, role: str, sql: str, *, database: str = "prefect", host: str = "127.0.0.1"
    ) -> subprocess.CompletedProcess[str]:
        """Run a statement as *role*, by network or, where *host* is a folder, by its socket."""
        address = f"host={host} port={self.port} user={role} dbname={database}"
        return subprocess.run(
            [str(self.programs / "psql"), "-X", "-A", "-t", "-d", address, "-c", sql],
            check=False,
            capture_output=True,
            text=True,
            env={"PGPASSWORD": self.password(role)},
        )

    def make_roles(self) -> subprocess.CompletedProcess[str]:
        """Run 10-roles.sh as the image does at the first start."""
        return subprocess.run(
            ["bash", str(_DEPLOY / "prefect" / "postgres" / "10-roles.sh")],
            check=False,
            capture_output=True,
            text=True,
            env={
                "PATH": f"{self.programs}:{os.environ['PATH']}",
                "PGHOST": str(self.socket),
                "PGPORT": str(self.port),
                "SECRETS": str(self.secrets),
            },
        )

    def url(self, role: str) -> str:
        """Return the address as Prefect takes it."""
        account = f"{role}:{self.password(role)}"
        return f"postgresql+asyncpg://{account}@127.0.0.1:{self.port}/prefect"


@pytest.fixture(name="sandbox", scope="module")
def _sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture(name="database", scope="module")
def _database(sandbox: Sandbox) -> _Database:
    """The stack's PostgreSQL with its own configuration, but for where its files are."""
    programs = find_postgres()
    assert programs is not None, "PostgreSQL is not installed: apt-get install postgresql"
    files = sandbox.subfolder("secrets")
    for role in _ROLES:
        (files / f"{role}_password").write_text(f"{secrets.token_hex()}\n")
    database = _Database(programs, sandbox.subfolder("postgres"), free_port(), files)
    _start(sandbox, database)
    done = database.make_roles()
    assert (done.returncode, done.stderr) == (0, "")
    return database


def _start(sandbox: Sandbox, database: _Database) -> None:
    user = "postgres" if os.geteuid() == 0 else None
    folder = database.socket
    shutil.copy(_DEPLOY / "prefect" / "pg_hba.conf", folder)
    (folder / "password").write_text(database.password("postgres"))
    for path in (folder, folder / "pg_hba.conf", folder / "password"):
        if user is not None:
            shutil.chown(path, user)
    data = folder / "data"
    subprocess.run(
        [
            str(database.programs / "initdb"),
            f"--pgdata={data}",
            "--username=postgres",
            "--auth=scram-sha-256",
            f"--pwfile={folder / 'password'}",
            "--no-sync",
        ],
        check=True,
        capture_output=True,
        user=user,
        cwd=folder,
    )
    settings = (
        f"config_file={_DEPLOY / 'prefect' / 'postgresql.conf'}",
        f"hba_file={folder / 'pg_hba.conf'}",
        f"unix_socket_directories={folder}",
        "listen_addresses=127.0.0.1",
        f"port={database.port}",
        "fsync=off",
    )
    ready = [str(database.programs / "pg_isready"), "-q", "-h", "127.0.0.1"]
    ready.append(f"--port={database.port}")
    sandbox.start(
        Program(
            name="postgres",
            argv=[str(database.programs / "postgres"), "-D", str(data)]
            + [part for one in settings for part in ("-c", one)],
            env=sandbox.environment(LC_ALL="C.UTF-8"),
            ready=lambda: subprocess.run(ready, check=False).returncode == 0,
            user=user,
        )
    )


@pytest.mark.real
class TestRoles:
    """Who may do what in the bundled PostgreSQL."""

    @pytest.fixture(name="table", autouse=True)
    def _table(self, database: _Database) -> Iterator[None]:
        """A table that a migration has made, with one row."""
        made = database.run(
            "prefect_owner", "CREATE TABLE one (id int); INSERT INTO one VALUES (1)"
        )
        assert made.returncode == 0, made.stderr
        yield
        database.run("prefect_owner", "DROP TABLE one")

    def test_the_server_reads_and_writes_rows(self, database: _Database) -> None:
        """Of tables that migrations make after the roles."""
        sql = "INSERT INTO one VALUES (2); UPDATE one SET id = 3; DELETE FROM one; TABLE one"

        assert database.run("prefect", sql).returncode == 0

    @pytest.mark.parametrize(
        "sql",
        [
            "CREATE TABLE mine (id int)",
            "CREATE TEMPORARY TABLE mine (id int)",
            "ALTER TABLE one ADD COLUMN x int",
            "DROP TABLE one",
            "TRUNCATE one",
            "CREATE SCHEMA mine",
            "COPY one TO PROGRAM 'id'",
            "SELECT pg_read_file('/etc/passwd')",
            "SET ROLE prefect_owner",
        ],
    )
    def test_the_server_changes_no_schema(self, database: _Database, sql: str) -> None:
        """Nor anything outside its rows."""
        done = database.run("prefect", sql)

        assert done.returncode == 1
        assert "permission denied" in done.stderr or "must be" in done.stderr

    def test_the_exporter_reads_statistics_and_no_row(self, database: _Database) -> None:
        """pg_monitor, and nothing else."""
        statistics = database.run("postgres_exporter", "SELECT count(query) FROM pg_stat_activity")
        row = database.run("postgres_exporter", "TABLE public.one")

        assert statistics.returncode == 0
        assert "permission denied" in row.stderr

    def test_the_backup_reads_every_row_and_writes_none(self, database: _Database) -> None:
        """Also where it asks for a transaction that may write."""
        dumped = subprocess.run(
            [
                str(database.programs / "pg_dump"),
                "--host=127.0.0.1",
                f"--port={database.port}",
                "--username=prefect_backup",
                "prefect",
            ],
            check=False,
            capture_output=True,
            text=True,
            env={"PGPASSWORD": database.password("prefect_backup")},
        )
        written = database.run("prefect_backup", "BEGIN READ WRITE; DELETE FROM one")

        assert "COPY public.one (id) FROM stdin;\n1\n" in dumped.stdout
        assert "permission denied" in written.stderr

    def test_the_superuser_does_not_come_by_network(self, database: _Database) -> None:
        """Its password is good by the socket alone, and none is not."""
        by_network = database.run("postgres", "SELECT 1")
        by_socket = database.run("postgres", "SELECT 1", host=str(database.socket))

        assert "no pg_hba.conf entry" in by_network.stderr
        assert by_socket.stdout == "1\n"

    def test_no_role_comes_without_its_password(self, database: _Database) -> None:
        """Not even from the same machine."""
        address = f"host=127.0.0.1 port={database.port} user=prefect dbname=prefect"
        done = subprocess.run(
            [str(database.programs / "psql"), "-X", "-w", "-d", address, "-c", "SELECT 1"],
            check=False,
            capture_output=True,
            env={},
        )

        assert done.returncode == 2

    def test_a_new_password_holds_once_the_script_has_run_again(self, database: _Database) -> None:
        """Rotation: the old one is refused, rows and rights stay."""
        file = database.secrets / "postgres_exporter_password"
        file.write_text("it's $new\\\n")

        refused = database.run("postgres_exporter", "SELECT 1")
        done = database.make_roles()

        assert "password authentication failed" in refused.stderr
        assert (done.returncode, done.stderr) == (0, "")
        assert database.run("postgres_exporter", "SELECT 1").stdout == "1\n"
        assert database.run("prefect", "TABLE one").stdout == "1\n"

    def test_no_password_is_in_the_log(self, database: _Database, sandbox: Sandbox) -> None:
        """Statements that set one are not written, however long they take."""
        log = (sandbox.folder / "logs" / "postgres.log").read_text()

        assert not [role for role in _ROLES if _password_of(database, role) in log]

    def test_a_missing_password_is_one_line(self, database: _Database, tmp_path: Path) -> None:
        """It names the file and what makes it."""
        there = tmp_path / "secrets"
        shutil.copytree(database.secrets, there)
        (there / "backup_password").write_text("")

        elsewhere = _Database(database.programs, database.socket, database.port, there)
        done = elsewhere.make_roles()

        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert "backup_password" in done.stderr


def _password_of(database: _Database, name: str) -> str:
    return (database.secrets / f"{name}_password").read_text().strip()


@pytest.mark.real
@pytest.mark.timeout(300)
def test_prefect_needs_no_more_than_its_role(sandbox: Sandbox, database: _Database) -> None:
    """Migrated and filled by the owner, a server runs a flow as the role that owns nothing."""
    owner = {"PREFECT_API_DATABASE_CONNECTION_URL": database.url("prefect_owner")}
    for command in (
        ["-m", "prefect", "server", "database", "upgrade", "-y"],
        [str(_DEPLOY / "prefect" / "register_blocks.py")],
    ):
        subprocess.run(
            [sys.executable, *command],
            check=True,
            capture_output=True,
            env=sandbox.prefect_environment("owner", **owner),
        )
    server = start_prefect_server(
        sandbox,
        database_url=database.url("prefect"),
        auth="admin:secret",
        PREFECT_API_DATABASE_MIGRATE_ON_START="false",
        PREFECT_SERVER_REGISTER_BLOCKS_ON_START="false",
    )
    flow = "from prefect import flow\n\n@flow\ndef one():\n    return 1\n\none()\n"
    subprocess.run(
        [sys.executable, "-c", flow],
        check=True,
        capture_output=True,
        env=sandbox.prefect_environment("flow", **server.client_environment),
    )

    with server.client() as client:
        [run] = client.post("/flow_runs/filter", json={}).json()
        blocks = client.post("/block_types/filter", json={}).json()
    assert run["state_type"] == "COMPLETED"
    assert "secret" in {block["slug"] for block in blocks}
    log = (sandbox.folder / "logs" / "prefect-server.log").read_text()
    assert "permission denied" not in log
    assert answers(server.process.program.ready)
