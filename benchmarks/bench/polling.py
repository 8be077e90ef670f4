"""What polling costs: the exporter, the Prefect server and its database."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.machine import Spread, cpu_seconds, load_average, peak_memory_bytes, spread
from bench.scraping import Scraper, Scrapes
from bench.site import POLL_SECONDS, Site, wait_for_polls

_IDLE_SECONDS = 20.0
_SETTLE_SECONDS = 3 * POLL_SECONDS


@dataclass(frozen=True, slots=True)
class Work:
    """What the exporter asked for, and what that made others do.

    Args:
        bytes: As they came over the wire, compressed.
        server_cpu: Seconds of the Prefect server's processes, without those it takes idle.
        database_cpu: The same for PostgreSQL's.
    """

    requests: float
    bytes: float
    server_cpu: float
    database_cpu: float


@dataclass(frozen=True, slots=True)
class Costs:
    """Several measurements of `Work`, summed up."""

    requests: Spread
    bytes: Spread
    server_cpu: Spread
    database_cpu: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Polling:
    """What was measured at one size.

    Args:
        ready: Seconds from the start of the process until ``/readyz`` says so, over fresh starts.
        first: From each of those starts until every collector has polled once.
        steady: Per poll interval, while runs end at the shape's rate.
        steady_mean_cpu: Server CPU seconds per interval; its audits every minute weigh in here.
        idle_cpu: CPU seconds a second of server and database while no exporter runs.
        peak_memory: Of the exporter, in bytes.
        load: The machine's load average before, and after.
    """

    flow_runs: int
    task_runs: int
    ready: Spread
    first: Costs
    steady: Costs
    steady_mean_cpu: float
    idle_cpu: tuple[float, float]
    peak_memory: int
    series: int
    scrapes: Mapping[str, Scrapes]
    load: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Plan:
    """How often things are measured: fresh starts, steady intervals, scrapes of each format."""

    starts: int
    intervals: int
    scrapes: int


def measure_polling(site: Site, plan: Plan, progress: Callable[[str], None]) -> Polling:
    """Start exporters on *site*, then let the last one poll steadily."""
    load_before = load_average()
    meter = _Meter(site)
    idle = _idle(meter)
    starts = [_first_polls(site, meter, idle) for _ in range(plan.starts)]
    progress("first polls measured")
    with site.exporter() as exporter, site.live_for_long():
        scraper = Scraper(exporter.address)
        time.sleep(_SETTLE_SECONDS)
        steady = _steady(meter, scraper, idle, plan.intervals)
        progress("steady polls measured")
        # Slowly, so that the scrapes meet polls and publications.
        scrapes = scraper.scrapes(plan.scrapes, pause_seconds=POLL_SECONDS / plan.scrapes)
        series = scraper.values().series
        peak = peak_memory_bytes(exporter.process.pid)
    return Polling(
        flow_runs=site.shape.flow_runs,
        task_runs=site.shape.flow_runs * site.shape.tasks,
        ready=spread([seconds for seconds, _ in starts]),
        first=_costs([work for _, work in starts]),
        steady=_costs(steady),
        steady_mean_cpu=statistics.mean(work.server_cpu for work in steady),
        idle_cpu=idle,
        peak_memory=peak,
        series=series,
        scrapes=scrapes,
        load=(load_before, load_average()),
    )


class _Meter:
    """The CPU time of server and database."""

    def __init__(self, site: Site) -> None:
        self._pids = site.server.process.pid, site.postgres.process.pid

    def read(self) -> tuple[float, float, float]:
        """Return a clock's time, and the CPU time of the server and of the database."""
        server, database = self._pids
        return time.monotonic(), cpu_seconds(server), cpu_seconds(database)


class _Span:
    """What happens between two readings."""

    def __init__(self, meter: _Meter, idle: tuple[float, float], asked: Work) -> None:
        self._meter, self._idle, self._before = meter, idle, asked
        self._from = meter.read()

    def end(self, asked: Work) -> Work:
        """Return the work since the beginning, given what was asked by now."""
        began, server, database = self._from
        now, server_now, database_now = self._meter.read()
        idle_server, idle_database = (each * (now - began) for each in self._idle)
        return Work(
            asked.requests - self._before.requests,
            asked.bytes - self._before.bytes,
            server_now - server - idle_server,
            database_now - database - idle_database,
        )


_NOTHING = Work(0, 0, 0, 0)


def _idle(meter: _Meter) -> tuple[float, float]:
    began, server, database = meter.read()
    time.sleep(_IDLE_SECONDS)
    now, server_now, database_now = meter.read()
    return (server_now - server) / (now - began), (database_now - database) / (now - began)


def _first_polls(site: Site, meter: _Meter, idle: tuple[float, float]) -> tuple[float, Work]:
    span = _Span(meter, idle, _NOTHING)
    began = time.monotonic()
    with site.exporter() as exporter:
        ready = time.monotonic() - began
        scraper = Scraper(exporter.address)
        wait_for_polls(scraper)
        return ready, span.end(_asked(scraper))


def _asked(scraper: Scraper) -> Work:
    values = scraper.values()
    return Work(
        values.total("prefect_exporter_api_requests_total"),
        values.total("prefect_exporter_api_bytes_total"),
        0,
        0,
    )


def _steady(
    meter: _Meter, scraper: Scraper, idle: tuple[float, float], intervals: int
) -> list[Work]:
    works = []
    asked = _asked(scraper)
    for _ in range(intervals):
        span = _Span(meter, idle, asked)
        time.sleep(POLL_SECONDS)
        asked = _asked(scraper)
        works.append(span.end(asked))
    return works


def _costs(works: Sequence[Work]) -> Costs:
    return Costs(
        spread([work.requests for work in works]),
        spread([work.bytes for work in works]),
        spread([work.server_cpu for work in works]),
        spread([work.database_cpu for work in works]),
    )
