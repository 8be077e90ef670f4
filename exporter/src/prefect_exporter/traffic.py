"""What was asked of one target and how it answered, since the process started."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from prometheus_client.core import Metric

from prefect_exporter.client import Exchange
from prefect_exporter.metrics import Family, Histogram, Kind, Samples, histogram_family

# Seconds; Prefect answers most routes in milliseconds, and a page of deployments in seconds.
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Traffic:
    """Counts of exchanges; routes and statuses are few, so this cannot grow."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()
        self.errors: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self.durations: dict[str, Histogram] = {}

    def observe(self, exchange: Exchange) -> None:
        """Take in one exchange; where no status came, the time is no answer's."""
        self.requests[exchange.route, exchange.status] += 1
        self.bytes[exchange.route] += exchange.response_bytes
        if exchange.error_kind is not None:
            self.errors[exchange.error_kind] += 1
        if not exchange.status.isdigit():
            return
        before = self.durations.get(exchange.route, Histogram((0,) * (len(BOUNDS) + 1)))
        self.durations[exchange.route] = before.plus(BOUNDS, exchange.seconds)


def _requests(traffic: Traffic) -> Samples:
    return ((labels, float(number)) for labels, number in list(traffic.requests.items()))


def _errors(traffic: Traffic) -> Samples:
    return (((kind,), float(number)) for kind, number in list(traffic.errors.items()))


def _bytes(traffic: Traffic) -> Samples:
    return (((route,), float(number)) for route, number in list(traffic.bytes.items()))


FAMILIES = (
    Family(
        "prefect_exporter_api_requests_total",
        Kind.COUNTER,
        "Requests to Prefect, retries included; the status is an HTTP status or an error kind.",
        ("route", "status"),
        _requests,
    ),
    Family(
        "prefect_exporter_api_errors_total",
        Kind.COUNTER,
        "Requests to Prefect that gave no usable answer, by kind.",
        ("kind",),
        _errors,
    ),
    Family(
        "prefect_exporter_api_bytes_total",
        Kind.COUNTER,
        "Bytes of Prefect's answers, as they came over the wire.",
        ("route",),
        _bytes,
    ),
)


def durations(traffics: Mapping[str, Traffic]) -> Metric:
    """Return the histogram of answer times by target and route."""
    return histogram_family(
        "prefect_server_api_request_duration_seconds",
        "How long Prefect took to answer the exporter's requests.",
        ("target", "route"),
        BOUNDS,
        (
            ((target, route), histogram)
            for target, traffic in traffics.items()
            for route, histogram in list(traffic.durations.items())
        ),
    )
