"""A PostgreSQL of somebody else: over TLS, behind a pooler, with an administrator of few rights."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from certificates import certificate
from demo.prefect_server import PrefectServer, start_prefect_server
from demo.sandbox import Sandbox
from managed_postgres import ROOT, Managed

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

_DEPLOY = ROOT / "deploy" / "prefect"
_CONNECTING = "PREFECT_SERVER_DATABASE_SQLALCHEMY_CONNECT_ARGS"
# As docker-compose.external-postgres.yml has it for prefect-api.
_POOLED = {
    f"{_CONNECTING}_STATEMENT_CACHE_SIZE": "0",
    f"{_CONNECTING}_PREPARED_STATEMENT_CACHE_SIZE": "0",
}
_FLOW = """
from prefect import flow, task

@task
def one(i):
    return i

@flow
def mapped():
    one.map(range(5)).result()

mapped()
"""
_EXTENSIONS = (
    "CREATE SCHEMA extensions",
    "CREATE EXTENSION pg_trgm SCHEMA extensions",
    "GRANT USAGE ON SCHEMA extensions TO admin WITH GRANT OPTION",
)


@pytest.fixture(name="sandbox", scope="module")
def _sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture(name="managed", scope="module")
def _managed(sandbox: Sandbox) -> Managed:
    """A server with the databases `prefect`, `apart` (extensions in a schema) and `bare`."""
    managed = Managed.start(sandbox)
    managed.create_database("prefect")
    managed.create_database("apart", *_EXTENSIONS)
    managed.create_database("bare")
    for database in ("prefect", "apart"):
        done = managed.make_roles(database)
        assert (done.returncode, done.stderr) == (0, "")
    return managed


def _check(managed: Managed, database: str, **settings: str) -> tuple[int, str]:
    """Return how check_database.py ends as the owner of the tables, and what it says."""
    env = managed.settings("prefect_owner", database) | settings
    done = subprocess.run(
        [sys.executable, str(_DEPLOY / "check_database.py")],
        check=False,
        capture_output=True,
        text=True,
        env=managed.sandbox.prefect_environment("check", **env),
    )
    return done.returncode, done.stderr


def _migrate(managed: Managed, database: str) -> None:
    """Do what prefect-migrate does, straight to the server."""
    env = managed.sandbox.prefect_environment(
        "migrate", **managed.settings("prefect_owner", database)
    )
    path = f"{Path(sys.executable).parent}:{env['PATH']}"
    subprocess.run(
        ["sh", str(_DEPLOY / "migrate.sh")],
        check=True,
        capture_output=True,
        env=env | {"PATH": path},
    )


@pytest.fixture(name="pooled", scope="module")
def _pooled(sandbox: Sandbox, managed: Managed) -> PrefectServer:
    """A server with its services, whose every connection goes through a pooler of transactions."""
    _migrate(managed, "prefect")
    port = managed.start_pooler("prefect")
    account = f"prefect:{managed.password('prefect')}"
    # Any: keyword arguments of which most are settings.
    settings: dict[str, Any] = managed.settings("prefect", "prefect", port) | _POOLED
    return start_prefect_server(
        sandbox,
        database_url=f"postgresql+asyncpg://{account}@127.0.0.1:{port}/prefect",
        PREFECT_API_DATABASE_MIGRATE_ON_START="false",
        PREFECT_SERVER_REGISTER_BLOCKS_ON_START="false",
        **settings,
    )


@pytest.mark.parametrize("database", ["prefect", "apart"])
def test_roles_need_no_superuser(managed: Managed, database: str) -> None:
    """The script runs a second time, too, and Prefect then finds what it needs."""
    again = managed.make_roles(database)

    assert (again.returncode, again.stderr) == (0, "")
    assert (0, "") == _check(managed, database)


def test_extension_in_a_schema_of_its_own_is_found(managed: Managed) -> None:
    """Where extensions stand apart, migrations build their indexes and a server could search."""
    _migrate(managed, "apart")

    found = managed.ask("prefect", "apart", "SELECT count(*) FROM flow WHERE name % 'x'")
    assert (found.returncode, found.stdout) == (0, "0\n")


@pytest.mark.parametrize(
    ("database", "settings", "told"),
    [
        ("bare", {}, "prefect_owner may not make tables in the schema public: run "),
        ("prefect", {"PREFECT_SERVER_DATABASE_HOST": "localhost"}, "Hostname mismatch"),
        ("prefect", {"PREFECT_SERVER_DATABASE_PASSWORD": "x"}, "it refuses the role (password"),
    ],
    ids=["rights", "host", "password"],
)
def test_what_is_wrong_is_one_line(
    managed: Managed, database: str, settings: dict[str, str], told: str
) -> None:
    """It names the server and what is wrong, and no password."""
    code, line = _check(managed, database, **settings)

    assert (2, 1) == (code, line.count("\n")), line
    assert line.startswith("PostgreSQL at ")
    assert told in line
    assert managed.password("prefect_owner") not in line


@pytest.mark.parametrize("authority", ["another", "none"])
def test_wrong_authority_is_one_line(managed: Managed, tmp_path: Path, authority: str) -> None:
    """Nothing is sent to a server whose certificate nobody vouches for."""
    path, _ = certificate(tmp_path, authority)
    if authority == "none":
        path.write_text("")

    code, line = _check(managed, "prefect", **{f"{_CONNECTING}_TLS_CA_FILE": str(path)})

    assert (2, 1) == (code, line.count("\n")), line
    assert "postgres_ca.pem must hold who signed" in line


def test_flows_run_through_a_pooler_of_transactions(
    managed: Managed, pooled: PrefectServer
) -> None:
    """Many clients on four connections, and a flow with tasks: nothing fails, all is kept."""
    subprocess.run(
        [sys.executable, "-c", _FLOW],
        check=True,
        capture_output=True,
        env=managed.sandbox.prefect_environment("flow", **pooled.client_environment),
    )
    with pooled.client() as client, ThreadPoolExecutor(12) as threads:
        known = client.post("/flows/", json={"name": "many"}).json()["id"]
        answers = list(threads.map(lambda _: _run_through(pooled, known), range(60)))

    assert [200] * 60 == answers
    ended = "SELECT count(*) FROM flow_run WHERE state_type = 'COMPLETED'"
    assert "61\n" == managed.ask("prefect", "prefect", ended).stdout
    log = (managed.sandbox.folder / "logs" / "prefect-server.log").read_text()
    assert [] == re.findall(r"prepared statement.*|.*ERROR.*", log)


def _run_through(server: PrefectServer, flow: str) -> int:
    """Take a run from its beginning to its end; return the last answer's status."""
    with server.client() as client:
        run = client.post("/flow_runs/", json={"flow_id": flow, "state": {"type": "PENDING"}})
        done = run
        for state in ("RUNNING", "COMPLETED"):
            path = f"/flow_runs/{run.json()['id']}/set_state"
            done = client.post(path, json={"state": {"type": state}})
        return httpx.codes.OK if done.is_success else done.status_code


def test_connections_are_shared(managed: Managed, pooled: PrefectServer) -> None:
    """The server has no more connections than the pooler is let have."""
    assert pooled.process.running
    sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'prefect'"

    assert int(managed.ask("admin", "prefect", sql).stdout) <= 4


def test_backup_dumps_without_a_superuser(
    managed: Managed, pooled: PrefectServer, tmp_path: Path
) -> None:
    """Over verified TLS, all of `public` and nothing beside it; it writes nothing."""
    assert pooled.process.running
    dump = tmp_path / "dump"
    dump.touch()
    command = ["pg_dump", "--format=custom", "--schema=public", "--no-owner", "--no-acl"]
    done = managed.run("prefect_backup", "prefect", *command, f"--file={dump}")
    listed = managed.run("prefect_backup", "prefect", "pg_restore", "--list", str(dump)).stdout

    assert (0, "") == (done.returncode, done.stderr)
    assert "TABLE DATA public flow_run " in listed
    assert "prefect_observability" not in listed
    written = managed.ask("prefect_backup", "prefect", "BEGIN READ WRITE; DELETE FROM flow")
    assert "permission denied" in written.stderr


def test_exporter_tells_ages_and_reads_no_row(managed: Managed, pooled: PrefectServer) -> None:
    """What growth.py made for it works without a superuser, too."""
    assert pooled.process.running
    told = managed.ask(
        "postgres_exporter", "prefect", 'SELECT "table" FROM prefect_observability.tables()'
    )
    row = managed.ask("postgres_exporter", "prefect", "TABLE public.flow_run")

    assert {"events", "event_resources"} <= set(told.stdout.split())
    assert "permission denied" in row.stderr
