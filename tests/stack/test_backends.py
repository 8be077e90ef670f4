"""Jaeger and Loki as the stack configures them: what they keep, how long, what they refuse."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from stack.backends import (
    DEPLOY,
    Backend,
    Line,
    configuration,
    eventually,
    jaeger,
    lines_of,
    loki,
    names_of,
    program_of,
    prometheus,
    push,
    put,
)
from stack.compose import ROOT

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
RUN = "0b7a3f5c-7a56-4a3e-9c55-0a9d4c1f6f31"
DAY = 86_400.0


@pytest.fixture(name="jaeger_program", scope="session")
def _jaeger_program(tmp_path_factory: pytest.TempPathFactory, *, full: bool) -> Path:
    """The program of Jaeger's image."""
    if not full:
        pytest.skip("the lean form has no Jaeger")
    return program_of("jaeger", "/cmd/jaeger/jaeger-linux", tmp_path_factory.mktemp("jaeger"))


@pytest.fixture(name="loki_program", scope="session")
def _loki_program(tmp_path_factory: pytest.TempPathFactory, *, full: bool) -> Path:
    """The program of Loki's image."""
    if not full:
        pytest.skip("the lean form has no Loki")
    return program_of("loki", "/usr/bin/loki", tmp_path_factory.mktemp("loki"))


@pytest.fixture(name="traces")
def _traces(jaeger_program: Path, tmp_path: Path) -> Iterator[Backend]:
    """Jaeger at work on an empty store."""
    with jaeger(jaeger_program, tmp_path) as running:
        yield running


@pytest.fixture(name="logs")
def _logs(loki_program: Path, tmp_path: Path) -> Iterator[Backend]:
    """Loki at work on an empty store."""
    with loki(loki_program, tmp_path) as running:
        yield running


@pytest.mark.stack
@pytest.mark.parametrize("ends", ["stops", "is killed"])
def test_jaeger_keeps_what_it_has_acknowledged(traces: Backend, ends: str) -> None:
    """A trace is there after an orderly end, and after none, and its service is known."""
    trace = put(traces, "flow orders", "task load")
    if ends == "is killed":
        traces.process.kill()
    traces.process.restart()

    assert names_of(traces, trace) == ["flow orders", "task load"]
    assert traces.get("/api/services").json()["data"] == ["etl"]


@pytest.mark.stack
def test_runs_are_found_by_their_attributes(traces: Backend) -> None:
    """A search by a run's id finds its trace alone."""
    put(traces, "flow orders", **{"prefect.flow_run.id": "another"})
    trace = put(traces, "flow orders", **{"prefect.flow_run.id": RUN})
    tags = json.dumps({"prefect.flow_run.id": RUN})
    found = traces.get("/api/traces", service="etl", tags=tags).json()["data"]

    assert [each["traceID"] for each in found] == [trace]


@pytest.mark.stack
def test_looking_leaves_no_traces(traces: Backend) -> None:
    """What people ask Jaeger is not among the traces that they look at."""
    put(traces, "flow orders")

    def services() -> list[str]:
        found: list[str] = traces.get("/api/services").json()["data"]
        return found

    assert not eventually(lambda: services() != ["etl"], within=2)


@pytest.mark.stack
def test_spans_are_kept_as_long_as_is_said(jaeger_program: Path, tmp_path: Path) -> None:
    """A span goes with the retention of its arrival; those that came under a longer one stay."""
    with jaeger(jaeger_program, tmp_path) as running:
        kept = put(running, "flow kept")
    with jaeger(jaeger_program, tmp_path, retention="2s") as running:
        gone = put(running, "flow gone")

        assert names_of(running, gone) == ["flow gone"]
        assert eventually(lambda: names_of(running, gone) == [])
        assert names_of(running, kept) == ["flow kept"]


@pytest.mark.stack
@pytest.mark.parametrize(
    "attributes",
    [
        {"text": "x" * 70_000},
        {"list": ["y" * 10_000] * 8},
        {"k" * 70_000: 1},
        {"bytes": b"z" * 70_000},
    ],
    ids=["text", "list", "key", "bytes"],
)
def test_overlong_attributes_harm_no_other_span(
    traces: Backend, attributes: dict[str, object]
) -> None:
    """A span that Badger cannot keep is left out, and is not refused with all others for ever."""
    overlong = put(traces, "flow long", "task short", **attributes)  # type: ignore[arg-type]  # of any type
    after = put(traces, "flow after")

    assert names_of(traces, overlong) == ["task short"]
    assert names_of(traces, after) == ["flow after"]


@pytest.mark.stack
def test_monitor_tab_has_what_prometheus_counted(jaeger_program: Path, tmp_path: Path) -> None:
    """Rates, failures and durations of a service come from the gateway's span metrics."""
    now = int(time.time())
    series = {
        'traces_span_metrics_calls_total{{{0},status_code="STATUS_CODE_UNSET"}}': 3,
        'traces_span_metrics_calls_total{{{0},status_code="STATUS_CODE_ERROR"}}': 1,
        'traces_span_metrics_duration_milliseconds_bucket{{{0},le="1000.0"}}': 4,
        'traces_span_metrics_duration_milliseconds_bucket{{{0},le="+Inf"}}': 4,
    }
    labels = 'service_name="etl",span_name="flow orders",span_kind="SPAN_KIND_INTERNAL"'
    lines = [
        f"{name.format(labels)} {each * step} {now - 1800 + 60 * step}"
        for name, each in series.items()
        for step in range(30)
    ]
    asked: dict[str, str | int] = {"service": "etl", "endTs": now * 1000, "lookback": 600_000}
    asked |= {"step": 60_000, "ratePer": 600_000, "quantile": "0.95", "spanKind": "internal"}
    with (
        prometheus(tmp_path, "\n".join([*lines, "# EOF\n"])) as port,
        jaeger(jaeger_program, tmp_path, prometheus=port) as running,
    ):
        values = {
            what: _newest(running.get(f"/api/metrics/{what}", **asked).json())
            for what in ("calls", "errors", "latencies")
        }

    assert values["calls"] == pytest.approx(4 / 60, rel=0.1)
    assert values["errors"] == pytest.approx(0.25)
    assert values["latencies"] == pytest.approx(950)


def _newest(answer: Mapping[str, Any]) -> float:
    (metric,) = answer["metrics"]
    values = [point["gaugeValue"]["doubleValue"] for point in metric["metricPoints"]]
    return float([value for value in values if value != "NaN"][-1])


@pytest.mark.stack
@pytest.mark.parametrize(("url", "code"), [("https://search.example.com:9200", 0), ("", 1)])
def test_spans_can_be_kept_in_opensearch(jaeger_program: Path, url: str, code: int) -> None:
    """The other store's configuration is one that Jaeger takes, if it is told an address."""
    done = subprocess.run(
        [str(jaeger_program), "validate", *configuration("opensearch.yaml")],
        env={"OPENSEARCH_URL": url, "OPENSEARCH_USER": "jaeger"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == code, done.stderr


def test_jaegers_pages_link_what_spans_say() -> None:
    """Each link of ui.json hangs on an attribute of docs/tracing.md, and uses that alone."""
    documented = (ROOT / "docs" / "tracing.md").read_text()
    links = json.loads((DEPLOY / "jaeger" / "ui.json").read_text())["linkPatterns"]

    assert links
    for link in links:
        assert f"`{link['key']}`" in documented
        assert re.findall(r"#\{(.*?)\}", link["url"]) == [link["key"]]


@pytest.mark.stack
@pytest.mark.parametrize("ends", ["stops", "is killed"])
def test_lines_of_a_trace_are_found_in_all_services(logs: Backend, ends: str) -> None:
    """A trace id finds its lines, whoever wrote them, also after Loki has ended in either way."""
    sent = push(
        logs,
        Line(body="order taken", service="shop", trace_id=TRACE),
        Line(body="order shipped", trace_id=TRACE, attributes={"flow_run_id": RUN}),
        Line(body="other", trace_id=TRACE[::-1]),
    )
    if ends == "is killed":
        logs.process.kill()
    logs.process.restart()
    found = lines_of(logs, f'{{service_name=~".+"}} | trace_id="{TRACE}"')

    assert sent.is_success
    assert sorted(line for _, line in found) == ["order shipped", "order taken"]
    assert [labels.get("flow_run_id") for labels, line in found if "shipped" in line] == [RUN]


@pytest.mark.stack
def test_ids_are_no_labels(logs: Backend) -> None:
    """Service and environment are labels, and nothing that has a value for each run or process."""
    push(logs, Line(body="order shipped", trace_id=TRACE, attributes={"flow_run_id": RUN}))

    assert sorted(logs.get("/loki/api/v1/labels").json()["data"]) == [
        "deployment_environment_name",
        "service_name",
    ]


@pytest.mark.stack
def test_late_lines_are_taken_and_too_old_ones_are_not(logs: Backend) -> None:
    """A line may come half an hour after newer ones; one too old is refused, and alone."""
    push(logs, Line(body="newest"))
    late = push(logs, Line(body="late", age=1_800))
    mixed = push(logs, Line(body="too old", age=8 * DAY), Line(body="with it"))
    found = lines_of(logs, '{service_name="etl"}')

    assert late.is_success
    assert mixed.status_code == httpx.codes.BAD_REQUEST
    assert sorted(line for _, line in found) == ["late", "newest", "with it"]


@pytest.mark.stack
def test_overlong_lines_are_cut(logs: Backend) -> None:
    """Of a line of a megabyte the first 256 KiB are kept."""
    push(logs, Line(body="x" * 1_000_000))
    ((_, line),) = lines_of(logs, '{service_name="etl"}')

    assert len(line) == 256 * 1024


@pytest.mark.stack
def test_large_requests_are_taken(logs: Backend) -> None:
    """Many megabytes at once are kept: what is refused as "busy" the collector sends for ever."""
    assert push(logs, *[Line(body="x" * 200_000)] * 60).is_success


@pytest.mark.stack
def test_a_flood_of_streams_is_told_to_wait(logs: Backend) -> None:
    """Too many services are refused, in a way that lets the collector try again."""
    many = push(logs, *[Line(body="x", service=f"service-{number}") for number in range(2_500)])

    assert many.status_code == httpx.codes.TOO_MANY_REQUESTS


@pytest.mark.stack
def test_lines_are_deleted_by_age_alone(loki_program: Path, tmp_path: Path) -> None:
    """The retention is what is said, the compactor keeps to it, and nobody deletes by request."""
    with loki(loki_program, tmp_path, retention="48h") as running:
        config = running.get("/config").text
        refused = running.post('/loki/api/v1/delete?query={service_name="etl"}&start=0', {})

    assert re.findall(r"^ +retention_period: (.*)$", config, re.MULTILINE)[0] == "2d"
    assert "retention_enabled: true" in config
    assert refused.is_client_error


@pytest.mark.stack
def test_loki_calls_nobody(logs: Backend) -> None:
    """Neither usage reports nor a ruler run."""
    services = logs.get("/services").text

    assert "ruler" not in services
    assert "usage-report" not in services
