"""What Grafana asks when somebody follows a link between the stack's sources.

Grafana itself is not run: this reads what it is given and fills in variables as it does, so that
the queries can be asked of real programs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

GRAFANA = Path(__file__).parents[2] / "deploy" / "grafana"
PREFECT_UI = "http://127.0.0.1:4200"

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of the source *uid*; times are in seconds since 1970."""

    title: str
    uid: str
    text: str
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """A span as Jaeger's API tells of it, with its process' tags before its own."""

    trace_id: str
    span_id: str
    name: str
    start: float
    end: float
    tags: Sequence[tuple[str, str]]

    @property
    def variables(self) -> Mapping[str, str]:
        """What a query may speak of, by name."""
        return {
            "__span.traceId": self.trace_id,
            "__span.spanId": self.span_id,
            "__span.name": self.name,
        }


def sources() -> Mapping[str, Mapping[str, Any]]:
    """Return the provisioned data sources by uid, as Grafana has them after its start."""
    files = sorted((GRAFANA / "provisioning" / "datasources").glob("*.yml"))
    every = [source for path in files for source in _provisioned(path)["datasources"]]
    return {source["uid"]: source for source in every}


def dashboards() -> Mapping[str, Mapping[str, Any]]:
    """Return the dashboards by the names of their files."""
    return {
        path.name: json.loads(path.read_text())
        for path in sorted((GRAFANA / "dashboards").glob("*.json"))
    }


def spans(answer: Mapping[str, Any]) -> list[Span]:
    """Return the spans of an answer of Jaeger's ``/api/traces``."""
    return [
        _span(span, trace["processes"][span["processID"]])
        for trace in answer["data"]
        for span in trace["spans"]
    ]


def logs_of(span: Span) -> Query:
    """Return what "Related logs" of a span asks."""
    options = _json_of("jaeger")["tracesToLogsV2"]
    start, end = _around(span, options)
    text = _filled(options["query"], span.variables)
    return Query("logs", options["datasourceUid"], text, start, end)


def metrics_of(span: Span) -> list[Query]:
    """Return what the links from a span to metrics ask."""
    options = _json_of("jaeger")["tracesToMetrics"]
    start, end = _around(span, options)
    variables = {**span.variables, "__tags": _tags(span, options["tags"])}
    return [
        Query(each["name"], options["datasourceUid"], _filled(each["query"], variables), start, end)
        for each in options["queries"]
    ]


def trace_of_exemplar(labels: Mapping[str, str]) -> Query | None:
    """Return what a click on an exemplar with these labels asks, None where it has no link."""
    for link in _json_of("prometheus")["exemplarTraceIdDestinations"]:
        if link["name"] in labels:
            return Query("exemplar", link["datasourceUid"], labels[link["name"]])
    return None


def links_of_line(labels: Mapping[str, str], line: str) -> list[Query]:
    """Return the links of a log line; one that leads out of Grafana has no *uid*.

    Args:
        labels: Those of its stream and its structured metadata, which Grafana has in one.
        line: What was logged.
    """
    return [
        Query(
            field["name"],
            field.get("datasourceUid", ""),
            _filled(field["url"], {"__value.raw": value}),
        )
        for field in _json_of("loki")["derivedFields"]
        if (value := _derived(field, labels, line)) is not None
    ]


def _provisioned(path: Path) -> Any:  # noqa: ANN401 - YAML of any shape
    """Fill in variables of the environment: a doubled dollar is one."""
    known = {"PREFECT_UI_URL": PREFECT_UI}
    text = re.sub(
        r"\$\$|\$\{(\w+)\}|\$(\w+)",
        lambda found: known[found[1] or found[2]] if found.lastindex else "$",
        path.read_text(),
    )
    return yaml.safe_load(text)


def _json_of(uid: str) -> Mapping[str, Any]:
    data: Mapping[str, Any] = sources()[uid]["jsonData"]
    return data


def _filled(text: str, variables: Mapping[str, str]) -> str:
    """Fill in Grafana's own variables; raises ``KeyError`` for one that is not there."""
    return re.sub(r"\$\{([^}]+)\}|\$(\w+)", lambda found: variables[found[1] or found[2]], text)


def _tags(span: Span, wanted: Sequence[Mapping[str, str]]) -> str:
    names = {each["key"]: each.get("value") or each["key"] for each in wanted}
    return ", ".join(f'{names[key]}="{value}"' for key, value in span.tags if key in names)


def _derived(field: Mapping[str, str], labels: Mapping[str, str], line: str) -> str | None:
    if field["matcherType"] == "label":
        return labels.get(field["matcherRegex"])
    found = re.search(field["matcherRegex"], line)
    return found[1] if found else None


def _around(span: Span, options: Mapping[str, str]) -> tuple[float, float]:
    return (
        span.start + _seconds(options["spanStartTimeShift"]),
        span.end + _seconds(options["spanEndTimeShift"]),
    )


def _seconds(shift: str) -> float:
    found = re.fullmatch(r"(-?\d+)(ms|[smhd])", shift)
    if found is None:
        raise ValueError(f"no interval of Grafana: {shift}")
    return int(found[1]) * _UNITS[found[2]]


def _span(span: Mapping[str, Any], process: Mapping[str, Any]) -> Span:
    start = span["startTime"] / 1e6
    return Span(
        span["traceID"],
        span["spanID"],
        span["operationName"],
        start,
        start + span["duration"] / 1e6,
        tuple(_key_values((*process["tags"], *span["tags"]))),
    )


def _key_values(tags: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for tag in tags:
        yield tag["key"], str(tag["value"])
