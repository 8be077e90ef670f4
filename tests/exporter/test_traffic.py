"""What is told of the requests to Prefect."""

from __future__ import annotations

import pytest

from prefect_exporter import traffic
from prefect_exporter.client import Exchange
from prefect_exporter.traffic import Traffic, durations
from worlds import text_of

OK = Exchange(route="ready", status="200", error_kind=None, seconds=0.02, response_bytes=10)


def lines(observed: Traffic) -> list[str]:
    """Return every line that is not a comment, but the buckets."""
    metrics = [
        *(each.fill([("t", observed)]) for each in traffic.FAMILIES),
        durations({"t": observed}),
    ]
    text = text_of(*metrics)
    return [
        line for line in text.splitlines() if not line.startswith("#") and "_bucket" not in line
    ]


def test_exchanges_add_up() -> None:
    """Requests, bytes and time add up by route."""
    observed = Traffic()
    for _ in range(3):
        observed.observe(OK)

    assert [
        'prefect_exporter_api_requests_total{route="ready",status="200",target="t"} 3.0',
        'prefect_exporter_api_bytes_total{route="ready",target="t"} 30.0',
        'prefect_server_api_request_duration_seconds_count{route="ready",target="t"} 3.0',
        'prefect_server_api_request_duration_seconds_sum{route="ready",target="t"} 0.06',
    ] == lines(observed)


@pytest.mark.parametrize(("status", "answered"), [("503", True), ("unreachable", False)])
def test_failed_exchange_counts_by_kind(status: str, *, answered: bool) -> None:
    """A failure counts by its kind; where no status came, its time is no answer's."""
    observed = Traffic()
    observed.observe(Exchange("ready", status, "server_error", 0.02, 0))

    assert {"server_error": 1} == observed.errors
    assert answered is bool(observed.durations)


def test_target_without_exchange_has_no_line() -> None:
    """Before anything was asked, nothing is told."""
    assert [] == lines(Traffic())


def test_targets_are_apart() -> None:
    """Each target's times stand under its name."""
    one, other = Traffic(), Traffic()
    one.observe(OK)
    other.observe(OK)
    text = text_of(durations({"a": one, "b": other}))

    assert (1, 1) == (
        text.count('count{route="ready",target="a"} 1.0'),
        text.count('count{route="ready",target="b"} 1.0'),
    )
