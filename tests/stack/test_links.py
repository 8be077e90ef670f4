"""From a point to its trace, from a trace to its lines and metrics, from a line to its trace.

Grafana is not run: what it would ask is asked of the programs that it would ask.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any
from urllib.parse import urlencode

import pytest

from stack import grafana_links
from stack.asking import eventually, get, log_lines
from stack.compose import Stack
from stack.grafana_links import Query, Span

pytestmark = pytest.mark.stack

_EXEMPLARS = "prefect_flow_run_duration_seconds_bucket"


# As wide as `failed` below, which must not begin to wait where there is no Loki.
@pytest.fixture(autouse=True, scope="module")
def _in_full(*, full: bool) -> None:
    if not full:
        pytest.skip("Jaeger and Loki run in the full form")


@pytest.fixture(name="failed", scope="module")
def _failed(whole: Stack) -> Span:
    """The span of a flow that has failed."""
    lines = eventually(
        lambda: log_lines(whole, '| flow="failing" | trace_id!="" | detected_level="error"'),
        what="lines of the failing flow in Loki",
        within=240,
    )
    return _root(whole, lines[0][0]["trace_id"])


def _root(stack: Stack, trace_id: str) -> Span:
    (root,) = eventually(
        lambda: [span for span in _trace(stack, trace_id) if span.name.startswith("flow ")],
        what=f"trace {trace_id} in Jaeger",
    )
    return root


def _trace(stack: Stack, trace_id: str) -> list[Span]:
    return grafana_links.spans(get(f"{stack.url('JAEGER_PORT')}/api/traces/{trace_id}"))


def _asked(stack: Stack, query: Query) -> list[Any]:
    """Return what the query's source answers, as Grafana would ask it."""
    if query.uid == "jaeger":
        return _trace(stack, query.text)
    asked = {"query": query.text.replace("$__rate_interval", "1m")}
    if query.start and query.end:
        asked |= {"start": f"{query.start:.0f}", "end": f"{query.end:.0f}", "step": "15"}
    if query.uid == "loki":
        url = f"http://127.0.0.1:3100/loki/api/v1/query_range?{urlencode(asked)}"
        answer = json.loads(
            stack.compose("exec", "--no-TTY", "loki", "/probe/wget", "-q", "-O", "-", url)
        )
    else:
        kind = "query_range" if query.start else "query"
        answer = get(f"{stack.url('PROMETHEUS_PORT')}/api/v1/{kind}", **asked)
    result: list[Any] = answer["data"]["result"]
    return result


def test_span_leads_to_its_lines(whole: Stack, failed: Span) -> None:
    """What "Related logs" of a failed flow's span asks is answered with its lines."""
    query = grafana_links.logs_of(failed)

    streams = eventually(lambda: _asked(whole, query), what=query.text)

    assert {failed.trace_id} == {stream["stream"]["trace_id"] for stream in streams}


def test_span_leads_to_metrics(whole: Stack, failed: Span) -> None:
    """Each link from a flow's span to Prometheus finds series."""
    for query in grafana_links.metrics_of(failed):
        eventually(partial(_asked, whole, query), what=f"{query.title}: {query.text}")


def test_line_leads_to_its_trace_and_run(whole: Stack, failed: Span) -> None:
    """A line has one link to its trace, which Jaeger has, and one to its run in Prefect."""
    labels, line = next(
        (labels, line)
        for labels, line in log_lines(whole, f'| trace_id="{failed.trace_id}"')
        if "flow_run_id" in labels
    )

    links = {query.title: query for query in grafana_links.links_of_line(labels, line)}

    assert {failed.trace_id} == {span.trace_id for span in _asked(whole, links["Trace"])}
    assert links["Flow run"].text.endswith(labels["flow_run_id"])


def test_point_leads_to_its_trace(whole: Stack) -> None:
    """An exemplar of a run's duration names a trace that Jaeger has."""
    exemplar = eventually(lambda: _kept_exemplar(whole), what=f"exemplars of {_EXEMPLARS}")

    assert exemplar


def _kept_exemplar(stack: Stack) -> list[Span]:
    found = get(
        f"{stack.url('PROMETHEUS_PORT')}/api/v1/query_exemplars",
        query=_EXEMPLARS,
        start=str(0),
        end=str(4_000_000_000),
    )
    queries = [
        query
        for series in found["data"]
        for exemplar in series["exemplars"]
        if (query := grafana_links.trace_of_exemplar(exemplar["labels"]))
    ]
    return [span for query in queries for span in _trace(stack, query.text)]


def test_monitor_knows_the_flows(whole: Stack) -> None:
    """Jaeger's Monitor tab has calls of the flow, by way of Prometheus."""
    url = f"{whole.url('JAEGER_PORT')}/api/metrics/calls"
    asked = {
        "service": "prefect-worker",
        "groupByOperation": "true",
        "spanKind": "consumer",
    }

    eventually(lambda: get(url, **asked)["metrics"], what="calls in Jaeger's Monitor tab")
