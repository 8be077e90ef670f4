"""deploy/prefect/growth.py: how old rows are, told to who may read none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from demo.processes import Program, answers_at, free_port
from demo.sandbox import Sandbox
from managed_postgres import ROOT, Managed
from monitoring import tool
from queried_metrics import QUERIES, queried_metrics

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

_DAY = 86_400.0
_AGES = 'SELECT "table", round(oldest_row_age_seconds / 86400), retention_seconds / 86400'
_TOLD = f"{_AGES} FROM prefect_observability.tables() ORDER BY 1"
_EVENT = """
INSERT INTO events (id, occurred, received, recorded, event, resource_id,
    resource, related, payload, related_resource_ids)
SELECT gen_random_uuid(), now() - i * interval '1 day', now(), now(), 'e', 'r',
    '{}', '[]', '{}', '[]'
FROM generate_series(1, 10) AS i
"""
# The oldest that counts ended three days ago; older ones run on, or belong to another run.
_RUNS = """
INSERT INTO flow (id, name) VALUES ('00000000-0000-0000-0000-000000000001', 'f');
INSERT INTO flow_run (id, name, flow_id, state_type, end_time)
SELECT gen_random_uuid(), 'n', id, state::state_type, now() - days * interval '1 day'
FROM flow, (VALUES ('COMPLETED', 2), ('FAILED', 3), ('RUNNING', 50)) AS had (state, days);
"""
_SUBFLOW = """
INSERT INTO task_run (id, name, task_key, dynamic_key)
VALUES ('00000000-0000-0000-0000-000000000002', 't', 't', 't');
INSERT INTO flow_run (id, name, flow_id, state_type, end_time, parent_task_run_id)
SELECT gen_random_uuid(), 's', flow.id, 'COMPLETED', now() - interval '70 days', task_run.id
FROM flow, task_run
"""
_SCANS = "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'events'"


@pytest.fixture(name="sandbox", scope="module")
def _sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture(name="managed", scope="module")
def _managed(sandbox: Sandbox) -> Managed:
    """A database with Prefect's tables, and nothing in them."""
    managed = Managed.start(sandbox)
    managed.create_database("prefect")
    managed.make_roles("prefect")
    env = sandbox.prefect_environment("migrate", **managed.settings("prefect_owner", "prefect"))
    command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"]
    subprocess.run(command, check=True, capture_output=True, env=env)
    return managed


@pytest.fixture(name="filled", scope="module")
def _filled(managed: Managed) -> Managed:
    """The same with rows, and the function for both kinds of clean-up."""
    _grow(managed, PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED="events,flow_runs")
    assert ["event_resources|0|7", "events|0|7", "flow_run|0|90"] == _told(managed)
    for sql in (_EVENT, _RUNS):
        done = managed.ask("prefect_owner", "prefect", sql)
        assert done.returncode == 0, done.stderr
    return managed


def _grow(managed: Managed, **settings: str) -> subprocess.CompletedProcess[str]:
    env = managed.settings("prefect_owner", "prefect") | settings
    return subprocess.run(
        [sys.executable, str(ROOT / "deploy" / "prefect" / "growth.py")],
        check=True,
        capture_output=True,
        text=True,
        env=managed.sandbox.prefect_environment("grow", **env),
    )


def _told(managed: Managed) -> list[str]:
    """Return each table, days since its oldest row, and days that rows are kept."""
    return managed.ask("postgres_exporter", "prefect", _TOLD).stdout.splitlines()


def test_ages_are_those_of_what_is_pruned(filled: Managed) -> None:
    """Runs that have not ended are never pruned, so they are not overdue either."""
    assert ["event_resources|0|7", "events|10|7", "flow_run|3|90"] == _told(filled)


def test_subflows_wait_for_their_parents(filled: Managed) -> None:
    """A subflow's age does not count; once its parent's task run is gone it does."""
    sql = ["BEGIN", _SUBFLOW, _TOLD, "DELETE FROM task_run", _TOLD, "ROLLBACK"]
    done = filled.ask("prefect_owner", "prefect", "; ".join(sql))

    runs = [line for line in done.stdout.splitlines() if line.startswith("flow_run|")]
    assert ["flow_run|3|90", "flow_run|70|90"] == runs, done.stderr


def test_retention_is_what_the_server_has(filled: Managed) -> None:
    """A setting that changed holds from the next start; what nobody prunes is not told of."""
    _grow(filled, PREFECT_SERVER_EVENTS_RETENTION_PERIOD="3d")
    events_alone = _told(filled)
    _grow(filled, PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED="flow_runs")
    runs_alone = _told(filled)
    _grow(filled, PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED="events,flow_runs")

    assert ["event_resources|0|3", "events|10|3"] == events_alone
    assert ["flow_run|3|90"] == runs_alone


def test_exporter_has_the_metrics(filled: Managed, sandbox: Sandbox) -> None:
    """postgres_exporter itself makes them, under the names that alerts and boards read."""
    url = f"http://127.0.0.1:{free_port()}"
    program = Program(
        name="postgres-exporter",
        argv=[
            str(tool("postgres-exporter")),
            f"--extend.query-path={QUERIES}",
            f"--web.listen-address={url.removeprefix('http://')}",
        ],
        env=sandbox.environment(
            DATA_SOURCE_URI=f"127.0.0.1:{filled.port}/prefect?sslmode=verify-full"
            f"&sslrootcert={filled.secrets / 'postgres_ca.pem'}",
            DATA_SOURCE_USER="postgres_exporter",
            DATA_SOURCE_PASS=filled.password("postgres_exporter"),
        ),
        ready=answers_at(url),
    )
    sandbox.start(program)

    families = text_string_to_metric_families(httpx.get(f"{url}/metrics", trust_env=False).text)
    found = {each.name: each for each in families}
    told = {
        name: {sample.labels["table"]: sample.value for sample in found[name].samples}
        for name in queried_metrics()
    }
    assert {"prefect_table_oldest_row_age_seconds", "prefect_table_retention_seconds"} == set(told)
    assert {"events": 7 * _DAY, "event_resources": 7 * _DAY, "flow_run": 90 * _DAY} == told[
        "prefect_table_retention_seconds"
    ]
    assert 10 == round(told["prefect_table_oldest_row_age_seconds"]["events"] / _DAY)
    assert 0 == found["pg_exporter_last_scrape_error"].samples[0].value


def test_no_table_is_read_whole(filled: Managed) -> None:
    """The answer is at the end of an index, however many rows there are."""
    many = _EVENT.replace("'1 day'", "'1 second'").replace("(1, 10)", "(1, 100000)")
    assert filled.ask("prefect_owner", "prefect", f"{many}; ANALYZE events").returncode == 0
    before = _scans(filled)
    for _ in range(3):
        _told(filled)

    assert before == _scans(filled)


def _scans(managed: Managed) -> str:
    """Return how often the table of events was read whole until now."""
    sql = f"SELECT pg_stat_force_next_flush(); {_SCANS}"
    managed.ask("prefect_owner", "prefect", sql)
    return managed.ask("prefect_owner", "prefect", _SCANS).stdout


def test_it_outlives_the_tables(filled: Managed) -> None:
    """A restore drops them: the function stays, and works once they are there again."""
    names = "SELECT string_agg(tablename, ', ') FROM pg_tables WHERE schemaname = 'public'"
    sql = f"""
    BEGIN;
    DO $$ BEGIN EXECUTE 'DROP TABLE ' || ({names}) || ' CASCADE'; END $$;
    SELECT to_regproc('prefect_observability.tables') IS NOT NULL, to_regclass('events') IS NULL;
    ROLLBACK;
    """
    done = filled.ask("prefect_owner", "prefect", sql)

    assert "t|t" in done.stdout.split(), done.stderr
    assert 3 == len(_told(filled))


def test_a_lock_is_not_waited_for(filled: Managed) -> None:
    """A migration that holds a table is not joined by an exporter that waits for it."""
    with subprocess.Popen(
        ["psql", "-X", "-A", "-t"],
        env=filled.environment("prefect_owner", "prefect"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdin.write("BEGIN; LOCK TABLE events; SELECT 'held';\n")
        holder.stdin.flush()
        while holder.stdout.readline().strip() != "held":
            pass
        refused = filled.ask("postgres_exporter", "prefect", _TOLD)
        holder.stdin.close()

    assert "lock timeout" in refused.stderr


def test_without_its_right_prefect_still_starts(managed: Managed) -> None:
    """Where no schema may be made, one line says what is missed, and the migration goes on."""
    managed.create_database("bare", "GRANT CREATE ON SCHEMA public TO prefect_owner")
    done = _grow(managed, PREFECT_SERVER_DATABASE_NAME="bare")

    assert done.stderr.startswith("growth.py: there will be no prefect_table_* metrics: ")
    assert 1 == done.stderr.count("\n")
