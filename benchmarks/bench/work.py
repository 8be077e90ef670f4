"""What an exporter asks for, and the CPU time that answering takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.machine import Spread, cpu_seconds, spread
from bench.scraping import Scraper
from bench.site import Site


@dataclass(frozen=True, slots=True)
class Work:
    """What was done within some time; or, as a reading, up to now.

    Args:
        seconds: That time.
        requests: Of the exporter to the Prefect server.
        bytes: Of the answers, as they came over the wire: compressed.
        server_cpu: Seconds of the Prefect server's processes.
        database_cpu: Seconds of PostgreSQL's processes.
    """

    seconds: float
    requests: float
    bytes: float
    server_cpu: float
    database_cpu: float

    def since(self, before: Work) -> Work:
        """Return what was done after the reading *before*."""
        return Work(
            self.seconds - before.seconds,
            self.requests - before.requests,
            self.bytes - before.bytes,
            self.server_cpu - before.server_cpu,
            self.database_cpu - before.database_cpu,
        )

    def without(self, idle: Work) -> Work:
        """Return the work without the CPU time that idling takes."""
        share = self.seconds / idle.seconds
        return Work(
            self.seconds,
            self.requests,
            self.bytes,
            self.server_cpu - idle.server_cpu * share,
            self.database_cpu - idle.database_cpu * share,
        )


@dataclass(frozen=True, slots=True)
class Costs:
    """Several measurements of the same work."""

    requests: Spread
    bytes: Spread
    server_cpu: Spread
    database_cpu: Spread


def costs(works: Sequence[Work]) -> Costs:
    """Return the spread of each figure."""
    return Costs(
        spread([work.requests for work in works]),
        spread([work.bytes for work in works]),
        spread([work.server_cpu for work in works]),
        spread([work.database_cpu for work in works]),
    )


class Meter:
    """Reads the work of a site's server and database, and of one exporter at a time."""

    def __init__(self, site: Site) -> None:
        self._server = site.server.process.pid
        self._database = site.postgres.process.pid

    def read(self, scraper: Scraper | None = None) -> Work:
        """Return the reading of now; without an exporter, nothing was asked yet."""
        requests = size = 0.0
        if scraper is not None:
            values = scraper.values()
            requests = values.total("prefect_exporter_api_requests_total")
            size = values.total("prefect_exporter_api_bytes_total")
        server, database = cpu_seconds(self._server), cpu_seconds(self._database)
        return Work(time.monotonic(), requests, size, server, database)

    def over(self, seconds: float, scraper: Scraper | None = None) -> Work:
        """Return the work of the next *seconds*."""
        before = self.read(scraper)
        time.sleep(seconds)
        return self.read(scraper).since(before)
