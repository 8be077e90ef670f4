"""A Prefect server with a history on PostgreSQL, and exporters that read it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from bench.catalog import Tables, make_catalog
from bench.estate import Scale, holdings, large_catalog
from bench.history import History, Unended
from bench.scraping import Scraper
from bench.seeding import QUIET_SECONDS, Amount, Live, fill
from demo.exporter import Exporter, start_exporter
from demo.postgres import Postgres
from demo.prefect_server import PrefectServer, start_prefect_server
from demo.processes import wait_until
from demo.sandbox import Sandbox

POLL_SECONDS = 15.0
"""The exporter's default interval."""

_WAIT_SECONDS = 120.0
_POLLS = "prefect_exporter_collector_polls_total"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a server is filled with.

    Args:
        tasks: Task runs of each flow run.
        days: How long ago the oldest run ended.
        a_second: Flow runs that end every second while steady polls are measured.
        seed: The same seed gives the same history.
        scale: Of a large workspace, in place of *flows* and *deployments* of one queue.
    """

    flow_runs: int
    tasks: int = 5
    flows: int = 20
    deployments: int = 40
    days: float = 7.0
    a_second: float = 1.0
    seed: int = 1
    unended: Unended = field(default_factory=Unended)
    scale: Scale | None = None


@dataclass(slots=True)
class Site:
    """A server that answers, and what it was filled with."""

    sandbox: Sandbox
    postgres: Postgres
    server: PrefectServer
    shape: Shape
    history: History
    database_url: str
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @contextmanager
    def exporter(self, name: str = "", **env: str) -> Iterator[Exporter]:
        """Run an exporter, ready, with the ledger of that name, else with a new one."""
        name = name or f"exporter-{self.server.process.program.name}-{next(self._numbers)}"
        exporter = start_exporter(
            self.sandbox,
            name=name,
            port=None,
            ready_path="/readyz",
            **self.server.client_environment,
            **env,
        )
        try:
            yield exporter
        finally:
            exporter.process.stop()

    def live(self, *, filled: float = 0.0) -> Live:
        """Return the load of runs that end now; see `Live`."""
        return Live(self.database_url, self.history, a_second=self.shape.a_second, filled=filled)

    def live_for_long(self) -> Live:
        """Return the load as if it had gone on for as long as a poll looks back."""
        return self.live(filled=QUIET_SECONDS)


@contextmanager
def site(sandbox: Sandbox, postgres: Postgres, shape: Shape) -> Iterator[Site]:
    """Start a server on a database of its own, and fill it."""
    name = f"prefect-{'workspace' if shape.scale else shape.flow_runs}"
    postgres.create_database(name)
    server = start_prefect_server(
        sandbox,
        name=name,
        database_url=postgres.prefect_url(name),
        # The runs that are scheduled are those that were written, and no more come due.
        PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED="false",
    )
    history = fill_site(postgres.url(name), shape)
    try:
        yield Site(sandbox, postgres, server, shape, history, postgres.url(name))
    finally:
        server.process.stop()


def fill_site(url: str, shape: Shape) -> History:
    """Write what a site has; return where further runs come from."""
    scale, seed = shape.scale, shape.seed
    if scale:
        catalog = large_catalog(scale, seed)
    else:
        catalog = make_catalog(flows=shape.flows, deployments=shape.deployments, seed=seed)
    history = History(catalog, tasks=shape.tasks, seed=seed)

    def more(now: datetime, unended: Tables) -> Tables:
        if scale is None:
            return {}
        holders = [key for row in unended["task_run"] if isinstance(key := row["id"], UUID)]
        return holdings(scale, catalog, now, holders[: 5 * scale.tag_limits], seed + 1)

    amount = Amount(flow_runs=shape.flow_runs, days=shape.days, unended=shape.unended)
    fill(url, history, amount, more)
    return history


def wait_for_polls(scraper: Scraper, within: float = _WAIT_SECONDS) -> None:
    """Return once every collector has polled well; raise ``TimeoutError`` after that time."""

    def polled() -> bool:
        polls = scraper.values().of(_POLLS, 'status="success"')
        return min(polls, default=0) > 0

    wait_until(polled, within=within, what="a poll of everything")


def wait_for_release(scraper: Scraper, within: float = _WAIT_SECONDS) -> None:
    """Return once no series is held at 0 any more; raise ``TimeoutError`` after that time."""

    def released() -> bool:
        return scraper.values().total("prefect_exporter_held_series") == 0

    wait_until(released, within=within, what="the release of every series")
