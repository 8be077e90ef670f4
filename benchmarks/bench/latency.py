"""How long after its end a completion is visible."""

from __future__ import annotations

import time
from dataclasses import dataclass

from bench.machine import Spread, spread
from bench.scraping import Scraper
from bench.site import Site

_LOOK_SECONDS = 0.1
_COUNTER = "prefect_flow_runs_finished_total"


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from the end of a flow run until ``/metrics`` counts it.

    Args:
        interval_seconds: How often the exporter polls.
        completions: How many were timed.
        seconds: Of each.
        p99: The slowest but one of a hundred.
    """

    interval_seconds: float
    completions: int
    seconds: Spread


def measure_latency(site: Site, *, interval_seconds: float, polls: int) -> Latency:
    """Watch one counter's sum rise while runs end; the k-th rise belongs to the k-th end.

    Series are released before the measurement begins, so that none of it is held back.
    """
    interval = f"{interval_seconds:g}s"
    with site.exporter(PREFECT_EXPORTER_POLL_INTERVAL=interval) as exporter:
        scraper = Scraper(exporter.address)
        with site.live() as live:
            seen = _watch(scraper, polls * interval_seconds)
            ends = live.ends
    return Latency(interval_seconds, len(seen), spread([at - end for at, end in zip(seen, ends, strict=False)]))
