"""What an OTLP backend gets, and what an exposition says, as samples that can be compared."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import groupby, pairwise
from threading import Thread
from typing import Any, Self, TypeAlias

from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample as Line

Labels: TypeAlias = frozenset[tuple[str, str]]
Json: TypeAlias = Mapping[str, Any]

_NO_VALUE = 1
"""The flag of a point that says that its series is gone."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """A histogram.

    Args:
        bounds: The upper bounds, without the infinite one.
        counts: How many are in each bucket alone, and above the last bound.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    count: int
    total: float


@dataclass(frozen=True, slots=True)
class Sample:
    """One series with its value; *kind* is gauge, sum or histogram."""

    kind: str
    name: str
    labels: Labels
    value: float | Buckets


@dataclass(frozen=True, slots=True)
class Point:
    """One sample as it arrived.

    Args:
        at_ns: When it was scraped, in nanoseconds since 1970.
        start_ns: Since when it counts; 0 where that is not known.
        temporality: 1 for delta, 2 for cumulative, 0 for a gauge.
        exemplars: Trace and span ids in hexadecimal.
    """

    sample: Sample
    at_ns: int
    start_ns: int
    temporality: int
    exemplars: tuple[tuple[str, str], ...]


@dataclass
class Backend:
    """A backend for OTLP/HTTP in JSON; a context manager that answers while it is entered.

    Args:
        points: Everything that came, in its order.
        gone: The metrics of which the end of a series was told.
        resources: The attributes of every resource that came.
    """

    points: list[Point] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    resources: set[Labels] = field(default_factory=set)

    def __enter__(self) -> Self:
        """Listen."""
        self._server = _Server(("127.0.0.1", 0), _Request)
        self._server.backend = self
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """What ``OTLP_ENDPOINT`` would be."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def take(self, request: Json) -> None:
        """Keep what one request tells."""
        for each in request["resourceMetrics"]:
            self.resources.add(_attributes(each["resource"]["attributes"]))
            for scope in each["scopeMetrics"]:
                for metric in scope["metrics"]:
                    self._take(metric)

    def _take(self, metric: Json) -> None:
        (kind,) = {"gauge", "sum", "histogram"} & metric.keys()
        temporality = metric[kind].get("aggregationTemporality", 0)
        for each in metric[kind]["dataPoints"]:
            if each.get("flags", 0) & _NO_VALUE:
                self.gone.add(metric["name"])
            else:
                self.points.append(_point(kind, metric["name"], temporality, each))

    def last(self) -> dict[str, set[Sample]]:
        """Return the samples of the newest scrape by name; empty before the first."""
        points = list(self.points)
        newest = max((point.at_ns for point in points), default=0)
        samples = sorted(
            (point.sample for point in points if point.at_ns == newest), key=lambda each: each.name
        )
        return {name: set(each) for name, each in groupby(samples, key=lambda each: each.name)}

    def value(self, name: str, **labels: str) -> float | None:
        """Return the newest value of the series with these labels among others."""
        found = [
            sample.value for sample in self.last().get(name, ()) if labels.items() <= sample.labels
        ]
        if not found:
            return None
        (value,) = found
        assert not isinstance(value, Buckets)
        return value


class _Server(ThreadingHTTPServer):
    backend: Backend


class _Request(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        """Take an export."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert (self.path, self.headers["Content-Type"]) == ("/v1/metrics", "application/json")
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.backend.take(json.loads(body))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def _attributes(given: Sequence[Json]) -> Labels:
    return frozenset((each["key"], each["value"]["stringValue"]) for each in given)


def _point(kind: str, name: str, temporality: int, data: Json) -> Point:
    value = _buckets(data) if kind == "histogram" else float(data["asDouble"])
    return Point(
        Sample(kind, name, _attributes(data.get("attributes", ())), value),
        int(data["timeUnixNano"]),
        int(data.get("startTimeUnixNano", 0)),
        temporality,
        tuple((each["traceId"], each["spanId"]) for each in data.get("exemplars", ())),
    )


def _buckets(point: Json) -> Buckets:
    return Buckets(
        tuple(point.get("explicitBounds", ())),
        tuple(int(count) for count in point["bucketCounts"]),
        int(point.get("count", 0)),
        point["sum"],
    )


def exposed(openmetrics: str) -> set[Sample]:
    """Return the samples of an exposition; labels without a value are none, as in Prometheus."""
    families: Iterator[Metric] = text_string_to_metric_families(openmetrics)  # type: ignore[no-untyped-call]  # theirs
    return {sample for family in families for sample in _samples(family)}


def _samples(family: Metric) -> Iterator[Sample]:
    if family.type == "histogram":
        yield from _histograms(family)
        return
    kind = "sum" if family.type == "counter" else "gauge"
    for line in family.samples:
        yield Sample(kind, line.name, _labels(line), line.value)


def _histograms(family: Metric) -> Iterator[Sample]:
    for labels, group in groupby(family.samples, key=_labels):
        lines = list(group)
        buckets = [
            (float(line.labels["le"]), int(line.value)) for line in lines if _is_bucket(line)
        ]
        (total,) = (line.value for line in lines if line.name.endswith("_sum"))
        counts = [0, *(count for _, count in buckets)]
        value = Buckets(
            tuple(bound for bound, _ in buckets[:-1]),
            tuple(after - before for before, after in pairwise(counts)),
            counts[-1],
            total,
        )
        yield Sample("histogram", family.name, labels, value)


def _is_bucket(line: Line) -> bool:
    return "le" in line.labels


def _labels(line: Line) -> Labels:
    return frozenset((name, text) for name, text in line.labels.items() if text and name != "le")
