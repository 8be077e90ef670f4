"""A PostgreSQL with a history of copied runs, and what its settings cost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg  # type: ignore[import-untyped]  # it ships no types

from bench.alternating import Figures
from bench.machine import cpu_seconds, percentile
from bench.multiplied import Copies, multiply
from bench.templates import run_templates
from bench.tuning_load import CONCURRENT, Known, Lap, Mix, drive, known
from demo.postgres import Postgres, start_postgres
from demo.prefect_server import PrefectServer, start_prefect_server
from demo.processes import wait_until
from demo.sandbox import Sandbox

DATABASE = "prefect"
TEMPLATES = 4
"""How many real runs are copied."""

DAYS = 7.0
"""Over how many days the copies lie."""

Say = Callable[[str], None]
_WITHIN_SECONDS = 120.0
_PROBE = "bench.probe"
# By an index, so that waiting costs PostgreSQL next to nothing.
_EVENTS = (
    f"select count(*) from events where event <> '{_PROBE}'"  # noqa: S608  # our own name
    " and updated >= to_timestamp({since})"
)
# Of a run that nobody was late for: Scheduled, Pending, Running, Completed.
_OWN_EVENTS = 4


@dataclass(slots=True)
class Place:
    """A filled database, and a server on it while one runs."""

    sandbox: Sandbox
    postgres: Postgres
    what: Known

    @property
    def url(self) -> str:
        """The database as libpq takes it."""
        return self.postgres.url(DATABASE)

    @contextmanager
    def server(self, name: str, **env: str) -> Iterator[PrefectServer]:
        """Run a server with its services on the database."""
        server = start_prefect_server(
            self.sandbox,
            name=name,
            database_url=self.postgres.prefect_url(DATABASE),
            PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED="false",
            # Nothing is deleted while something is measured.
            PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED="",
            **dict[str, Any](env),
        )
        try:
            wait_until(lambda: self._takes_events(server), within=_WITHIN_SECONDS, what="services")
            yield server
        finally:
            server.process.stop()

    def _takes_events(self, server: PrefectServer) -> bool:
        """Return whether its services store events; what comes before they listen is lost."""
        probe = {
            "id": str(uuid4()),
            "event": _PROBE,
            "occurred": datetime.now(UTC).isoformat(),
            "resource": {"prefect.resource.id": server.url},
        }
        with server.client() as client:
            client.post("/events", json=[probe]).raise_for_status()
        stored = f"select count(*) from events where resource_id = '{server.url}'"  # noqa: S608  # our own address
        return self.value(stored) > 0

    def execute(self, *statements: str) -> None:
        """Run statements as the superuser, one after the other in one session."""
        asyncio.run(_execute(self.url, statements))

    def value(self, query: str) -> float:
        """Return the one number that *query* finds."""
        return asyncio.run(_value(self.url, query))

    def set(self, settings: Mapping[str, str], *, restart: bool = False) -> None:
        """Give PostgreSQL these settings, at once or by a restart."""
        self.execute(
            *(f"alter system set {name} = '{value}'" for name, value in settings.items()),
            "select pg_reload_conf()",
        )
        if restart:
            self.postgres.process.restart()
        else:
            # Sessions take it over with their next statement, the postmaster within moments.
            time.sleep(0.2)

    def lap(self, server: PrefectServer, mix: Mix, concurrent: int = CONCURRENT) -> Figures:
        """Ask *mix* of the server, wait until its events are stored, and return what that took."""
        self.execute("checkpoint")
        stored = _EVENTS.format(since=time.time())
        before = self._reading(server)
        lap = drive(server.api_url, self.what, mix, concurrent)
        expected = mix.runs * (len(self.what.events) + _OWN_EVENTS)
        wait_until(
            lambda: self.value(stored) >= expected,
            within=_WITHIN_SECONDS,
            what="the events of the load",
        )
        after = self._reading(server)
        return {key: after[key] - before[key] for key in after} | lap_figures(lap)

    def _reading(self, server: PrefectServer) -> dict[str, float]:
        return {
            "PostgreSQL CPU, s": cpu_seconds(self.postgres.process.pid),
            "server CPU, s": cpu_seconds(server.process.pid),
            "WAL, MB": self.value("select pg_current_wal_lsn() - '0/0'::pg_lsn") / 1e6,
        }


def lap_figures(lap: Lap) -> dict[str, float]:
    """Return the figures that the clients saw."""
    figures = {"wall, s": lap.seconds, "failed": float(lap.failed)}
    for name, seconds in (("writes", lap.wrote), ("reads", lap.read)):
        if seconds:
            figures[f"{name} p50, ms"] = 1000 * percentile(seconds, 50)
            figures[f"{name} p95, ms"] = 1000 * percentile(seconds, 95)
    return figures


@contextmanager
def place(runs: int, say: Say, **parameters: str) -> Iterator[Place]:
    """Start PostgreSQL and fill it with so many flow runs over `DAYS`."""
    with Sandbox() as sandbox:
        postgres = start_postgres(sandbox, durable=True, **parameters)
        postgres.create_database(DATABASE)
        url = postgres.url(DATABASE)
        server = start_prefect_server(
            sandbox,
            name="templates",
            database_url=postgres.prefect_url(DATABASE),
            PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED="false",
        )
        say(f"Running {TEMPLATES} flow runs, to be copied ...")
        deployments = run_templates(sandbox, server, url, TEMPLATES)
        server.process.stop()
        say(f"Copying them to {runs:,} flow runs ...")
        what = known(url, deployments)
        multiply(url, Copies(runs // TEMPLATES, DAYS))
        yield Place(sandbox, postgres, what)


async def _execute(url: str, statements: tuple[str, ...]) -> None:
    con = await asyncpg.connect(url, command_timeout=None)
    try:
        for statement in statements:
            await con.execute(statement)
    finally:
        await con.close()


async def _value(url: str, query: str) -> float:
    con = await asyncpg.connect(url)
    try:
        return float(await con.fetchval(query))
    finally:
        await con.close()
