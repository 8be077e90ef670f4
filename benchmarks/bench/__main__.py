"""Measure what the exporter and the instrumentation cost: ``python -m bench``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import msgspec

from bench.backup import measure_backup
from bench.dashboards import measure_dashboards
from bench.day import measure_day
from bench.day_runs import FLOWS, Pace
from bench.disk import measure_disk
from bench.etl import measure_etl
from bench.failures import measure_failures
from bench.fleet import FleetPlan, measure_fleet
from bench.latency import measure_latency
from bench.ledger_size import measure_ledger
from bench.log_records import measure_logging
from bench.machine import describe_machine, load_average
from bench.polling import Plan, measure_polling
from bench.report import Results, show
from bench.reporting import measure_reporting
from bench.series import measure_many_series
from bench.site import POLL_SECONDS, Shape, Site, site
from bench.spans import measure_spans
from bench.tracing import measure_tracing
from bench.tuning import Tuning, measure_tuning
from bench.workspace import LARGE, SMALL, measure_workspace
from demo.postgres import start_postgres
from demo.processes import NotReadyError
from demo.sandbox import Sandbox
from prefect_exporter.settings import PREFIX

_USUAL = ("polling", "latency", "series", "ledger", "tracing", "logging")
_SERVERS = ("workspace", "tuning", "disk", "backup")
_FLEETS = ("fleet", "spans")
_ON_REQUEST = (*_SERVERS, *_FLEETS, "day", "dashboards", "report", "failures", "etl")
_PARTS = (*_USUAL, *_ON_REQUEST)
_FLOW_RUNS_A_DAY = 1_000_000
_REPORTS = 3


def main() -> int:
    """Measure what was asked for, print it, and leave nothing behind."""
    # SIGTERM ends everything as Ctrl-C does: through every cleanup on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    arguments = _arguments()
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    results = Results(describe_machine(), now)
    before = load_average()
    try:
        _measure(arguments, results)
    except NotReadyError as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        _say("Interrupted; these are the figures so far.")
    results.load = before, load_average()
    show(results)
    if arguments.json is not None:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(results)))
    return 0


def _measure(arguments: argparse.Namespace, results: Results) -> None:
    if {"polling", "latency", "series", "report"} & set(arguments.parts):
        with Sandbox() as sandbox:
            postgres = start_postgres(sandbox)
            for size in arguments.sizes:
                _say(f"{size:,} flow runs: starting a Prefect server and filling it ...")
                shape = Shape(flow_runs=size, tasks=arguments.tasks, a_second=arguments.rate)
                with site(sandbox, postgres, shape) as place:
                    _measure_site(place, arguments, results, last=size == arguments.sizes[-1])
    _measure_server(arguments, results)
    _measure_fleet(arguments, results)
    if "ledger" in arguments.parts:
        _say(f"Ledger: simulating {arguments.completions:,} completions a day ...")
        with tempfile.TemporaryDirectory(prefix="prefect-bench-") as folder:
            results.ledger = measure_ledger(Path(folder), arguments.completions, _say)
    if "failures" in arguments.parts:
        _say(f"Failures: grouping {arguments.failures:,} of known causes ...")
        results.failures = measure_failures(arguments.failures, _say)
    if "tracing" in arguments.parts:
        _say(f"Tracing: {arguments.rounds} rounds of {arguments.traced_tasks:,} tasks ...")
        results.tracing = measure_tracing(arguments.traced_tasks, arguments.rounds, _say)
    if "logging" in arguments.parts:
        _say(f"Logging: {arguments.rounds} rounds of {arguments.records:,} records ...")
        results.logging = measure_logging(arguments.records, arguments.rounds, arguments.runs, _say)
    if "dashboards" in arguments.parts:
        results.dashboards = measure_dashboards(arguments.series, arguments.rounds, _say)
    if "etl" in arguments.parts:
        results.etl = measure_etl(arguments.orders, arguments.rounds, _say)
    if "day" in arguments.parts:
        pace = Pace(
            flow_runs=round(_FLOW_RUNS_A_DAY * arguments.scale),
            first_hour=arguments.from_hour,
            hours=arguments.hours,
        )
        _say(f"Day: simulating {pace.hours:g} hours of {pace.flow_runs:,} flow runs a day ...")
        with tempfile.TemporaryDirectory(prefix="prefect-bench-") as folder:
            results.day = measure_day(Path(folder), pace, _say, **_exporter_settings())


def _measure_server(arguments: argparse.Namespace, results: Results) -> None:
    if "workspace" in arguments.parts:
        plan = LARGE if LARGE.flow_runs in arguments.sizes else SMALL
        with Sandbox() as sandbox:
            _say(f"Workspace of {plan.scale.deployments:,} deployments: filling a server ...")
            with site(sandbox, start_postgres(sandbox), plan.shape) as place:
                results.workspace = measure_workspace(place, plan, _say)
    if "tuning" in arguments.parts:
        _say(f"Tuning: {arguments.history:,} flow runs of history ...")
        results.tuning = Tuning(arguments.history)
        measure_tuning(results.tuning, arguments.rounds, _say)
    if "disk" in arguments.parts:
        results.disk = measure_disk(arguments.history, _say)
    if "backup" in arguments.parts:
        shape = Shape(flow_runs=arguments.sizes[-1], tasks=arguments.tasks)
        with Sandbox() as sandbox:
            _say(f"Backup of {shape.flow_runs:,} flow runs: filling a server ...")
            with site(sandbox, start_postgres(sandbox), shape) as place:
                results.backup = measure_backup(place, arguments.rounds, _say)


def _measure_fleet(arguments: argparse.Namespace, results: Results) -> None:
    if "fleet" in arguments.parts:
        plan = FleetPlan(
            workspaces=arguments.workspaces,
            deployments=arguments.deployments,
            flow_runs=arguments.runs_per_day,
            shards=arguments.shards,
            warm_minutes=arguments.warm_minutes,
            minutes=arguments.minutes,
        )
        results.fleet = measure_fleet(plan, _say)
    if "spans" in arguments.parts:
        flows = arguments.workspaces * FLOWS
        results.spans = measure_spans(arguments.runs_per_day, flows, arguments.minutes, _say)


def _exporter_settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}


def _measure_site(
    place: Site, arguments: argparse.Namespace, results: Results, *, last: bool
) -> None:
    if "polling" in arguments.parts:
        plan = Plan(arguments.starts, arguments.intervals, arguments.scrapes)
        results.polling.append(measure_polling(place, plan, _say))
    if "report" in arguments.parts:
        rounds = min(arguments.rounds, _REPORTS)
        results.reporting.append(measure_reporting(place, rounds, _say))
    if last and "latency" in arguments.parts:
        for seconds in (POLL_SECONDS, arguments.interval):
            _say(f"Latency at a poll interval of {seconds:g} s ...")
            polls = arguments.intervals
            results.latency.append(measure_latency(place, interval_seconds=seconds, polls=polls))
    if last and "series" in arguments.parts:
        _say("Scrapes of many series ...")
        results.series = measure_many_series(
            place, deployments=700, tasks=700, scrapes=arguments.scrapes
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=_DESCRIPTION)
    add = parser.add_argument
    add("--sizes", type=_sizes, default="1k,10k,100k", help="flow runs of history: %(default)s")
    add("--quick", action="store_const", const=[1000], dest="sizes", help="the same as --sizes 1k")
    add(
        "--parts",
        type=_parts,
        default=",".join(_USUAL),
        help="what to measure: %(default)s; workspace; day; dashboards; tuning; disk; backup;"
        " report; failures; etl; fleet; spans",
    )
    add("--tasks", type=int, default=5, help="task runs of each flow run: %(default)s")
    add("--rate", type=float, default=1.0, help="flow runs that end a second: %(default)s")
    add("--starts", type=int, default=5, help="fresh starts at each size: %(default)s")
    add("--intervals", type=int, default=8, help="steady poll intervals: %(default)s")
    add("--interval", type=float, default=5.0, help="second latency interval, s: %(default)s")
    add("--scrapes", type=int, default=200, help="scrapes in each format: %(default)s")
    add("--completions", type=_number, default="6000k", help="a day, in the ledger: %(default)s")
    add("--traced-tasks", type=_number, default="1k", help="of each process: %(default)s")
    add("--records", type=_number, default="10k", help="logged by each process: %(default)s")
    add("--runs", type=int, default=200, help="at once, for their memory: %(default)s")
    add("--series", type=_number, default="10k", help="behind the dashboards: %(default)s")
    add("--failures", type=_number, default="50k", help="that are grouped: %(default)s")
    add("--orders", type=_number, default="1M", help="of the pipeline: %(default)s")
    add("--rounds", type=int, default=5, help="of most of the others: %(default)s")
    add("--history", type=_number, default="10k", help="flow runs of tuning, disk: %(default)s")
    add("--scale", type=Fraction, default="1", help="of a million flow runs a day: %(default)s")
    add("--hours", type=float, default=26.0, help="of the simulated day: %(default)s")
    add("--from-hour", type=float, default=0.0, help="where that day begins: %(default)s")
    add("--workspaces", type=int, default=50, help="of the fleet: %(default)s")
    add("--deployments", type=int, default=200, help="of each of them: %(default)s")
    add("--runs-per-day", type=_number, default="10M", help="of all of them: %(default)s")
    add("--shards", type=int, default=4, help="exporters of the fleet: %(default)s")
    add("--warm-minutes", type=float, default=7.0, help="of the fleet: %(default)s")
    add("--minutes", type=float, default=10.0, help="of fleet and spans: %(default)s")
    add("--json", type=Path, metavar="FILE", help="write all figures there too")
    return parser.parse_args()


_DESCRIPTION = (
    "Fill real Prefect servers on PostgreSQL, run the exporter on them, trace and log in runs of"
    " another one, and print what all of it costs."
)


def _number(text: str) -> int:
    unit = {"k": 1000, "M": 1_000_000}.get(text[-1:], 1)
    return int(text if unit == 1 else text[:-1]) * unit


def _sizes(text: str) -> list[int]:
    return [_number(each) for each in text.split(",")]


def _parts(text: str) -> Sequence[str]:
    parts = text.split(",")
    if unknown := set(parts) - set(_PARTS):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
    return parts


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
