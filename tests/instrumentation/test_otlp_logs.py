"""Log records leave a process by OTLP, and never keep it: each test is a real process."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from exporting import Ended, run, started, variables
from otlp_receiver import Fault, OtlpReceiver

PROTOCOLS = ("http/protobuf", "grpc")
ON = {"OTEL_LOGS_EXPORTER": "otlp"}
PATIENT = {"PREFECT_INSTRUMENTATION_EXIT_TIMEOUT": "30"}
"""What a busy machine needs for all to arrive."""

BRIEF = {"PREFECT_INSTRUMENTATION_EXIT_TIMEOUT": "1"}
NOISE = 5.0
"""Seconds by which a busy machine may be late; exporters by themselves try for 10 s."""

LOGGING = """
import logging, time, sys
from opentelemetry import trace
from prefect_instrumentation import _provider
from prefect_instrumentation._logs.handler import LogHandler
from prefect_instrumentation._logs.otlp import OtlpSink
from prefect_instrumentation._settings import current
lines = logging.StreamHandler()
handler = LogHandler([OtlpSink(current())])
logging.basicConfig(format="%(message)s", level=logging.INFO, handlers=[handler, lines])
logger = logging.getLogger("shop")
lines.setLevel("WARNING")
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


def logged(
    code: str, receiver: OtlpReceiver, protocol: str = PROTOCOLS[0], **environ: str
) -> Ended:
    """Run code in a process that sends the records of `logger`, and shows its warnings."""
    everything = variables(receiver, protocol) | ON | PATIENT | environ
    return run(code, everything, prelude=LOGGING)


def bodies(receiver: OtlpReceiver) -> list[object]:
    """Return what was said."""
    return [each.body for each in receiver.logs()]


@by_each_protocol
def test_record_leads_to_its_span(receiver: OtlpReceiver, protocol: str) -> None:
    """It has the ids of the span around it, the level, the time, and the line's other keys."""
    code = """
_provider.ensure_provider()
logger.info("outside")
with trace.get_tracer("test").start_as_current_span("one"):
    before = time.time_ns() // 1000 * 1000
    logger.warning("sold %d", 3, extra={"customer": "c-7", "items": [{"id": 1}, "x"]})
    print(before, time.time_ns())
"""
    process = logged(code, receiver, protocol)
    outside, sold = receiver.logs()
    (span,) = receiver.spans()
    earliest, latest = map(int, process.lines[0].split())

    assert ("sold 3", "WARN", "WARNING") == (sold.body, sold.severity, sold.severity_text)
    assert (span.trace_id, span.span_id) == (sold.trace_id, sold.span_id)
    assert {"logger": "shop", "customer": "c-7", "items": ({"id": 1}, "x")} == sold.attributes
    assert earliest <= sold.time_ns <= latest
    assert span.resource == sold.resource
    assert ("outside", "INFO", "", "") == (
        outside.body,
        outside.severity,
        outside.trace_id,
        outside.span_id,
    )


def test_exception_is_named_as_opentelemetry_does(receiver: OtlpReceiver) -> None:
    """Its type, message and stack trace, the cause first, are from what the line has too."""
    code = """
def buy():
    raise ValueError("no stock")
try:
    try:
        buy()
    except ValueError as error:
        raise RuntimeError("no sale") from error
except RuntimeError:
    logger.exception("failed")
"""
    logged(code, receiver)
    (record,) = receiver.logs()
    trace = str(record.attributes["exception.stacktrace"])

    assert ("RuntimeError", "no sale") == (
        record.attributes["exception.type"],
        record.attributes["exception.message"],
    )
    assert trace.index("in buy") < trace.index("ValueError: no stock")
    assert trace.endswith("RuntimeError: no sale")


def test_no_value_costs_the_batch(receiver: OtlpReceiver) -> None:
    """What protobuf cannot hold is sent as text, and the records beside it arrive."""
    code = """
deep = "end"
for _ in range(50):
    deep = [deep]
class Hostile:
    def __str__(self):
        raise ValueError
sink = handler._sinks[0]
text = "lone \\ud800"
for value in (2**70, -(2**70), text, {1: {2: {text}}}, deep, Hostile(), float("nan")):
    record = logging.makeLogRecord({"name": "shop", "levelno": 47, "created": time.time()})
    sink.write({"event": "\\ud800", "value": value, "trace_id": "?", "span_id": "?"}, record)
logger.info("last")
"""
    process = logged(code, receiver)

    assert 8 == len(receiver.logs())
    assert str(2**70) == receiver.logs()[0].attributes["value"]
    assert "ERROR4" == receiver.logs()[0].severity
    assert () == process.complaints


def test_span_of_the_event_wins(receiver: OtlpReceiver) -> None:
    """A record that is handed on by another thread belongs where it was made."""
    code = """
record = logging.makeLogRecord({"name": "shop", "levelno": 20, "created": time.time()})
with trace.get_tracer("test").start_as_current_span("one"):
    event = {"event": "moved", "trace_id": "a1" * 16, "span_id": "b2" * 8}
    handler._sinks[0].write(event, record)
"""
    logged(code, receiver)
    (record,) = receiver.logs()

    assert ("a1" * 16, "b2" * 8) == (record.trace_id, record.span_id)


@by_each_protocol
def test_exporters_do_not_feed_on_themselves(receiver: OtlpReceiver, protocol: str) -> None:
    """With every logger at its loudest only what the user's code says is sent."""
    code = """
logging.root.setLevel(1)
for number in range(20):
    logger.info("line %d", number)
    logging.getLogger("urllib3.user").debug("the user's own")
    time.sleep(0.02)
"""
    with receiver.failing(Fault.SERVER_ERROR):
        logged(code, receiver, protocol, OTEL_BLRP_SCHEDULE_DELAY="10", **BRIEF)
    process = logged(code, receiver, protocol, OTEL_BLRP_SCHEDULE_DELAY="10")
    loggers = {each.attributes["logger"] for each in receiver.logs()}

    assert {"shop", "urllib3.user"} == loggers - {"asyncio"}
    assert 40 == len(receiver.logs())
    assert () == process.complaints


def test_sdk_waits_for_the_first_record(receiver: OtlpReceiver) -> None:
    """Whoever never logs does not pay, and whoever logs does not wait."""
    code = """
def loaded():
    return "opentelemetry.sdk._logs" in sys.modules
early = loaded()
logger.info("one")
_provider.flush(30)
print(early, loaded())
"""
    process = logged(code, receiver)

    assert ("False True",) == process.lines
    assert ["one"] == bodies(receiver)


def test_burst_at_the_start_arrives(receiver: OtlpReceiver) -> None:
    """Records of many threads are held while the provider is being set up."""
    code = """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(16) as pool:
    list(pool.map(lambda number: logger.info("line %d", number), range(1000)))
"""
    process = logged(code, receiver)

    assert {f"line {number}" for number in range(1000)} == set(bodies(receiver))
    assert 1000 == len(bodies(receiver))
    assert () == process.complaints


def test_more_than_is_held_is_told_of(receiver: OtlpReceiver) -> None:
    """Memory is bounded, and what found no place is counted."""
    process = logged('for _ in range(30_000): logger.info("line")', receiver)
    arrived = len(receiver.logs())
    (told,) = [line for line in process.complaints if "were not delivered" in line]

    assert arrived >= 2048
    assert told.startswith(f"{30_000 - arrived} of 30000 log records were not delivered.")


@pytest.mark.parametrize(
    "environ",
    [{"OTEL_LOGS_EXPORTER": "none"}, {"OTEL_SDK_DISABLED": "true"}],
    ids=["none", "disabled"],
)
def test_unasked_for_nothing_is_sent(receiver: OtlpReceiver, environ: dict[str, str]) -> None:
    """A sink that somebody has put in place all the same is a sink of nothing."""
    process = logged('logger.info("one")', receiver, **environ)

    assert ((), ()) == (receiver.requests(), process.complaints)


@pytest.mark.parametrize(
    ("environ", "told", "sent"),
    [
        (
            {"OTEL_LOGS_EXPORTER": "syslog"},
            "OTEL_LOGS_EXPORTER='syslog' is not one of otlp, console, none; using none",
            [],
        ),
        (
            {"OTEL_BLRP_MAX_QUEUE_SIZE": "few"},
            "OTEL_BLRP_MAX_QUEUE_SIZE='few' is not a positive whole number; using 2048",
            ["one"],
        ),
    ],
    ids=["exporter", "queue"],
)
def test_bad_value_is_told_in_a_line(
    receiver: OtlpReceiver, environ: dict[str, str], told: str, sent: list[str]
) -> None:
    """The line is a record like any other; there is no deadlock in telling of it."""
    process = logged('logger.info("one")', receiver, **environ)

    assert (told,) == process.complaints
    assert sent == [body for body in bodies(receiver) if body != told]


def test_provider_of_the_user_stays(receiver: OtlpReceiver) -> None:
    """Records go where the user has them go; it is not ours to end."""
    code = """
from opentelemetry._logs import set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
kept = InMemoryLogRecordExporter()
theirs = LoggerProvider(shutdown_on_exit=False)
theirs.add_log_record_processor(SimpleLogRecordProcessor(kept))
set_logger_provider(theirs)
logger.info("one")
print(_provider.flush(30), [each.log_record.body for each in kept.get_finished_logs()])
"""
    process = logged(code, receiver)

    assert ("True ['one']",) == process.lines
    assert ((), ()) == (receiver.logs(), process.complaints)


def test_console_is_an_exporter(receiver: OtlpReceiver) -> None:
    """Records are printed by OpenTelemetry's own exporter."""
    environ = variables(receiver, PROTOCOLS[0]) | PATIENT | {"OTEL_LOGS_EXPORTER": "console"}
    with started('logger.info("one")', environ, prelude=LOGGING) as process:
        output, complaints = process.communicate(timeout=60)

    assert "one" == json.loads(output.partition("\n")[2])["body"]
    assert "" == complaints


@by_each_protocol
@pytest.mark.parametrize("early", ["", "_provider.flush(30)"], ids=["starting", "connected"])
def test_forked_child_sends_its_own(receiver: OtlpReceiver, early: str, protocol: str) -> None:
    """Records come once, from whoever logged them, even if the SDK was just being imported."""
    code = f"""
import multiprocessing, os
def work():
    logger.info("child")
    with trace.get_tracer("test").start_as_current_span("one"):
        pass
logger.info("parent")
{early}
_provider.ask(current())
child = multiprocessing.get_context("fork").Process(target=work)
child.start()
child.join()
_provider.ensure_provider()
print(os.getpid(), child.pid, child.exitcode)
"""
    process = logged(code, receiver, protocol)
    parent, child, status = map(int, process.lines[0].split())
    found = {each.body: each.resource["process.pid"] for each in receiver.logs()}
    instances = {each.resource["service.instance.id"] for each in receiver.logs()}

    assert {"parent": parent, "child": child} == found
    assert (0, 2, 2) == (status, len(receiver.logs()), len(instances))
    assert () == process.complaints


@pytest.mark.parametrize(
    ("fault", "protocol"), list(zip(Fault, PROTOCOLS[::-1] * 3, strict=False)), ids=str
)
def test_bad_collector_delays_no_process(
    receiver: OtlpReceiver, fault: Fault, protocol: str
) -> None:
    """It ends in time and well, tells of the lost records once, and says nothing twice."""
    with receiver.failing(fault, delay_seconds=20):
        process = logged('logger.info("one")', receiver, protocol, **BRIEF)
    (told,) = [line for line in process.complaints if "were not delivered" in line]

    assert process.delay < 1 + NOISE
    assert 0 == process.status
    assert told.startswith("1 of 1 log records were not delivered. Does a collector listen")
    assert told.endswith("With OTEL_LOGS_EXPORTER=none nothing is sent")
    assert len(set(process.complaints)) == len(process.complaints) <= 3


def test_hung_logs_keep_no_spans(receiver: OtlpReceiver) -> None:
    """Each signal leaves by itself, within the same second."""
    code = """
_provider.ensure_provider()
logger.info("one")
trace.get_tracer("test").start_span("one").end()
"""
    with OtlpReceiver() as hole, hole.failing(Fault.BLACK_HOLE):
        endpoint = f"{hole.http_endpoint}/v1/logs"
        process = logged(code, receiver, OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=endpoint, **BRIEF)

    assert ["one"] == [each.name for each in receiver.spans()]
    assert process.delay < 1 + NOISE
    assert process.complaints[-1].startswith("1 of 1 log records were not delivered.")


def test_outage_is_told_once(receiver: OtlpReceiver) -> None:
    """Each kind of failure is one line, however long it lasts and however full the queue is."""
    environ = {
        **BRIEF,
        "OTEL_BLRP_SCHEDULE_DELAY": "10",
        "OTEL_BLRP_MAX_QUEUE_SIZE": "5",
        "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "5",
    }
    code = """
for _ in range(6):
    for _ in range(50):
        logger.info("line")
    time.sleep(0.1)
"""
    with receiver.failing(Fault.SERVER_ERROR):
        process = logged(code, receiver, **environ)

    assert len(receiver.requests()) > 1
    assert 1 == sum("were not delivered" in line for line in process.complaints)
    assert len(set(process.complaints)) == len(process.complaints) <= 3
