"""Send a dashboard's queries to Prometheus, Loki and Jaeger, as its panels would."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from pictures.boards import Query
from pictures.variables import Choice, Chosen, UnknownVariableError, fill

Ask = Callable[[str, Mapping[str, str]], Any]
"""Asks a route with parameters and returns the JSON; raises `httpx.HTTPError` or `RefusedError`."""

_TIMEOUT_SECONDS = 60

SCRAPE_SECONDS = 15
"""What the data sources of deploy/grafana/provisioning say."""

_STEPS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10_800, 21_600)
_TAG = re.compile(r'([\w.]+)="?([^"\s]*)"?')
_LOG_LINES = 100
_TRACES = 20


class RefusedError(Exception):
    """Whoever was asked says what is wrong with the query."""


@dataclass(frozen=True, slots=True)
class Window:
    """The span of time that a dashboard shows, in Unix seconds."""

    start: float
    end: float

    @property
    def seconds(self) -> int:
        """How long it is."""
        return round(self.end - self.start)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a query.

    Args:
        text: What was asked, with everything filled in.
        result: Series, streams or traces; empty where there are none.
        seconds: From the question to the whole answer.
        error: What is wrong with the query; None where it could be run.
    """

    query: Query
    text: str
    result: Sequence[Any]
    seconds: float
    error: str | None = None

    @property
    def has_data(self) -> bool:
        """Whether a panel would show something: NaN is nothing."""
        return any(_tells(each) for each in self.result)


def over_http(url: str) -> Ask:
    """Return what asks the program at *url*, which has no slash at the end."""

    def ask(route: str, parameters: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON of any shape
        answer = httpx.get(
            f"{url}{route}", params=parameters, timeout=_TIMEOUT_SECONDS, trust_env=False
        )
        if answer.is_client_error:
            raise RefusedError(answer.text[:500])
        return answer.raise_for_status().json()

    return ask


def last(seconds: float, *, until: float | None = None) -> Window:
    """Return the window of the last *seconds*."""
    end = time.time() if until is None else until
    return Window(end - seconds, end)


def run_queries(
    sources: Mapping[str, Ask], queries: Iterable[Query], choice: Choice, window: Window
) -> Sequence[Answer]:
    """Run what can be asked, and return the answers in the same order.

    Args:
        sources: Who is asked, by the type of data source; queries of other types are left out.
        queries: Of one dashboard.
        choice: What is chosen for its variables.
        window: Instant queries are run at its end.
    """
    asked = [query for query in queries if query.source in sources]
    return [_run(sources[query.source], query, choice, window) for query in asked]


def step_seconds(query: Query, window: Window) -> int:
    """Return the seconds between two points, rounded as Grafana does."""
    wanted = window.seconds / query.points
    rounded = next((step for step in _STEPS if wanted <= step * 1.25), 43_200)
    return max(rounded, query.min_step, SCRAPE_SECONDS)


def macros(step: int, window: Window) -> Choice:
    """Return what Grafana itself fills in."""
    rate = max(step + SCRAPE_SECONDS, 4 * SCRAPE_SECONDS)
    values = {
        "__interval": f"{step}s",
        "__interval_ms": f"{step * 1000}",
        "__rate_interval": f"{rate}s",
        "__range": f"{window.seconds}s",
        "__range_s": f"{window.seconds}",
        "__range_ms": f"{window.seconds * 1000}",
        "__from": f"{window.start * 1000:.0f}",
        "__to": f"{window.end * 1000:.0f}",
        "__auto": f"{rate}s",
    }
    return {name: Chosen([value]) for name, value in values.items()}


def _run(ask: Ask, query: Query, choice: Choice, window: Window) -> Answer:
    step = step_seconds(query, window)
    text = query.text
    began = time.perf_counter()
    try:
        text = fill(query.text, {**choice, **macros(step, window)})
        result = _ASKED[query.source](ask, query, text, window)
    except (RefusedError, UnknownVariableError) as error:
        return Answer(query, text, (), time.perf_counter() - began, repr(error))
    return Answer(query, text, result, time.perf_counter() - began)


def _prometheus(ask: Ask, query: Query, text: str, window: Window) -> Sequence[Any]:
    if query.instant:
        answer = ask("/api/v1/query", {"query": text, "time": f"{window.end}"})
    else:
        step = step_seconds(query, window)
        bounds = {"start": f"{window.start}", "end": f"{window.end}", "step": f"{step}"}
        answer = ask("/api/v1/query_range", {"query": text, **bounds})
    return vector(answer["data"])


def _loki(ask: Ask, query: Query, text: str, window: Window) -> Sequence[Any]:
    asked = {"query": text, "limit": f"{_LOG_LINES}"}
    if query.instant:
        return vector(ask("/loki/api/v1/query", {**asked, "time": f"{window.end:.0f}"})["data"])
    bounds = {"start": f"{window.start:.0f}", "end": f"{window.end:.0f}"}
    step = {"step": f"{step_seconds(query, window)}"}
    return vector(ask("/loki/api/v1/query_range", {**asked, **bounds, **step})["data"])


def _jaeger(ask: Ask, _: Query, text: str, window: Window) -> Sequence[Any]:
    service, *tags = text.split(" ", 1)
    asked = {"service": service, "tags": json.dumps(dict(_TAG.findall("".join(tags))))}
    bounds = {"start": f"{window.start * 1e6:.0f}", "end": f"{window.end * 1e6:.0f}"}
    found: Sequence[Any] = ask("/api/traces", {**asked, **bounds, "limit": f"{_TRACES}"})["data"]
    return found


_ASKED = {"prometheus": _prometheus, "loki": _loki, "jaeger": _jaeger}


def vector(data: Mapping[str, Any]) -> Sequence[Any]:
    """Return the series of an answer's data; a bare number is one without labels."""
    result: Sequence[Any] = data["result"]
    if data["resultType"] == "scalar":
        return [{"metric": {}, "value": result}]
    return result


def _tells(found: Mapping[str, Any]) -> bool:
    points = found.get("values") or [found.get("value", (0, "1"))]
    return "stream" in found or any(not math.isnan(float(point[1])) for point in points)
