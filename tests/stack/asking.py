"""Ask a stack's programs what has arrived, and wait until it has."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

import httpx

from stack.compose import ComposeError, Stack

T = TypeVar("T")

_POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One series at one moment."""

    labels: Mapping[str, str]
    value: float


def eventually(ask: Callable[[], T], *, what: str, within: float = 90.0) -> T:
    """Return the first answer that is not empty.

    Args:
        ask: It may raise ``httpx.HTTPError`` or `ComposeError` for "not yet".
        what: What is waited for, for the message.
        within: Seconds.

    Raises:
        AssertionError: Time is up; the message has *what*, and the last answer.
    """
    deadline = time.monotonic() + within
    while True:
        answer, last = _asked(ask)
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"missing after {within:g} s: {what}; the last answer was {last}")
        time.sleep(_POLL_SECONDS)


def _asked(ask: Callable[[], T]) -> tuple[T | None, str]:
    try:
        answer = ask()
    except (httpx.HTTPError, ComposeError) as error:
        return None, f"{type(error).__name__}: {str(error)[:500]}"
    return answer, repr(answer)[:500]


def get(url: str, **parameters: str) -> Any:  # noqa: ANN401 - JSON of any shape
    """Return the JSON at *url*; raises ``httpx.HTTPError`` for any answer but 2xx."""
    answer = httpx.get(url, params=parameters, timeout=15, trust_env=False)
    return answer.raise_for_status().json()


def query(stack: Stack, promql: str) -> list[Sample]:
    """Return what the stack's Prometheus says now."""
    answer = get(f"{stack.url('PROMETHEUS_PORT')}/api/v1/query", query=promql)
    return [Sample(row["metric"], float(row["value"][1])) for row in answer["data"]["result"]]


def value(stack: Stack, promql: str) -> float | None:
    """Return the one value that the stack's Prometheus has now, None where it has none."""
    samples = query(stack, promql)
    return samples[0].value if len(samples) == 1 else None


def arrives(stack: Stack, promql: str, *, within: float = 90.0) -> list[Sample]:
    """Return the series of *promql* as soon as there is one."""
    return eventually(lambda: query(stack, promql), what=promql, within=within)


def spans(stack: Stack, trace_id: str) -> list[Mapping[str, Any]]:
    """Return the spans of a trace that Jaeger has, each with ``name`` and ``tags``."""
    answer = get(f"{stack.url('JAEGER_PORT')}/api/traces/{trace_id}")
    return [
        {"name": span["operationName"], "tags": {tag["key"]: tag["value"] for tag in span["tags"]}}
        for trace in answer["data"]
        for span in trace["spans"]
    ]


def log_lines(stack: Stack, selection: str) -> list[tuple[Mapping[str, str], str]]:
    """Return the lines of the last hour that Loki has, each with its labels.

    Args:
        stack: Its Loki has no published port, and is asked within its container.
        selection: LogQL behind the streams, such as ``| trace_id="..."``.
    """
    logql = urlencode({"query": f'{{service_name=~".+"}} {selection}', "limit": "200"})
    url = f"http://127.0.0.1:3100/loki/api/v1/query_range?{logql}"
    answer = stack.compose("exec", "--no-TTY", "loki", "/probe/wget", "-q", "-O", "-", url)
    return [
        (stream["stream"], line[1])
        for stream in json.loads(answer)["data"]["result"]
        for line in stream["values"]
    ]
