"""The figures as tables that fit a terminal and a Markdown page alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from rich.console import Console
from rich.table import Table

from bench.backup import Backups, backup_table
from bench.dashboards import Dashboards, dashboards_table
from bench.day import Day
from bench.disk import Disk, disk_table
from bench.etl import Pipeline, etl_table
from bench.failures import Grouping, failures_table
from bench.fleet import Fleet
from bench.fleet_report import fleet_tables
from bench.latency import Latency
from bench.ledger_size import LedgerSize
from bench.log_records import Logging
from bench.log_report import logging_tables
from bench.machine import spread
from bench.polling import Polling
from bench.reporting import Reporting, reporting_table
from bench.scraping import Scrapes
from bench.series import ManySeries
from bench.spans import Sampled, spans_table
from bench.tables import filled, mib, new_table, spread_text, us
from bench.traced_tasks import Loop
from bench.tracing import Tracing
from bench.tuning import Tuning, tuning_tables
from bench.work import Costs
from bench.workspace import Workspace

_WIDTH = 160


@dataclass(slots=True)
class Results:
    """All that was measured, on what machine and when (UTC)."""

    machine: str
    began: str
    load: tuple[float, float] = (0.0, 0.0)
    polling: list[Polling] = field(default_factory=list)
    latency: list[Latency] = field(default_factory=list)
    series: ManySeries | None = None
    workspace: Workspace | None = None
    ledger: LedgerSize | None = None
    day: Day | None = None
    tracing: Tracing | None = None
    logging: Logging | None = None
    dashboards: Dashboards | None = None
    backup: Backups | None = None
    reporting: list[Reporting] = field(default_factory=list)
    failures: list[Grouping] = field(default_factory=list)
    etl: Pipeline | None = None
    fleet: Fleet | None = None
    spans: Sampled | None = None
    tuning: Tuning | None = None
    disk: Disk | None = None


def show(results: Results) -> None:
    """Print every table that there is something for."""
    # As wide as the tables: into a file, a row is a line.
    console = Console(highlight=False, width=_WIDTH)
    before, after = results.load
    console.print(f"\n{results.began} on {results.machine}", markup=False)
    console.print(f"Load average {before:.1f} before, {after:.1f} after.", markup=False)
    tables = (
        _polling(results.polling),
        _latency(results.latency),
        _series(results.series),
        *_workspace(results.workspace),
        _ledger(results.ledger),
        *_day(results.day),
        *_tracing(results.tracing),
        *logging_tables(results.logging),
        dashboards_table(results.dashboards),
        backup_table(results.backup),
        reporting_table(results.reporting),
        failures_table(results.failures),
        etl_table(results.etl),
        *fleet_tables(results.fleet),
        spans_table(results.spans),
        *tuning_tables(results.tuning),
        disk_table(results.disk),
    )
    for table in tables:
        if table is not None:
            console.print()
            console.print(table)


def _polling(sizes: Sequence[Polling]) -> Table | None:
    if not sizes:
        return None
    table = new_table("Median (least to most)", *(f"{s.flow_runs:,} flow runs" for s in sizes))
    rows = {
        "task runs": [f"{s.task_runs:,}" for s in sizes],
        "ready after, s": [spread_text(s.ready) for s in sizes],
        **_work("first polls", [s.first for s in sizes]),
        **_work("steady interval", [s.steady for s in sizes]),
        "steady interval: mean server CPU, s": [f"{s.mean_server_cpu:.2f}" for s in sizes],
        "idle server CPU, s/s": [f"{s.idle_cpu[0]:.3f}" for s in sizes],
        "idle PostgreSQL CPU, s/s": [f"{s.idle_cpu[1]:.3f}" for s in sizes],
        "exporter's peak RSS, MiB": [mib(s.peak_memory) for s in sizes],
        "series": [f"{s.series:,}" for s in sizes],
        **_scrapes([s.scrapes for s in sizes]),
        "load average": [f"{s.load[0]:.1f}, {s.load[1]:.1f}" for s in sizes],
    }
    return filled(table, rows)


def _work(what: str, costs: Sequence[Costs]) -> dict[str, list[str]]:
    return {
        f"{what}: requests": [spread_text(c.requests, ",.0f") for c in costs],
        f"{what}: kB": [spread_text(c.bytes, ",.0f", 1e-3) for c in costs],
        f"{what}: server CPU, s": [spread_text(c.server_cpu) for c in costs],
        f"{what}: PostgreSQL CPU, s": [spread_text(c.database_cpu) for c in costs],
    }


def _scrapes(columns: Sequence[Mapping[str, Scrapes]]) -> dict[str, list[str]]:
    rows = {}
    for name in columns[0]:
        each = [column[name] for column in columns]
        rows[f"{name}: kB"] = [f"{s.body_bytes / 1e3:,.0f}" for s in each]
        rows[f"{name}: p50, ms"] = [f"{s.p50 * 1e3:.1f}" for s in each]
        rows[f"{name}: p99, ms"] = [f"{s.p99 * 1e3:.1f}" for s in each]
        rows[f"{name}: slowest of {each[0].number}, ms"] = [f"{s.slowest * 1e3:.1f}" for s in each]
    return rows


def _latency(latencies: Sequence[Latency]) -> Table | None:
    if not latencies:
        return None
    columns = (f"poll interval {each.interval_seconds:g} s" for each in latencies)
    table = new_table("From a flow run's end to /metrics", *columns)
    rows = {
        "visible, of ended": [f"{each.completions} of {each.ended}" for each in latencies],
        "median, s": [f"{each.seconds.median:.1f}" for each in latencies],
        "p99, s": [f"{each.p99:.1f}" for each in latencies],
        "most, s": [f"{each.seconds.high:.1f}" for each in latencies],
    }
    return filled(table, rows)


def _series(many: ManySeries | None) -> Table | None:
    if many is None:
        return None
    rows = {"exporter's peak RSS, MiB": [mib(many.peak_memory)], **_scrapes([many.scrapes])}
    return filled(new_table("Many series", f"{many.series:,} series"), rows)


def _workspace(place: Workspace | None) -> Sequence[Table]:
    if place is None:
        return ()
    title = f"{place.scale.deployments:,} deployments, {place.flow_runs:,} flow runs"
    rows = {
        "ready after, s": [spread_text(spread([start.ready for start in place.starts]), ".1f")],
        **_work("minute", [place.minutes]),
        "minute: exporter CPU, s": [spread_text(place.exporter_cpu)],
        "idle server CPU, s/s": [f"{place.idle_cpu[0]:.3f}"],
        "idle PostgreSQL CPU, s/s": [f"{place.idle_cpu[1]:.3f}"],
        "exporter's RSS at the end, MiB": [mib(place.memory[0])],
        "exporter's peak RSS, MiB": [mib(place.memory[1])],
        "series": [f"{place.series:,}"],
        **_scrapes([place.scrapes]),
        "ledger, kB": [f"{place.ledger_bytes / 1e3:,.0f}"],
        "load average": [f"{place.load[0]:.1f}, {place.load[1]:.1f}"],
    }
    routes = new_table("Requests a minute", "median", "mean")
    collectors = new_table("Collector", "first poll ended after, s", "steady poll, s")
    for route, (median, mean) in place.routes.items():
        routes.add_row(route, f"{median:.0f}", f"{mean:.1f}")
    for name, took in place.polls.items():
        ended = [start.first[name] for start in place.starts if name in start.first]
        collectors.add_row(
            name, spread_text(spread(ended), ".1f") if ended else "", spread_text(took)
        )
    return filled(new_table("A large workspace", title), rows), routes, collectors


def _ledger(size: LedgerSize | None) -> Table | None:
    if size is None:
        return None
    rows = {
        "completions committed": [f"{size.completions:,}"],
        "size after 25 h, MB": [f"{size.full_bytes / 1e6:.0f}"],
        "size after 37 h, MB": [f"{size.end_bytes / 1e6:.0f}"],
        "seconds per million": [f"{size.seconds_per_million:.0f}"],
        "slowest commit of a page, ms": [f"{size.slowest_commit_seconds * 1e3:.0f}"],
        "slowest prune, ms": [f"{size.slowest_prune_seconds * 1e3:.0f}"],
    }
    return filled(new_table("Ledger", f"{size.completions_a_day:,} completions a day"), rows)


def _day(day: Day | None) -> Sequence[Table]:
    if day is None:
        return ()
    times = new_table(f"{day.flow_runs_a_day:,} flow runs a day", *_OVER_TIME)
    for each in day.samples:
        hours = each.seconds / 3600
        hour, minute = divmod(round(each.begin_seconds / 60), 60)
        cells = [
            mib(each.rss_bytes),
            f"{each.ledger_bytes / 1e6:.0f}",
            f"{each.flow_run_lag:.0f}",
            f"{each.task_run_lag:.0f}",
            f"{each.cpu_seconds / hours:.0f}",
            f"{each.requests / hours / 60:.0f}",
            f"{each.publications / hours / 60:.1f}",
            f"{each.series:,}",
            f"{each.failures}",
        ]
        times.add_row(f"from {hour}:{minute:02d}", *cells)
    totals = new_table("In all", "ended", "counted")
    rows = {
        "flow runs": [f"{sum(each.flow_runs.values()):,.0f}" for each in day.both],
        "task runs": [f"{sum(each.task_runs.values()):,.0f}" for each in day.both],
        "retries of flow runs": [f"{each.flow_run_retries:,.0f}" for each in day.both],
        "retries of task runs": [f"{each.task_run_retries:,.0f}" for each in day.both],
        "starts": [f"{each.starts:,.0f}" for each in day.both],
        "the same in every outcome": ["", "yes" if day.exact else "NO"],
        "of these, found by an audit": ["", f"{day.counted.corrections:,.0f}"],
        "real time, min": ["", f"{day.seconds / 60:.0f}"],
    }
    return times, filled(totals, rows)


_OVER_TIME = (
    "RSS, MiB",
    "ledger, MB",
    "flow runs behind, s",
    "task runs behind, s",
    "CPU, s/h",
    "requests/min",
    "pages/min",
    "series",
    "failed",
)


def _tracing(tracing: Tracing | None) -> Sequence[Table]:
    if tracing is None:
        return ()
    costs = new_table(f"{tracing.tasks:,} tasks, rounds: {len(tracing.rounds)}", *_MODES)
    for what, figure in _FIGURES.items():
        costs.add_row(f"{what}, us a task", *(us(tracing.a_task(each, figure)) for each in _MODES))
        over = [us(tracing.over_off(each, figure)) for each in _TRACED]
        costs.add_row(f"{what} over off, us a task", "", *over)
        times = [spread_text(tracing.ratio(each, "off", figure)) for each in _TRACED]
        costs.add_row(f"{what}, times off", "", *times)
        costs.add_row(
            f"{what}, times native", "", "", spread_text(tracing.ratio("ours", "native", figure))
        )
    memory = [spread([each[mode].peak_memory for each in tracing.rounds]) for mode in _MODES]
    costs.add_row("peak RSS, MiB", *(spread_text(each, ".1f", 2**-20) for each in memory))
    arrived = [tracing.spans[mode] for mode in _MODES]
    costs.add_row("spans arrived", *(f"{got:,} of {due:,}" for got, due in arrived))
    imports = new_table("Import, in a fresh process", "wall, ms", "CPU, ms", "new packages")
    for each in tracing.imports:
        wall, cpu = (spread_text(took, ".0f", 1e3) for took in (each.wall, each.cpu))
        imports.add_row(each.what, wall, cpu, ", ".join(each.packages))
    return costs, imports


_TRACED = ("native", "ours")
_MODES = ("off", *_TRACED)
_FIGURES: Mapping[str, Callable[[Loop], float]] = {
    "thread CPU": attrgetter("thread_cpu"),
    "process CPU": attrgetter("process_cpu"),
    "wall": attrgetter("wall"),
}
