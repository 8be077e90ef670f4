"""Metrics leave a process by OTLP, and never keep it: each test is a real process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from exporting import Ended, run, started, variables
from otlp_receiver import Fault, OtlpReceiver, ReceivedMetric

PROTOCOLS = ("http/protobuf", "grpc")
ON = {"OTEL_METRICS_EXPORTER": "otlp"}
PATIENT = {"PREFECT_INSTRUMENTATION_EXIT_TIMEOUT": "30"}
"""What a busy machine needs for all to arrive."""

BRIEF = {"PREFECT_INSTRUMENTATION_EXIT_TIMEOUT": "1"}
NOISE = 5.0
"""Seconds by which a busy machine may be late; exporters by themselves try for 10 s."""

METER = """
from opentelemetry import metrics
meter = metrics.get_meter("test")
rows = meter.create_counter("rows", unit="{row}")
"""

by_each_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)


@pytest.fixture(scope="module")
def _receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture
def receiver(_receiver: OtlpReceiver) -> OtlpReceiver:
    """Return a receiver that has nothing yet."""
    _receiver.clear()
    return _receiver


def measured(
    code: str, receiver: OtlpReceiver, protocol: str = PROTOCOLS[0], **environ: str
) -> Ended:
    """Run code in a process that sends metrics, and has a counter called `rows`."""
    return run(f"{METER}{code}", variables(receiver, protocol) | ON | PATIENT | environ)


def named(receiver: OtlpReceiver, name: str) -> list[ReceivedMetric]:
    """Return a metric of each export that has it."""
    return [each for each in receiver.metrics() if each.name == name]


def values(receiver: OtlpReceiver, name: str) -> list[float | None]:
    """Return the values of a metric's points, in the order of the exports."""
    return [point.value for each in named(receiver, name) for point in each.points]


TWO_EXPORTS = """
runs = meter.create_up_down_counter("active")
seconds = meter.create_histogram("seconds", unit="s")
for number in (2, 3):
    rows.add(number, {"kind": "order"})
    runs.add(1)
    seconds.record(number)
    if number == 2:
        _provider.flush(30)
"""


@by_each_protocol
def test_what_only_grows_is_sent_as_increase(receiver: OtlpReceiver, protocol: str) -> None:
    """Each export has what came since the one before; what goes up and down, its whole value."""
    process = measured(TWO_EXPORTS, receiver, protocol)
    first, second = named(receiver, "rows")
    histograms = [point.histogram for each in named(receiver, "seconds") for point in each.points]

    assert () == process.complaints
    assert ["DELTA", "CUMULATIVE", "DELTA"] == [
        named(receiver, name)[1].temporality for name in ("rows", "active", "seconds")
    ]
    assert ([2, 3], [1, 2]) == (values(receiver, "rows"), values(receiver, "active"))
    assert [(1, 2.0), (1, 3.0)] == [(each.count, each.sum) for each in histograms if each]
    assert ("sum", "{row}", True) == (first.kind, first.unit, first.monotonic)
    assert {"kind": "order"} == first.points[0].attributes
    assert first.points[0].end_ns == second.points[0].start_ns


def test_preference_of_the_user_wins(receiver: OtlpReceiver) -> None:
    """Whoever asks for totals has totals."""
    preference = {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "cumulative"}
    measured(TWO_EXPORTS, receiver, **preference)

    assert ["CUMULATIVE"] * 2 == [each.temporality for each in named(receiver, "rows")]
    assert [2, 5] == values(receiver, "rows")


def test_metrics_leave_by_themselves(receiver: OtlpReceiver) -> None:
    """A process that lives long sends them at the interval of OpenTelemetry's variable."""
    code = """
rows.add(1)
input()
import os
os._exit(0)
"""
    environ = {**variables(receiver, PROTOCOLS[0]), **ON, "OTEL_METRIC_EXPORT_INTERVAL": "50"}
    with started(f"{METER}{code}", environ):
        received = receiver.wait_for_metrics(lambda metrics: len(metrics) > 0, 60)

    assert {"rows"} == {each.name for each in received}


def test_measurement_leads_to_its_trace(receiver: OtlpReceiver) -> None:
    """An exemplar has the ids of the span, and both have the same resource."""
    code = """
with trace.get_tracer("test").start_as_current_span("one"):
    rows.add(1)
"""
    measured(code, receiver)
    (span,) = receiver.spans()
    (metric,) = named(receiver, "rows")
    (exemplar,) = metric.points[0].exemplars

    assert (span.trace_id, span.span_id) == (exemplar.trace_id, exemplar.span_id)
    assert span.resource == metric.resource


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_METRICS_EXPORTER": ""},
        {"OTEL_METRICS_EXPORTER": "none"},
        {"OTEL_SDK_DISABLED": "true"},
    ],
    ids=["unset", "none", "disabled"],
)
def test_unasked_for_nothing_is_sent(receiver: OtlpReceiver, environ: dict[str, str]) -> None:
    """Nor is what metrics need imported."""
    code = 'import sys\nrows.add(1)\nprint("opentelemetry.sdk.metrics._internal" in sys.modules)'
    process = measured(code, receiver, **environ)

    assert () == receiver.metrics()
    assert (("False",), ()) == (process.lines, process.complaints)


@pytest.mark.parametrize(("environ", "sent"), [({}, [1]), ({"OTEL_METRICS_EXPORTER": "none"}, [])])
def test_setting_asks_for_metrics(
    receiver: OtlpReceiver, environ: dict[str, str], sent: list[float]
) -> None:
    """They go by OTLP then, unless the variable says otherwise."""
    code = f"""
from prefect_instrumentation import _provider
from prefect_instrumentation._settings import Settings
_provider.ensure_provider(Settings(metrics=True, exit_timeout=30))
{METER}
rows.add(1)
"""
    run(code, variables(receiver, PROTOCOLS[0]) | environ, prelude="")

    assert sent == values(receiver, "rows")


@pytest.mark.parametrize(
    ("environ", "told", "sent"),
    [
        (
            {"OTEL_METRICS_EXPORTER": "statsd"},
            "OTEL_METRICS_EXPORTER='statsd' is not one of otlp, console, none; using none",
            [],
        ),
        (
            {"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "smtp"},
            (
                "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL='smtp' is not one of http/protobuf, grpc;"
                " using http/protobuf"
            ),
            [1],
        ),
        (
            {"OTEL_METRIC_EXPORT_INTERVAL": "0"},
            "OTEL_METRIC_EXPORT_INTERVAL='0' is not a positive whole number; using 60000",
            [1],
        ),
        (
            {"PREFECT_INSTRUMENTATION_PUSHGATEWAY": "ftp://gate"},
            (
                "Metrics go to no Pushgateway: PREFECT_INSTRUMENTATION_PUSHGATEWAY is not an"
                " address such as http://pushgateway:9091"
            ),
            [1],
        ),
    ],
    ids=["exporter", "protocol", "interval", "pushgateway"],
)
def test_bad_value_is_told_in_a_line(
    receiver: OtlpReceiver, environ: dict[str, str], told: str, sent: list[float]
) -> None:
    """The rest goes on."""
    process = measured("rows.add(1)", receiver, **environ)

    assert (told,) == process.complaints
    assert sent == values(receiver, "rows")


def test_provider_of_the_user_stays(receiver: OtlpReceiver) -> None:
    """It is neither replaced nor shut down, and a flush is its flush too."""
    code = f"""
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
class Reader(InMemoryMetricReader):
    def force_flush(self, timeout_millis=0):
        print("flushed")
        return super().force_flush(timeout_millis)
    def shutdown(self, timeout_millis=0, **named):
        print("shut down")
theirs = MeterProvider([Reader()], shutdown_on_exit=False)
metrics.set_meter_provider(theirs)
from prefect_instrumentation import _provider
_provider.ensure_provider()
{METER}
rows.add(1)
print(metrics.get_meter_provider() is theirs, _provider.flush(5))
"""
    process = run(code, variables(receiver, PROTOCOLS[0]) | ON, prelude="")

    assert (("flushed", "True True"), ()) == (process.lines, process.complaints)
    assert () == receiver.metrics()


@by_each_protocol
def test_forked_child_sends_its_own(receiver: OtlpReceiver, protocol: str) -> None:
    """What its parent has measured is not sent twice; it says which process it is, on all."""
    code = """
import multiprocessing, os
rows.add(10)
def work():
    rows.add(1)
    make(1)
child = multiprocessing.get_context("fork").Process(target=work)
child.start()
child.join()
rows.add(100)
print(os.getpid(), child.pid)
"""
    process = measured(code, receiver, protocol)
    parent, child = map(int, process.lines[0].split())
    sums = {
        each.resource["process.pid"]: [point.value for point in each.points]
        for each in named(receiver, "rows")
    }
    (span,) = receiver.spans()
    (metric,) = [each for each in named(receiver, "rows") if each.points[0].value == 1]

    assert {parent: [110], child: [1]} == sums
    assert span.resource == metric.resource
    assert () == process.complaints


@pytest.mark.parametrize(
    ("fault", "protocol"), list(zip(Fault, PROTOCOLS * 3, strict=False)), ids=str
)
def test_bad_collector_delays_no_process(
    receiver: OtlpReceiver, fault: Fault, protocol: str
) -> None:
    """It ends in time and well, and tells in one line of all that is lost."""
    with receiver.failing(fault, delay_seconds=20):
        process = measured("rows.add(1)\nmake(3)", receiver, protocol, **BRIEF)
    (told,) = [line for line in process.complaints if "were not delivered" in line]

    assert process.delay < 1 + NOISE
    assert 0 == process.status
    assert told.startswith("3 of 3 spans, 1 of 1 exports of metrics were not delivered. Does")
    assert told.endswith("OTEL_TRACES_EXPORTER=none, OTEL_METRICS_EXPORTER=none nothing is sent")
    assert len(set(process.complaints)) == len(process.complaints)


def test_hung_metrics_keep_no_spans(receiver: OtlpReceiver) -> None:
    """Each signal leaves by itself, within the same second."""
    with OtlpReceiver() as hole, hole.failing(Fault.BLACK_HOLE):
        endpoint = f"{hole.http_endpoint}/v1/metrics"
        process = measured(
            "rows.add(1)\nmake(3)",
            receiver,
            OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=endpoint,
            **BRIEF,
        )

    assert 3 == len(receiver.spans())
    assert process.delay < 1 + NOISE
    assert process.complaints[-1].startswith("1 of 1 exports of metrics were not delivered.")
