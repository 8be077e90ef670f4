"""Panels of HAProxy before the replicas of the Prefect server."""

from __future__ import annotations

from grafana_foundation_sdk.builders import timeseries

from dashboards import palette, panels
from dashboards.board import Row
from dashboards.sources import OF_TARGET, ranged

_FRONT = f'{OF_TARGET}, proxy="prefect"'
_BACK = f'{OF_TARGET}, proxy="replicas"'
_CODES = {
    "1xx": palette.GREY,
    "2xx": palette.GREEN,
    "3xx": palette.SKY,
    "4xx": palette.ORANGE,
    "5xx": palette.VERMILION,
    "other": palette.PURPLE,
}


def row() -> Row:
    """Return requests, their times and what went wrong with them, as the proxy counts."""
    graphs = [_requests(), _times(), _sessions(), _replicas(), _errors(), _traffic()]
    return Row("Proxy", graphs, folded=True)


def _requests() -> timeseries.Panel:
    answers = f"haproxy_frontend_http_responses_total{{{_FRONT}}}"
    panel = panels.graph(
        "Requests by status",
        "Answers that clients, workers and people got, by the first digit of their status. 1xx are"
        " connections that became websockets; 5xx want a look at the replicas' logs.",
        panels.PER_SECOND,
    ).with_target(ranged(f"sum by (code) (rate({answers}[$__rate_interval]))", "{{code}}"))
    return panels.colored(panel, _CODES)


def _times() -> timeseries.Panel:
    panel = panels.graph(
        "Response time",
        "Mean of the last 1024 requests: until a replica began its answer, and before that in the"
        " queue for one. The proxy tells no percentiles.",
        panels.SECONDS,
    )
    for name in ("response", "queue"):
        mean = f"max(haproxy_backend_{name}_time_average_seconds{{{_BACK}}})"
        panel.with_target(ranged(mean, name))
    return panel


def _sessions() -> timeseries.Panel:
    return (
        panels.graph(
            "Sessions",
            "Connections that are open now, websockets among them, and those that wait for a"
            " replica. The proxy takes 2000 at once.",
            panels.COUNT,
        )
        .with_target(ranged(f"sum(haproxy_frontend_current_sessions{{{_FRONT}}})", "open"))
        .with_target(ranged(f"sum(haproxy_backend_current_queue{{{_BACK}}})", "waiting"))
    )


def _replicas() -> timeseries.Panel:
    return (
        panels.graph(
            "Replicas",
            "Replicas that Prometheus finds, those that answer it, and those that the proxy finds"
            " ready and uses.",
            panels.COUNT,
        )
        .with_target(ranged(f'count(up{{job="prefect-server", {OF_TARGET}}})', "found"))
        .with_target(ranged(f'sum(up{{job="prefect-server", {OF_TARGET}}})', "answer"))
        .with_target(ranged(f"sum(haproxy_backend_active_servers{{{_BACK}}})", "in use"))
        .decimals(0)
    )


def _errors() -> timeseries.Panel:
    panel = panels.graph(
        "Errors and second tries",
        "Connections to a replica that failed, answers that broke off, and requests that were"
        " tried again at the same or another replica. Some are usual at a restart.",
        panels.PER_SECOND,
    )
    for name, what in (
        ("no connection", "connection_errors"),
        ("broken off", "response_errors"),
        ("tried again", "retry_warnings"),
        ("sent elsewhere", "redispatch_warnings"),
    ):
        rate = f"sum(rate(haproxy_backend_{what}_total{{{_BACK}}}[$__rate_interval]))"
        panel.with_target(ranged(rate, name))
    return panel


def _traffic() -> timeseries.Panel:
    panel = panels.graph(
        "Traffic", "Bytes that came from clients and went to them, a second.", "binBps"
    )
    for name in ("in", "out"):
        rate = f"sum(rate(haproxy_frontend_bytes_{name}_total{{{_FRONT}}}[$__rate_interval]))"
        panel.with_target(ranged(rate, name))
    return panel
