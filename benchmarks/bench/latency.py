"""How long after its end a completion is visible."""

from __future__ import annotations

import time
from dataclasses import dataclass

from bench.machine import Spread, percentile, spread
from bench.scraping import Scraper
from bench.seeding import Live
from bench.site import Site, wait_for_polls, wait_for_release

_LOOK_SECONDS = 0.1
_COUNTER = "prefect_flow_runs_finished_total"


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from the end of a flow run until ``/metrics`` counts it.

    Args:
        interval_seconds: How often the exporter polls.
        ended: How many flow runs ended.
        completions: How many of them became visible, within two intervals after the last end.
        seconds: Of each.
    """

    interval_seconds: float
    ended: int
    completions: int
    seconds: Spread
    p99: float


def measure_latency(site: Site, *, interval_seconds: float, polls: int) -> Latency:
    """Watch the sum of a counter rise while runs end; the k-th rise belongs to the k-th end.

    The load begins once every series has been released, so that none is held back at 0.
    """
    interval = f"{interval_seconds:g}s"
    with site.exporter(PREFECT_EXPORTER_POLL_INTERVAL=interval) as exporter:
        scraper = Scraper(exporter.address)
        wait_for_polls(scraper)
        wait_for_release(scraper)
        seen: list[float] = []
        with site.live() as live:
            _watch(scraper, live, seen, time.monotonic() + polls * interval_seconds)
        # What ended last is seen by the next poll, or it never will be.
        _watch(scraper, live, seen, time.monotonic() + 2 * interval_seconds + 5)
    waits = [at - end for at, end in zip(seen, live.ends, strict=False)]
    return Latency(
        interval_seconds, len(live.ends), len(waits), spread(waits), percentile(waits, 99)
    )


def _watch(scraper: Scraper, live: Live, seen: list[float], deadline: float) -> None:
    """Append the time at which each further completion is visible, until *deadline* or the last."""
    while time.monotonic() < deadline and (live.running or len(seen) < len(live.ends)):
        counted = int(scraper.values().total(_COUNTER))
        seen += [time.time()] * (counted - len(seen))
        time.sleep(_LOOK_SECONDS)
