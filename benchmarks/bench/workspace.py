"""What a large workspace costs: steadily, and when the exporter starts."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from bench.completions import Completions, families
from bench.estate import TENTH, Scale
from bench.history import Unended
from bench.machine import Spread, cpu_seconds, load_average, peak_memory_bytes, spread
from bench.scraping import FORMATS, Scraper, Scrapes
from bench.site import POLL_SECONDS, Shape, Site, wait_for_polls, wait_for_release
from bench.work import Costs, Meter, Work, costs
from prefect_exporter.facts import Change, End, History
from prefect_exporter.ledger import Ledger
from prefect_exporter.metrics import Labels
from prefect_exporter.moments import DAY
from prefect_exporter.settings import Settings

_NAME = "exporter-of-a-workspace"
_SETTINGS = {"PREFECT_EXPORTER_TAG_LABELS": "team,tier"}
_WAIT_SECONDS = 600.0
_LOOK_SECONDS = 0.5
_SCRAPES_A_MINUTE = 4
# Of so many deployments a run has failed at some time.
_EVER_FAILED = 0.7
_REQUESTS = "prefect_exporter_api_requests_total"
_BYTES = "prefect_exporter_api_bytes_total"
_POLLS = "prefect_exporter_collector_polls_total"
_DURATION = "prefect_exporter_collector_duration_seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspacePlan:
    """A workspace, and how often things are measured in it.

    Args:
        starts: Exporters with a new ledger.
        minutes: Of steady polling; ten have two listings of all deployments.
        scrapes: In each format.
        minute: In seconds; a test has no time for long ones.
        scraping: For how many seconds, so that scrapes meet polls and publications.
        idling: For how many seconds the server is watched without an exporter.
    """

    scale: Scale
    flow_runs: int
    unended: Unended
    starts: int
    minutes: int
    scrapes: int
    minute: float = 60.0
    scraping: float = 60.0
    idling: float = 120.0

    @property
    def shape(self) -> Shape:
        """What the server is filled with."""
        return Shape(flow_runs=self.flow_runs, unended=self.unended, scale=self.scale)


LARGE = WorkspacePlan(
    scale=Scale(),
    flow_runs=100_000,
    unended=Unended(running=200, beating=150, late=300, scheduled=20_000),
    starts=2,
    minutes=10,
    scrapes=200,
)
SMALL = WorkspacePlan(
    scale=TENTH,
    flow_runs=10_000,
    unended=Unended(running=20, beating=15, late=30, scheduled=2_000),
    starts=1,
    minutes=2,
    scrapes=50,
)
"""What ``--quick`` measures: a tenth of `LARGE`."""


@dataclass(frozen=True, slots=True)
class Start:
    """A start with a new ledger: seconds until it was ready, and until collectors had polled."""

    ready: float
    first: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Minute:
    """A minute of steady polling.

    Args:
        routes: Requests by route.
        polls: Seconds that each collector's last poll took.
        exporter_cpu: In seconds.
    """

    work: Work
    routes: Mapping[str, float]
    polls: Mapping[str, float]
    exporter_cpu: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """What was measured; CPU times of the server and its database are those beyond idling.

    Args:
        minutes: Per minute.
        routes: Requests a minute by route: the median, and the mean.
        polls: Seconds of a poll, by collector.
        memory: Of the exporter, in bytes, at the end; and the most it ever had.
        idle_cpu: Server and database without the exporter, in seconds a second.
        load: The machine's load average before, and after.
    """

    scale: Scale
    flow_runs: int
    starts: Sequence[Start]
    minutes: Costs
    exporter_cpu: Spread
    routes: Mapping[str, tuple[float, float]]
    polls: Mapping[str, Spread]
    series: int
    scrapes: Mapping[str, Scrapes]
    memory: tuple[int, int]
    ledger_bytes: int
    idle_cpu: tuple[float, float]
    load: tuple[float, float]


def measure_workspace(
    site: Site, plan: WorkspacePlan, progress: Callable[[str], None]
) -> Workspace:
    """Start exporters with new ledgers, then let one with a full ledger poll for long."""
    load_before = load_average()
    starts = [_start(site) for _ in range(plan.starts)]
    progress("starts measured")
    # Where `start_exporter` keeps the state of an exporter of that name.
    _fill(site.sandbox.subfolder(_NAME) / "state.db", site)
    meter = Meter(site)
    with site.exporter(_NAME, **_SETTINGS) as exporter, site.live_for_long():
        pid = exporter.process.pid
        scraper = Scraper(exporter.address)
        wait_for_polls(scraper, _WAIT_SECONDS)
        wait_for_release(scraper, _WAIT_SECONDS)
        time.sleep(POLL_SECONDS)
        progress("steady polls begin")
        minutes = [_minute(plan.minute, meter, scraper, pid) for _ in range(plan.minutes)]
        progress("steady polls measured")
        pause = plan.scraping / plan.scrapes / len(FORMATS)
        scrapes = scraper.scrapes(plan.scrapes, pause_seconds=pause)
        values = scraper.values()
        memory = psutil.Process(pid).memory_info().rss, peak_memory_bytes(pid)
        exporter.process.stop()
        idle = meter.over(plan.idling)
    return Workspace(
        scale=plan.scale,
        flow_runs=plan.flow_runs,
        starts=starts,
        minutes=costs([minute.work.without(idle) for minute in minutes]),
        exporter_cpu=spread([minute.exporter_cpu for minute in minutes]),
        routes=_typical([minute.routes for minute in minutes]),
        polls=_spreads([minute.polls for minute in minutes]),
        series=values.series,
        scrapes=scrapes,
        memory=memory,
        ledger_bytes=round(values.total("prefect_exporter_ledger_bytes")),
        idle_cpu=(idle.server_cpu / idle.seconds, idle.database_cpu / idle.seconds),
        load=(load_before, load_average()),
    )


def _start(site: Site) -> Start:
    began = time.monotonic()
    first: dict[str, float] = {}
    with site.exporter(**_SETTINGS) as exporter:
        ready = time.monotonic() - began
        scraper = Scraper(exporter.address)
        waiting = True
        while waiting and time.monotonic() - began < _WAIT_SECONDS:
            values = scraper.values()
            polls = values.by(_POLLS, "collector")
            waiting = 0 in polls.values()
            for name, number in polls.items():
                if number:
                    first.setdefault(name, time.monotonic() - began)
            time.sleep(_LOOK_SECONDS)
    return Start(ready, first)


def _fill(path: Path, site: Site) -> None:
    """Fill a ledger as if every deployment and task had ended, and many had failed.

    What came before is told for each deployment, so that the exporter need not ask for it.
    """
    declared = families(Settings())
    source = Completions(declared, deployments=0, tasks=0, seed=1)
    at_us = time.time_ns() // 1000 - DAY
    deployments = site.history.catalog.deployments
    names: list[Labels] = [(each.flow, each.name) for each in deployments]
    tasks = sorted({(each.flow, task) for each in deployments for task in each.tasks})
    failed = names[: round(len(names) * _EVER_FAILED)]
    flow_runs = [source.flow_run(at_us, name, "completed") for name in names]
    flow_runs += [source.flow_run(at_us, name, "failed") for name in failed]
    task_runs = [source.task_run(at_us, name, how) for name in tasks for how in _TASK_OUTCOMES]
    histories = tuple(
        History(("default", *name), (End(at_us, fact.run_id, success=True),))
        for name, fact in zip(names, flow_runs, strict=False)
    )
    limits = {"deployment": len(names), "task": len(tasks), "work_queue": 1}
    ledger = Ledger(path, declared.by_name, limits)
    try:
        ledger.commit(Change("default", "flow_runs", tuple(flow_runs)))
        ledger.commit(Change("default", "task_runs", tuple(task_runs)))
        ledger.commit(Change("default", "deployment_history", histories=histories))
    finally:
        ledger.close()


_TASK_OUTCOMES = ("completed", "failed")


def _minute(seconds: float, meter: Meter, scraper: Scraper, pid: int) -> Minute:
    """Return what was done while Prometheus scraped as it usually does."""
    before = _read(meter, scraper, pid)
    for _ in range(_SCRAPES_A_MINUTE):
        time.sleep(seconds / _SCRAPES_A_MINUTE)
        scraper.once()
    after = _read(meter, scraper, pid)
    routes = {name: total - before.routes.get(name, 0.0) for name, total in after.routes.items()}
    work = after.work.since(before.work)
    return Minute(work, routes, after.polls, after.exporter_cpu - before.exporter_cpu)


def _read(meter: Meter, scraper: Scraper, pid: int) -> Minute:
    """Return what was done up to now."""
    values = scraper.values()
    routes = values.by(_REQUESTS, "route")
    work = replace(meter.read(), requests=sum(routes.values()), bytes=values.total(_BYTES))
    return Minute(work, routes, values.by(_DURATION, "collector"), cpu_seconds(pid))


def _typical(minutes: Sequence[Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    return {
        name: (statistics.median(values), statistics.mean(values))
        for name, values in _by_name(minutes).items()
    }


def _spreads(minutes: Sequence[Mapping[str, float]]) -> dict[str, Spread]:
    return {name: spread(values) for name, values in _by_name(minutes).items()}


def _by_name(minutes: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    names = sorted({name for minute in minutes for name in minute})
    return {name: [minute.get(name, 0.0) for minute in minutes] for name in names}
