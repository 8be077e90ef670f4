"""What a scrape costs where there are very many series."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.completions import Completions, families
from bench.machine import peak_memory_bytes
from bench.scraping import Scraper, Scrapes
from bench.site import POLL_SECONDS, Site, wait_for_polls, wait_for_release
from prefect_exporter.facts import Change
from prefect_exporter.ledger import Ledger
from prefect_exporter.moments import DAY
from prefect_exporter.settings import Settings

_NAME = "exporter-of-many-series"
_OUTCOMES = ("completed", "failed", "timed_out", "crashed", "cancelled")


@dataclass(frozen=True, slots=True)
class ManySeries:
    """Scrapes of a large ``/metrics`` while runs end and the exporter polls.

    Args:
        scrapes: By format.
        peak_memory: Of the exporter, in bytes.
    """

    series: int
    scrapes: Mapping[str, Scrapes]
    peak_memory: int


def measure_many_series(site: Site, *, deployments: int, tasks: int, scrapes: int) -> ManySeries:
    """Fill a ledger with that many deployments and tasks, and scrape the exporter that has it."""
    # Where `start_exporter` keeps the state of an exporter of that name.
    _fill(site.sandbox.subfolder(_NAME) / "state.db", deployments, tasks)
    with site.exporter(_NAME) as exporter, site.live():
        scraper = Scraper(exporter.address)
        wait_for_polls(scraper)
        wait_for_release(scraper)
        time.sleep(POLL_SECONDS)
        results = scraper.scrapes(scrapes, pause_seconds=2 * POLL_SECONDS / scrapes)
        return ManySeries(scraper.values().series, results, peak_memory_bytes(exporter.process.pid))


def _fill(path: Path, deployments: int, tasks: int) -> None:
    settings = Settings()
    declared = families(settings)
    limits = {"deployment": deployments, "task": tasks, "work_queue": 1}
    source = Completions(declared, deployments=deployments, tasks=tasks, seed=1)
    at_us = time.time_ns() // 1000 - DAY
    flow_runs = (
        source.flow_run(at_us, name, how) for name in source.deployments for how in _OUTCOMES
    )
    task_runs = (source.task_run(at_us, name, how) for name in source.tasks for how in _OUTCOMES)
    ledger = Ledger(path, declared.by_name, limits)
    try:
        ledger.commit(Change("default", "flow_runs", tuple(flow_runs)))
        ledger.commit(Change("default", "task_runs", tuple(task_runs)))
    finally:
        ledger.close()
