"""What the stack's collector lets out: no secret, bounded metrics, logs that Loki can index."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from collector.otlp import Buckets, Sample, exposed
from collector.parts import ROOT
from collector.stack import (
    AGENT,
    POD_LOGS,
    STACK,
    Collector,
    Running,
    Sent,
    attributes,
    record,
    records,
    spans,
    trace_id,
)
from demo.processes import wait_until
from otlp_receiver import Fault, OtlpReceiver

# The first of these tests builds the collector where that was not done.
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

PAGE = ROOT / "docs" / "collector.md"
CALLS = "traces_span_metrics_calls_total"
DURATION = "traces_span_metrics_duration_milliseconds"
BROKEN = b"\xff\xfe\x80\xc3"
SECRETS = (
    "Authorization: Bearer abc.def-123456",
    "connect postgresql+asyncpg://joe:hunter2@db:5432/shop",
    '{"user": "joe", "api_key": "hunter2"}',
    "GET /p?page=2&token=hunter2",
    "password=hunter2",
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_hunter2hunter2hunter2hunter2hunter2",
    "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----",
    "card 4111 1111 1111 1111 was refused",
)
NEVER = ("hunter2", "abc.def", "AKIAIOSF", "1111 1111")
HARMLESS = "Basic checks of 12 tokens: author=joe, 3 retries"


@pytest.fixture(name="backend")
def _backend() -> Iterator[OtlpReceiver]:
    """What stands where Jaeger and Loki would."""
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture(name="running")
def _running(tmp_path: Path, otelcol: Path, backend: OtlpReceiver) -> Iterator[Running]:
    """The collector of the stack before them."""
    env = {"JAEGER_ENDPOINT": backend.grpc_endpoint, "LOKI_ENDPOINT": backend.http_endpoint}
    with Collector(otelcol, tmp_path, env).gateway() as running:
        yield running


def calls(running: Running) -> Mapping[frozenset[tuple[str, str]], float | Buckets]:
    """Return how many spans were counted, by their labels."""
    return {each.labels: each.value for each in exposed(running.page()) if each.name == CALLS}


def counted(running: Running) -> float:
    """Return how many spans were counted in all."""
    return sum(value for value in calls(running).values() if not isinstance(value, Buckets))


def test_no_secret_leaves_in_a_span(running: Running, backend: OtlpReceiver) -> None:
    """Names, messages, attributes, events and resources are looked through; the rest stays."""
    values = {f"text.{number}": text for number, text in enumerate(SECRETS)}
    given = values | {"db.password": "hunter2", "nested": {"apiKey": "hunter2"}, "note": HARMLESS}
    sent = [
        Sent(1, number, name=text, message=text, failed=True, attributes=given, event=given)
        for number, text in enumerate(SECRETS, 1)
    ]
    running.send("traces", spans(sent, process__command_line="run --token=hunter2"))
    found = backend.wait_for(lambda found: len(found) == len(SECRETS))
    wait_until(lambda: counted(running) == len(SECRETS), within=30, what="metrics")

    out = repr(found) + running.page()
    assert [] == [text for text in NEVER if text in out]
    assert {HARMLESS} == {span.attributes["note"] for span in found}
    assert {"****"} == {span.attributes["db.password"] for span in found}


def test_no_secret_leaves_in_a_log(running: Running, backend: OtlpReceiver) -> None:
    """Bodies, as text and as objects, and attributes are looked through; the rest stays."""
    given = [record(text, text=text, secret="hunter2") for text in SECRETS]  # noqa: S106  # a fake
    nested = {"kvlistValue": {"values": attributes({"password": "hunter2", "user": "joe"})}}
    running.send("logs", records([*given, record(HARMLESS), record("") | {"body": nested}]))
    found = backend.wait_for_logs(lambda found: len(found) == len(given) + 2)

    assert [] == [text for text in NEVER if text in repr(found)]
    assert HARMLESS in [each.body for each in found]
    assert "joe" in repr(found[-1].body)


def test_ids_of_a_log_are_no_part_of_its_resource(running: Running, backend: OtlpReceiver) -> None:
    """Ids are attributes and the trace context; the resource has what may be a label of Loki."""
    ids = {"correlation_id": "ord-42", "flow_run_id": "0b7a3f5c", "flow": "fulfil", "attempt": 1}
    context = {"traceId": trace_id(1), "spanId": "00f067aa0ba902b7"}
    running.send(
        "logs",
        records(
            [record("one", **ids) | context, record("two")],
            service__instance__id="a1",
            process__pid=7,
            host__name="node-1",
            flow_run_id="0b7a3f5c",
            deployment__environment__name="production",
        ),
    )
    one, two = backend.wait_for_logs(lambda found: len(found) == 2)

    assert {"service.name": "etl", "deployment.environment.name": "production"} == one.resource
    assert ids | {"attempt": "1", "host": "node-1"} == one.attributes
    assert {"host": "node-1"} == two.attributes
    assert (trace_id(1), "00f067aa0ba902b7") == (one.trace_id, one.span_id)
    assert ("one", "INFO") == (one.body, one.severity)


def test_log_of_any_size_is_one_that_loki_takes(running: Running, backend: OtlpReceiver) -> None:
    """Body and attributes are cut to Loki's limits: 256 KB, 128 attributes, 64 KB in all."""
    many = {f"key-{number}": "x" * 5_000 for number in range(300)}
    more: dict[str, object] = {"k" * 300: "x", "correlation_id": "ord-42"}
    frames = {"exc_type": "ValueError", "frames": "f" * 50_000}
    huge = record("b" * 500_000, **many, **more, exception=frames, nested={"a": {"b": "x" * 9_000}})
    running.send("logs", records([huge]))
    (found,) = backend.wait_for_logs(lambda found: len(found) == 1)

    assert len(str(found.body)) == 128 * 1024
    assert len(found.attributes) <= 128
    size = sum(len(name) + len(str(value)) for name, value in found.attributes.items())
    assert size <= 64 * 1024
    assert "ord-42" == found.attributes["correlation_id"]
    assert str(found.attributes["exception"]).startswith('{"exc_type":"ValueError"')


def test_spans_are_counted_before_any_is_left_out(running: Running) -> None:
    """Jaeger's monitor finds its series, of all processes together, and no id is a label."""
    run = {"prefect.flow_run.id": "0b7a3f5c", "flow_run_id": "0b7a3f5c"}
    for process in ("a", "b"):
        sent = [Sent(number, attributes=run, failed=number == 1) for number in range(1, 101)]
        running.send("traces", spans(sent, service__instance__id=process, process__pid=process))
    wait_until(lambda: counted(running) == 200, within=30, what="all spans")

    labels = {"service_name": "etl", "span_name": "task load", "span_kind": "SPAN_KIND_INTERNAL"}
    expected = {"STATUS_CODE_UNSET": 198.0, "STATUS_CODE_ERROR": 2.0}
    assert {
        frozenset((labels | {"status_code": code}).items()): number
        for code, number in expected.items()
    } == calls(running)
    assert f"{DURATION}_bucket{{" in running.page()
    assert "0b7a3f5c" not in running.page()


def test_count_of_spans_leads_to_a_trace(running: Running) -> None:
    """A total, and a bucket, carries a trace of the spans that it was last moved by."""

    def leads() -> bool:
        running.send("traces", spans([Sent(1)]))
        lines = [line for line in running.page().splitlines() if trace_id(1) in line]
        return {CALLS, f"{DURATION}_bucket"} <= {line.partition("{")[0] for line in lines}

    wait_until(leads, within=30, what="exemplars")


def test_labels_of_spans_are_bounded(running: Running, backend: OtlpReceiver) -> None:
    """A client that makes up names, and services, gets one series for all that is too much."""
    sent = [Sent(number, name=f"GET /{number}") for number in range(1, 3001)]
    running.send("traces", spans(sent))
    for number in range(10):
        running.send("traces", spans([Sent(5000 + number)], service__name=f"service-{number}"))
    wait_until(lambda: counted(running) == 3010, within=60, what="all spans")

    assert len(calls(running)) <= 2001
    assert frozenset({("otel_metric_overflow", "true")}) in calls(running)
    long = "n" * 100_000
    running.send("traces", spans([Sent(9000, name=long, failed=True)]))
    found = backend.wait_for(lambda found: any(span.status == "ERROR" for span in found))
    assert {"n" * 256} == {span.name for span in found if span.status == "ERROR"}


def test_run_id_is_no_label_of_a_metric(running: Running) -> None:
    """A point with an id adds to the series without it."""
    for number in range(3):
        point = {
            "startTimeUnixNano": "1",
            "timeUnixNano": "2",
            "asInt": "2",
            "attributes": attributes(
                {"flow": "nightly", "flow_run_id": f"run-{number}", "prefect.task_run.id": number}
            ),
        }
        total = {"aggregationTemporality": 1, "isMonotonic": True, "dataPoints": [point] * 2}
        metrics = [{"name": "shop_orders_total", "sum": total}]
        request = {"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]}
        running.send("metrics", request)

    expected = Sample("sum", "shop_orders_total", frozenset({("flow", "nightly")}), 12.0)
    wait_until(lambda: expected in exposed(running.page()), within=30, what=f"{expected}")
    assert "run-" not in running.page()


def test_text_that_is_no_utf8_takes_nothing_with_it(
    running: Running, backend: OtlpReceiver
) -> None:
    """What comes in one request with broken text arrives, and so does the broken span."""
    broken = {"text": "XXXX", "kXXXX": "x"}
    sent = [Sent(1, name="XXXX", message="XXXX", failed=True, attributes=broken), Sent(2)]
    body = json.dumps(spans(sent)).encode().replace(b"XXXX", BROKEN)
    answer = httpx.post(
        f"http://{running.http}/v1/traces",
        content=body,
        headers={"Content-Type": "application/json"},
        trust_env=False,
    )
    found = backend.wait_for(lambda found: len(found) == 2)
    wait_until(lambda: counted(running) == 2, within=30, what="both")

    assert 200 == answer.status_code
    assert {trace_id(1), trace_id(2)} == {span.trace_id for span in found}


def test_loki_that_is_away_costs_no_line(running: Running, backend: OtlpReceiver) -> None:
    """Lines wait, over a crash too, and its own metrics say how many bytes do."""
    with backend.failing(Fault.REFUSED):
        running.send("logs", records([record("kept")]))
        wait_until(
            lambda: running.own("otelcol_exporter_queue_size", data_type="logs") > 0,
            within=30,
            what="a queue",
        )
        running.process.kill()
        running.process.start()
        running.process.wait_ready()
    found = backend.wait_for_logs(lambda found: len(found) > 0)

    assert ["kept"] == [each.body for each in found]


def test_page_names_each_variable() -> None:
    """What a file takes is in its header and on the page."""
    for path in (*STACK, *POD_LOGS, AGENT, AGENT.with_name("kubernetes.yaml")):
        text = path.read_text()
        header = text.partition("\n\n")[0].splitlines()
        named = "\n".join(line for line in header if line.startswith("#"))
        taken = {part.partition("}")[0].partition(":-")[0] for part in text.split("${env:")[1:]}
        assert set() == {name for name in taken if name not in named}, path.name
        assert set() == {name for name in taken if f"`{name}`" not in PAGE.read_text()}, path.name
