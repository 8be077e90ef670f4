"""What Prefect's own vacuum deletes with the settings of docker-compose.yml, and what it leaves."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import httpx
import pytest
import yaml

from demo.api import ask
from demo.postgres import start_postgres
from demo.prefect_server import start_prefect_server
from demo.processes import wait_until
from demo.sandbox import Sandbox

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

_ROOT = Path(__file__).parents[2]
_COMPOSE = _ROOT / "docker-compose.yml"
_TABLES = _ROOT / "deploy" / "prefect" / "tables.py"
_SETTINGS = (
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED",
    "PREFECT_SERVER_EVENTS_RETENTION_PERIOD",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD",
)
_WITHIN_SECONDS = 90


def _as_in_compose() -> dict[str, str]:
    """The settings of the bundled server, with the defaults of their variables."""
    environment = yaml.safe_load(_COMPOSE.read_text())["x-server-environment"]
    return {name: re.sub(r"\$\{\w+:-(\w+)\}", r"\1", environment[name]) for name in _SETTINGS}


@dataclass(frozen=True, slots=True)
class _Retained:
    """A server that has an old and a young one of everything."""

    client: httpx.Client
    database: str
    environment: dict[str, str]
    old: dict[str, str]
    young: dict[str, str]

    def count(self, path: str, key: str) -> int:
        """Return how many rows of a kind belong to a flow run."""
        return int(ask(self.client, f"/{path}/count", flow_runs={"id": {"any_": [key]}}))

    def exists(self, key: str) -> bool:
        """Return whether there is such a flow run."""
        return self.client.get(f"/flow_runs/{key}").is_success

    def value(self, query: str, *values: object) -> Any:  # noqa: ANN401 - one value of any type
        """Return what the database answers."""
        return _value(self.database, query, *values)


@pytest.fixture(name="retained", scope="module")
def _retained() -> Iterator[_Retained]:
    with Sandbox() as sandbox:
        postgres = start_postgres(sandbox, durable=False)
        postgres.create_database("prefect")
        server = start_prefect_server(
            sandbox,
            database_url=postgres.prefect_url("prefect"),
            PREFECT_SERVER_SERVICES_DB_VACUUM_LOOP_SECONDS="1",
            **_as_in_compose(),  # type: ignore[arg-type]  # settings, none of the named arguments
        )
        with server.client() as client:
            environment = sandbox.prefect_environment(
                "tables", PREFECT_API_DATABASE_CONNECTION_URL=server.database_url
            )
            retained = _filled(client, postgres.url("prefect"), environment)
            wait_until(
                lambda: (
                    not retained.exists(retained.old["parent"])
                    and not retained.exists(retained.old["child"])
                    and retained.value("select count(*) from events where event = 'old'") == 0
                ),
                within=_WITHIN_SECONDS,
                what="the end of the old rows",
            )
            yield retained


def _filled(client: httpx.Client, database: str, environment: dict[str, str]) -> _Retained:
    old, young, running = (_runs(client) for _ in range(3))
    for runs in (old, young):
        for key in runs.values():
            state = {"type": "COMPLETED", "name": "Completed"}
            ask(client, f"/flow_runs/{key}/set_state", state=state, force=True)
    for runs, days in ((old, 91), (young, 89), (running, 91)):
        _value(
            database,
            "update flow_run set end_time = end_time - $1::interval,"
            " expected_start_time = expected_start_time - $1::interval where id = any($2::uuid[])"
            " returning 1",
            timedelta(days=days),
            [*runs.values()],
        )
    _emit(client, "old", timedelta(days=8))
    _emit(client, "young", timedelta(days=6))
    wait_until(
        lambda: _value(database, "select count(*) from events where event = 'young'") == 1,
        within=_WITHIN_SECONDS,
        what="the young event",
    )
    return _Retained(client, database, environment, old, young | {"running": running["parent"]})


def _runs(client: httpx.Client) -> dict[str, str]:
    """Make a flow run with a task run, a log line and an artifact, and a run of a subflow."""
    flow = ask(client, "/flows/", name="kept")["id"]
    parent = ask(client, "/flow_runs/", flow_id=flow)["id"]
    task = ask(
        client, "/task_runs/", flow_run_id=parent, task_key="t", dynamic_key="0", name="task"
    )
    child = ask(client, "/flow_runs/", flow_id=flow, parent_task_run_id=task["id"])["id"]
    line = {"name": "prefect.flow_runs", "level": 20, "message": "A line.", "flow_run_id": parent}
    lines = [line | {"timestamp": datetime.now(UTC).isoformat()}]
    client.post("/logs/", json=lines).raise_for_status()
    ask(client, "/artifacts/", key="kept", type="markdown", data="#", flow_run_id=parent)
    return {"parent": parent, "child": child}


def _emit(client: httpx.Client, name: str, ago: timedelta) -> None:
    event = {
        "id": str(uuid4()),
        "event": name,
        "occurred": (datetime.now(UTC) - ago).isoformat(),
        "resource": {"prefect.resource.id": f"test.{name}"},
    }
    client.post("/events", json=[event]).raise_for_status()


def _value(url: str, query: str, *values: object) -> Any:  # noqa: ANN401 - one value of any type
    async def asked() -> object:
        con = await asyncpg.connect(url)
        try:
            return await con.fetchval(query, *values)
        finally:
            await con.close()

    return asyncio.run(asked())


@pytest.mark.parametrize("table", ["task_run", "flow_run_state", "log", "artifact"])
def test_what_belongs_to_an_old_run_goes_with_it(retained: _Retained, table: str) -> None:
    """An ended flow run older than 90 days takes its task runs, states and logs along."""
    query = f"select count(*) from {table} where flow_run_id = $1"  # noqa: S608  # our own names
    keys = retained.old["parent"], retained.young["parent"]
    wait_until(
        lambda: retained.value(query, keys[0]) == 0, within=_WITHIN_SECONDS, what="its rows' end"
    )

    assert retained.value(query, keys[1]) >= 1


def test_young_and_running_runs_stay(retained: _Retained) -> None:
    """A run of 89 days, its subflow's, and one that never ended are left alone."""
    young = retained.young

    assert all(retained.exists(young[name]) for name in ("parent", "child", "running"))


def test_events_of_more_than_a_week_go_with_their_resources(retained: _Retained) -> None:
    """An event of 8 days is deleted, one of 6 days is not, nor what it says about resources."""
    query = "select count(*) from event_resources where resource_id = $1"
    wait_until(
        lambda: retained.value(query, "test.old") == 0, within=_WITHIN_SECONDS, what="their end"
    )

    assert retained.value("select count(*) from events where event = 'young'") == 1
    assert retained.value(query, "test.young") == 1


def test_tables_that_grow_are_vacuumed_early(retained: _Retained) -> None:
    """After the migration step, however often, eight tables have a share of their own."""
    for _ in range(2):
        subprocess.run([sys.executable, _TABLES], env=retained.environment, check=True)
    query = (
        "select count(*) from pg_class where $1 = any(reloptions)"
        " and relname in ('flow_run', 'flow_run_state', 'task_run', 'task_run_state', 'log',"
        " 'events', 'event_resources', 'artifact')"
    )

    assert retained.value(query, "autovacuum_vacuum_scale_factor=0.02") == 8
