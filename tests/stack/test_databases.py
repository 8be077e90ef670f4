"""The profile `server` on a PostgreSQL of somebody else, and on its own behind PgBouncer."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from certificates import certificate
from stack.compose import ROOT, Stack
from stack.installing import installed

pytestmark = pytest.mark.stack

_ADMIN = "host=managed dbname=prefect user=admin password=admin sslmode=verify-full"
_ROLES = (
    f"cd /managed && psql '{_ADMIN} sslrootcert=postgres_ca.pem' -X -q -f /roles/external-roles.sql"
)
_SERVICES = ("prefect-proxy", "prefect-services", "postgres-exporter")


@pytest.fixture(name="external", scope="module")
def _external(absent: list[str]) -> Iterator[Stack]:
    """All of it on a PostgreSQL that takes TLS alone and gives no superuser."""
    told = {"EXTERNAL_POSTGRES_HOST": "managed", "EXTERNAL_POSTGRES_STATEMENT_CACHE": "100"}
    with installed("external", absent, **told) as stack:
        overrides = [ROOT / "docker-compose.external-postgres.yml", _managed(stack)]
        served = replace(stack.having("server"), overrides=overrides)
        served.up("managed")
        served.compose("exec", "--no-TTY", "managed", "bash", "-euc", _ROLES)
        served.up(*_SERVICES)
        yield served


@pytest.fixture(name="pooled", scope="module")
def _pooled(absent: list[str]) -> Iterator[Stack]:
    """All of it with PgBouncer before the bundled PostgreSQL."""
    with installed("pooled", absent) as stack:
        override = ROOT / "docker-compose.pgbouncer.yml"
        served = replace(stack.having("server"), overrides=[override])
        served.up(*_SERVICES)
        yield served


def _managed(stack: Stack) -> Path:
    """Write a Compose file with such a PostgreSQL, whose certificate the stack trusts."""
    secrets, init = stack.folder / "secrets", stack.folder / "init.sql"
    crt, _ = certificate(secrets, "managed")
    (secrets / "postgres_ca.pem").write_bytes(crt.read_bytes())
    # Who owns the secrets is to own these.
    subprocess.run([stack.folder / "scripts" / "secrets"], check=True, capture_output=True)
    init.write_text(
        "CREATE ROLE admin LOGIN CREATEROLE PASSWORD 'admin'; CREATE DATABASE prefect OWNER admin;"
    )
    path = stack.folder / "managed.yml"
    path.write_text(yaml.safe_dump({"services": {"managed": _service(secrets, init)}}))
    return path


def _service(secrets: Path, init: Path) -> Mapping[str, object]:
    images = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["x-images"]
    tls = {
        "ssl": "on",
        "ssl_cert_file": "/managed/managed.crt",
        "ssl_key_file": "/managed/managed.key",
    }
    ask = ["CMD", "pg_isready", "-q", "-h", "127.0.0.1", "-U", "postgres"]
    return {
        "image": images["postgres"],
        "user": "${STACK_UID}:${STACK_GID}",
        "profiles": ["server"],
        "command": [part for name, value in tls.items() for part in ("-c", f"{name}={value}")],
        "environment": {"POSTGRES_PASSWORD": "x", "PGDATA": "/data/managed"},
        "healthcheck": {"test": ask, "interval": "2s", "retries": 60},
        "tmpfs": ["/data:mode=1777", "/var/run/postgresql"],
        "volumes": [
            f"{secrets}:/managed:ro",
            f"{init}:/docker-entrypoint-initdb.d/init.sql:ro",
            f"{ROOT / 'deploy' / 'prefect'}:/roles:ro",
        ],
        "networks": ["edge"],
    }


def _run_through(stack: Stack) -> str:
    """Take a run from its beginning to its end through the proxy; return its state."""
    with stack.prefect() as prefect:
        flow = prefect.post("/flows/", json={"name": "one"}).json()["id"]
        begun = {"flow_id": flow, "state": {"type": "PENDING"}}
        path = f"/flow_runs/{prefect.post('/flow_runs/', json=begun).json()['id']}"
        for state in ("RUNNING", "COMPLETED"):
            answer = prefect.post(f"{path}/set_state", json={"state": {"type": state}})
            answer.raise_for_status()
        return str(prefect.get(path).json()["state_type"])


def _metrics(stack: Stack) -> str:
    url = "http://127.0.0.1:9187/metrics"
    asking = ("postgres-exporter", "/probe/wget", "-q", "-O", "-", url)
    return stack.compose("exec", "--no-TTY", *asking)


def _ask(stack: Stack, sql: str) -> str:
    """Return what the external PostgreSQL answers to its superuser."""
    asking = ("managed", "psql", "-U", "postgres", "-d", "prefect", "-X", "-A", "-t", "-c", sql)
    return stack.compose("exec", "--no-TTY", *asking)


def test_external_postgres_has_it_all(external: Stack) -> None:
    """Runs are there and nowhere else: the bundled one has no container."""
    assert "COMPLETED" == _run_through(external)
    assert "1\n" == _ask(external, "SELECT count(*) FROM flow_run")
    assert [] == external.containers("postgres")


def test_every_connection_to_it_is_encrypted(external: Stack) -> None:
    """And each tells whose it is."""
    # The exporter connects when it is asked.
    _metrics(external)
    sql = "SELECT usename, application_name, ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
    found = {
        tuple(line.split("|"))
        for line in _ask(external, f"{sql} WHERE client_addr IS NOT NULL").split()
    }

    assert {
        ("prefect", "prefect-api", "t"),
        ("prefect", "prefect-services", "t"),
        ("postgres_exporter", "", "t"),
    } <= found
    assert {"t"} == {ssl for *_, ssl in found}


def test_external_postgres_is_watched(external: Stack) -> None:
    """Its exporter reaches it, and how old rows are is known."""
    metrics = _metrics(external)

    assert "\npg_up 1\n" in metrics
    assert {"events", "event_resources"} <= set(
        re.findall(r'^prefect_table_oldest_row_age_seconds\{.*table="(\w+)"', metrics, re.MULTILINE)
    )


def test_runs_pass_through_the_pooler(pooled: Stack) -> None:
    """PostgreSQL has connections of PgBouncer and of the services, and of no replica."""
    states = {_run_through(pooled) for _ in range(20)}

    assert {"COMPLETED"} == states
    sql = "SELECT DISTINCT host(client_addr) FROM pg_stat_activity WHERE usename = 'prefect'"
    shell = f'PGPASSWORD=$(cat /run/secrets/postgres_password) psql -U postgres -A -t -c "{sql}"'
    found = pooled.compose("exec", "--no-TTY", "postgres", "bash", "-euc", shell)
    clients = pooled.containers("pgbouncer", "prefect-services")
    assert {each.address("data") for each in clients} == set(found.split())
    logs = "".join(replica.log() for replica in pooled.containers("prefect-api"))
    assert "prepared statement" not in logs


def test_no_password_is_in_the_pooler(pooled: Stack) -> None:
    """Neither in what `docker inspect` shows nor in its log."""
    container = pooled.container("pgbouncer")

    assert pooled.secret("prefect_db_password") not in str(container.inspected) + container.log(
        tail=500
    )
