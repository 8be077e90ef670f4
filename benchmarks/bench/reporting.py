"""What a whole report costs: the real command on a server with a history."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
from rich.table import Table

from bench.machine import Spread, spread
from bench.site import Site
from bench.tables import filled, mib, new_table, spread_text
from bench.work import Meter

_REPORT = [sys.executable, "-m", "prefect_exporter", "report"]


@dataclass(frozen=True, slots=True)
class Reporting:
    """Several reports of the same week, each with all of its formats.

    Args:
        flow_runs, task_runs: That the server has of the week.
        read_task_runs: Those of them that the report looked at.
        cpu: Seconds of the command's own process.
        peak_memory: Bytes of that process, the most of all.
        sizes: Bytes of each format.
    """

    flow_runs: int
    task_runs: int
    read_task_runs: int
    requests: int
    findings: int
    seconds: Spread
    cpu: Spread
    server_cpu: Spread
    database_cpu: Spread
    peak_memory: int
    sizes: dict[str, int]


def measure_reporting(site: Site, rounds: int, progress: Callable[[str], None]) -> Reporting:
    """Make as many reports of a site's last week, one after the other."""
    folder = site.sandbox.subfolder("reports")
    outputs = [folder / f"report.{form}" for form in ("html", "md", "json")]
    command = [*_REPORT, *(part for path in outputs for part in ("--output", str(path)))]
    environment = site.sandbox.environment(**site.server.client_environment)
    meter = Meter(site)
    works, ends = [], []
    for number in range(rounds):
        before = meter.read()
        ends.append(_run(command, environment))
        works.append(meter.read().since(before))
        progress(f"report {number + 1} of {rounds}: {works[-1].seconds:.1f} s")
    told = msgspec.json.decode(outputs[-1].read_bytes())
    return Reporting(
        flow_runs=told["scope"]["flow_runs"],
        task_runs=site.shape.flow_runs * site.shape.tasks,
        read_task_runs=told["scope"]["task_runs"],
        requests=told["scope"]["requests"],
        findings=len(told["findings"]),
        seconds=spread([work.seconds for work in works]),
        cpu=spread([cpu for cpu, _ in ends]),
        server_cpu=spread([work.server_cpu for work in works]),
        database_cpu=spread([work.database_cpu for work in works]),
        peak_memory=max(peak for _, peak in ends),
        sizes={path.suffix[1:]: path.stat().st_size for path in outputs},
    )


def _run(command: Sequence[str], environment: dict[str, str]) -> tuple[float, int]:
    """Run a command to its end, and return its CPU seconds and the most bytes it had."""
    child = subprocess.Popen(command, env=environment)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"the report ended with code {child.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def reporting_table(sizes: Sequence[Reporting]) -> Table | None:
    """Return the figures as a table; None where there are none."""
    if not sizes:
        return None
    table = new_table("A report of a week", *(f"{each.flow_runs:,} flow runs" for each in sizes))
    rows = {
        "task runs read, of": [f"{s.read_task_runs:,} of {s.task_runs:,}" for s in sizes],
        "requests": [f"{s.requests:,}" for s in sizes],
        "seconds": [spread_text(s.seconds, ".1f") for s in sizes],
        "its own CPU, s": [spread_text(s.cpu, ".1f") for s in sizes],
        "server CPU, s": [spread_text(s.server_cpu, ".1f") for s in sizes],
        "PostgreSQL CPU, s": [spread_text(s.database_cpu, ".1f") for s in sizes],
        "peak RSS, MiB": [mib(s.peak_memory) for s in sizes],
        "findings": [f"{s.findings:,}" for s in sizes],
        "html, kB": [f"{s.sizes['html'] / 1e3:,.0f}" for s in sizes],
        "md, kB": [f"{s.sizes['md'] / 1e3:,.0f}" for s in sizes],
        "json, kB": [f"{s.sizes['json'] / 1e3:,.0f}" for s in sizes],
    }
    return filled(table, rows)
