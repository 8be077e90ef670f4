"""Read ``/metrics`` as Prometheus does: one kept connection, whole bodies."""

from __future__ import annotations

import http.client
import re
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from bench.machine import percentile

_TEXT = {"Accept": "text/plain;version=0.0.4"}

FORMATS = {
    "text": _TEXT,
    # As Prometheus asks.
    "OpenMetrics, gzip": {
        "Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
        "Accept-Encoding": "gzip",
    },
}
"""The headers that ask for each format."""

_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Scrapes:
    """How long *number* scrapes in one format took, in seconds, and how large one was."""

    number: int
    p50: float
    p99: float
    slowest: float
    body_bytes: int


class Scraper:
    """A connection to an exporter at ``host:port``."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=_TIMEOUT_SECONDS)

    def read(self, headers: Mapping[str, str]) -> bytes:
        """Return the body as it came."""
        self._connection.request("GET", "/metrics", headers=dict(headers))
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != HTTPStatus.OK:
            raise ConnectionError(f"/metrics answers {answer.status}")
        return body

    def values(self) -> Values:
        """Return the current values."""
        body = self.read(_TEXT)
        # The exporter closes a connection that idles; the next request opens another.
        self._connection.close()
        return Values(body.decode())

    def once(self) -> None:
        """Read as Prometheus does, and let go of the connection."""
        self.read(FORMATS["OpenMetrics, gzip"])
        self._connection.close()

    def scrapes(self, number: int, pause_seconds: float) -> Mapping[str, Scrapes]:
        """Return how *number* scrapes in each format went, taken in turns."""
        times: dict[str, list[float]] = {name: [] for name in FORMATS}
        sizes: dict[str, int] = {}
        for _ in range(number):
            for name, headers in FORMATS.items():
                began = time.perf_counter()
                sizes[name] = len(self.read(headers))
                times[name].append(time.perf_counter() - began)
                time.sleep(pause_seconds)
        return {name: _summary(times[name], size) for name, size in sizes.items()}


class Values:
    """What one scrape showed."""

    def __init__(self, text: str) -> None:
        self._lines = [line for line in text.splitlines() if not line.startswith("#")]

    @property
    def series(self) -> int:
        """How many series there are; each bucket of a histogram is one."""
        return len(self._lines)

    def of(self, name: str, label: str = "") -> Iterator[float]:
        """Yield the values of the series of that name, with that ``key="value"`` if given."""
        for line in self._lines:
            if line.startswith((f"{name}{{", f"{name} ")) and label in line:
                yield float(line.rsplit(" ", 1)[1])

    def by(self, name: str, label: str) -> Mapping[str, float]:
        """Return the sums over all series of that name, by the value of a label."""
        sums: dict[str, float] = defaultdict(float)
        value = re.compile(rf'[{{,]{label}="([^"]*)"')
        for line in self._lines:
            if line.startswith(f"{name}{{") and (found := value.search(line)):
                sums[found[1]] += float(line.rsplit(" ", 1)[1])
        return sums

    def total(self, name: str) -> float:
        """Return the sum over all series of that name."""
        return sum(self.of(name))


def _summary(times: list[float], body_bytes: int) -> Scrapes:
    return Scrapes(len(times), percentile(times, 50), percentile(times, 99), max(times), body_bytes)
