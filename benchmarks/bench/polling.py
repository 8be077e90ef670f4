"""What polling costs: the exporter, the Prefect server and its database."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.machine import Spread, load_average, peak_memory_bytes, spread
from bench.scraping import Scraper, Scrapes
from bench.site import POLL_SECONDS, Site, wait_for_polls
from bench.work import Costs, Meter, Work, costs

# Three times as long as the server's own services take from one look to the next.
_IDLE_SECONDS = 60.0
_SETTLE_SECONDS = 3 * POLL_SECONDS


@dataclass(frozen=True, slots=True)
class Plan:
    """How often things are measured: fresh starts, steady intervals, scrapes of each format."""

    starts: int
    intervals: int
    scrapes: int


@dataclass(frozen=True, slots=True)
class Steady:
    """An exporter that has polled for a while, under the load of runs that end.

    Args:
        works: One for each poll interval.
        idle: The same server and load without the exporter.
        peak_memory: Of the exporter, in bytes.
        scrapes: By format.
    """

    works: list[Work]
    idle: Work
    peak_memory: int
    series: int
    scrapes: Mapping[str, Scrapes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Polling:
    """What was measured at one size; CPU times are those beyond idling.

    Args:
        ready: Seconds from the start of the process until ``/readyz`` says so, over fresh starts.
        first: From each of those starts until every collector has polled once.
        steady: Per poll interval.
        mean_server_cpu: Seconds per poll interval; what is asked once a minute weighs in here.
        idle_cpu: Server and database without the exporter, in seconds a second.
        peak_memory: Of the exporter, in bytes.
        load: The machine's load average before, and after.
    """

    flow_runs: int
    task_runs: int
    ready: Spread
    first: Costs
    steady: Costs
    mean_server_cpu: float
    idle_cpu: tuple[float, float]
    peak_memory: int
    series: int
    scrapes: Mapping[str, Scrapes]
    load: tuple[float, float]


def measure_polling(site: Site, plan: Plan, progress: Callable[[str], None]) -> Polling:
    """Start exporters on *site*, then let the last one poll steadily."""
    load_before = load_average()
    meter = Meter(site)
    starts = [_first_polls(site, meter) for _ in range(plan.starts)]
    progress("first polls measured")
    steady = _steady(site, meter, plan)
    progress("steady polls measured")
    idle = steady.idle
    polls = [work.without(idle) for work in steady.works]
    return Polling(
        flow_runs=site.shape.flow_runs,
        task_runs=site.shape.flow_runs * site.shape.tasks,
        ready=spread([seconds for seconds, _ in starts]),
        first=costs([work.without(idle) for _, work in starts]),
        steady=costs(polls),
        mean_server_cpu=statistics.mean(work.server_cpu for work in polls),
        idle_cpu=(idle.server_cpu / idle.seconds, idle.database_cpu / idle.seconds),
        peak_memory=steady.peak_memory,
        series=steady.series,
        scrapes=steady.scrapes,
        load=(load_before, load_average()),
    )


def _first_polls(site: Site, meter: Meter) -> tuple[float, Work]:
    before = meter.read()
    began = time.monotonic()
    with site.exporter() as exporter:
        ready = time.monotonic() - began
        scraper = Scraper(exporter.address)
        wait_for_polls(scraper)
        return ready, meter.read(scraper).since(before)


def _steady(site: Site, meter: Meter, plan: Plan) -> Steady:
    # The load begins after the exporter: what had ended before, a new ledger leaves out.
    with site.exporter() as exporter, site.live_for_long():
        scraper = Scraper(exporter.address)
        time.sleep(_SETTLE_SECONDS)
        works = [meter.over(POLL_SECONDS, scraper) for _ in range(plan.intervals)]
        # Slowly, so that the scrapes meet polls and publications.
        scrapes = scraper.scrapes(plan.scrapes, pause_seconds=POLL_SECONDS / plan.scrapes)
        series = scraper.values().series
        peak = peak_memory_bytes(exporter.process.pid)
        exporter.process.stop()
        return Steady(works, meter.over(_IDLE_SECONDS), peak, series, scrapes)
