"""The example of docs/logging.md: one id in lines, spans, metric points and the response."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

import otlp_receiver
from demo.api import ask
from demo.prefect_server import PrefectServer, start_prefect_server
from demo.processes import Process, Program, answers_at, free_port, wait_until
from demo.sandbox import Sandbox
from otlp_receiver import OtlpReceiver, ReceivedSpan
from received_metrics import ReceivedMetric, ReceivedPoint

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "logging.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "examples" / "correlation"

GOOD, BAD = "ord-42", "ord-43"
SHOWN = ("event", "logger", "trace_id", "span_id", "task")
METERS = ("shop_items_shipped", "prefect_sdk_io_records_total", "prefect_sdk_errors_total")

BLOCKS = ("response", "lines", "tree", "points", "failure")

MADE_UP = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"  # ids of runs
    r"|(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])"  # of traces
    r"|(?<=span_id\":\")\w+|(?<=span_id\": \")\w+|(?<=-)[0-9a-f]{16}(?=-0\d)"  # of spans
    r"|(?<=run ')[\w-]+(?=')|(?<=_run_name\": \")[\w-]+(?=\")"
    r"|\d{4}-\d\d-\d\dT[\d:.]+Z|(?<=\"seconds\": )[\d.]+|(?<=127\.0\.0\.1:)\d+"
)
"""What is another one each time; a failure's fingerprint is none of it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What two orders have left: a good one and one that fails.

    Args:
        responses: of the shop, by correlation id.
        lines: on the standard output of shop and warehouse, in the order of their times.
        spans: at the receiver.
        metrics: at the receiver.
        stdout: of the shop.
    """

    responses: Mapping[str, httpx.Response]
    lines: Sequence[Mapping[str, Any]]
    spans: Sequence[ReceivedSpan]
    metrics: Sequence[ReceivedMetric]
    stdout: str

    def trace_id(self, correlation_id: str) -> str:
        """Return the trace that a response names."""
        found: str = self.responses[correlation_id].headers["traceparent"].split("-")[1]
        return found

    def lines_of(self, correlation_id: str) -> list[Mapping[str, Any]]:
        """Return the lines that have the id."""
        return [each for each in self.lines if each.get("correlation_id") == correlation_id]

    def spans_of(self, correlation_id: str) -> list[ReceivedSpan]:
        """Return the spans of the trace."""
        return [each for each in self.spans if each.trace_id == self.trace_id(correlation_id)]


@pytest.fixture(scope="module")
def seen() -> Iterator[Seen]:
    """Start everything, as the docs say, place both orders, and wait until all has arrived."""
    with Sandbox() as sandbox, OtlpReceiver() as receiver:
        server = start_prefect_server(sandbox)
        warehouse = _start(sandbox, server, receiver, "warehouse", "flows.py")
        url = f"http://127.0.0.1:{free_port()}"
        serve = ["-m", "uvicorn", "app:app", "--port", url.rpartition(":")[2]]
        shop = _start(sandbox, server, receiver, "shop", *serve, ready=f"{url}/openapi.json")
        with server.client() as client:
            wait_until(
                lambda: bool(ask(client, "/deployments/filter")), within=180, what="a deployment"
            )
        responses = {
            order: httpx.post(
                f"{url}/orders",
                params={"item": "tea", "quantity": quantity},
                headers={"X-Correlation-ID": order},
                timeout=30,
                trust_env=False,
            )
            for order, quantity in {GOOD: 2, BAD: 200}.items()
        }
        wait_until(lambda: _has_all(receiver, warehouse), within=120, what="all of both orders")
        lines = _json_lines(shop) + _json_lines(warehouse)
        yield Seen(
            responses,
            sorted(lines, key=lambda line: line["time"]),
            receiver.spans(),
            receiver.metrics(),
            shop.log.read_text(),
        )


@pytest.fixture(scope="module")
def shown(seen: Seen) -> Mapping[str, str]:
    """Return what has been seen as the page shows it, by the blocks' names."""
    response = seen.responses[GOOD]
    headers = [f"{name}: {response.headers[name]}" for name in ("x-correlation-id", "traceparent")]
    status = f"HTTP/1.1 {response.status_code} {response.reason_phrase}"
    lines = [{key: line[key] for key in SHOWN if key in line} for line in seen.lines_of(GOOD)]
    points = [_points(seen.metrics, seen.trace_id(order)) for order in (GOOD, BAD)]
    (failure,) = (each for each in seen.lines_of(BAD) if each["event"] == "Task run failed")
    return {
        "response": "\n".join([status, *headers, "", response.text]),
        "lines": "\n".join(json.dumps(each, separators=(",", ":")) for each in lines),
        "tree": otlp_receiver.tree(seen.spans_of(GOOD), "correlation_id", "prefect.io.records"),
        "points": "\n".join(point for each in points for point in each),
        "failure": json.dumps(failure, indent=2),
    }


@pytest.mark.parametrize("name", BLOCKS)
def test_page_shows_what_is_seen(shown: Mapping[str, str], name: str) -> None:
    """Each block is as it arrives, and an id that stands in several of them is the same one."""
    page = {each: _block(each) for each in BLOCKS}

    assert _alike(page)[name] == _alike(shown)[name], shown[name]


@pytest.mark.parametrize("order", [GOOD, BAD])
def test_one_id_leads_to_everything(seen: Seen, order: str) -> None:
    """The response, each line and each run have the id, and all of them are of one trace."""
    spans, lines = seen.spans_of(order), seen.lines_of(order)
    runs = [span for span in spans if span.name.startswith(("POST ", "flow ", "task "))]

    assert order == seen.responses[order].headers["x-correlation-id"]
    assert {"shop", "prefect.flow_runs", "prefect.task_runs"} <= {line["logger"] for line in lines}
    assert {seen.trace_id(order)} == {line["trace_id"] for line in lines}
    assert {line["span_id"] for line in lines} <= {span.span_id for span in spans}
    assert {order} == {span.attributes["correlation_id"] for span in runs}


def test_only_the_failing_order_fails(seen: Seen) -> None:
    """Neither lines nor spans of the other one speak of an error."""
    assert {"info"} == {line["level"] for line in seen.lines_of(GOOD)}
    assert {"error", "info"} == {line["level"] for line in seen.lines_of(BAD)}
    assert [] == [span.name for span in seen.spans_of(GOOD) if "error.type" in span.attributes]


def test_standard_output_of_the_shop_is_json(seen: Seen) -> None:
    """Whoever reads the lines by a program meets nothing else."""
    for line in seen.stdout.splitlines():
        assert isinstance(json.loads(line), dict), line


def _start(
    sandbox: Sandbox,
    server: PrefectServer,
    receiver: OtlpReceiver,
    name: str,
    *arguments: str,
    ready: str = "",
) -> Process:
    """Start a program of the example in its folder; its log is its standard output alone."""
    env = sandbox.prefect_environment(
        name,
        **server.client_environment,
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.http_endpoint,
        PREFECT_RUNNER_POLL_FREQUENCY="1",
        # Where a machine is busy, the usual second may be too short to send what is left.
        PREFECT_INSTRUMENTATION_EXIT_TIMEOUT="30s",
        PYTHONDONTWRITEBYTECODE="1",
    )
    errors = sandbox.subfolder("logs") / f"{name}.err"
    shell = 'cd "$1" && errors=$2 && shift 2 && exec "$@" 2>"$errors"'
    argv = ["sh", "-c", shell, "sh", str(EXAMPLE), str(errors), sys.executable, *arguments]
    check = answers_at(ready) if ready else lambda: True
    return sandbox.start(Program(name=name, argv=argv, env=env, ready=check))


def _json_lines(process: Process) -> list[dict[str, Any]]:
    """Return the whole lines; `serve()` greets whoever starts it with some that are none."""
    text = process.log.read_text()
    whole = text[: text.rfind("\n") + 1].splitlines()
    return [json.loads(line) for line in whole if line.startswith("{")]


def _has_all(receiver: OtlpReceiver, warehouse: Process) -> bool:
    names = [span.name for span in receiver.spans()]
    logged = [line["event"] for line in _json_lines(warehouse) if "task" not in line]
    return (
        names.count("flow fulfil") == names.count("POST /orders") == 2
        and {metric.name for metric in receiver.metrics()} >= set(METERS)
        and "Flow run failed" in logged
        and "Finished in state Completed()" in logged
    )


def _points(metrics: Sequence[ReceivedMetric], trace_id: str) -> Iterator[str]:
    for name in METERS:
        for metric in metrics:
            if metric.name == name:
                yield from (
                    _point(name, point, trace_id)
                    for point in metric.points
                    if trace_id in {each.trace_id for each in point.exemplars}
                )


def _point(name: str, point: ReceivedPoint, trace_id: str) -> str:
    labels = ",".join(f'{key}="{value}"' for key, value in point.attributes.items() if value)
    return f'{name}{{{labels}}} {point.value:g} # {{trace_id="{trace_id}"}}'


def _block(name: str) -> str:
    """Return what the page shows of this."""
    found = re.search(rf"```seen {name}\n(.*?)\n```", PAGE, re.DOTALL)
    assert found, name
    return found[1]


def _alike(texts: Mapping[str, str]) -> dict[str, str]:
    """Return texts with a number in place of all that is made up, the same for the same."""
    numbers: dict[str, str] = {}
    return {
        name: MADE_UP.sub(lambda found: numbers.setdefault(found[0], f"<{len(numbers)}>"), text)
        for name, text in texts.items()
    }
