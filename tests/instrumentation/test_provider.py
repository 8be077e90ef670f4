"""Spans leave a process, and never keep it: each test is a real process with real sockets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from textwrap import dedent

import pytest

from exporting import START, Ended, ended, run, started, variables
from otlp_receiver import Fault, OtlpReceiver

PROTOCOLS = ("http/protobuf", "grpc")
NOWHERE = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}

PATIENT = {"PREFECT_INSTRUMENTATION_EXIT_TIMEOUT": "30"}
"""What a busy machine needs for all to arrive."""

NOISE = 5.0
"""Seconds by which a busy machine may be late; exporters by themselves try for 10 s."""

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


def losses(process: Ended) -> list[str]:
    """Return the lines that count lost spans."""
    return [line for line in process.complaints if "were not delivered" in line]


def lost(few: int, many: int) -> list[str]:
    """Return the one line that counts so many lost spans."""
    line = (
        f"{few} of {many} spans were not delivered. Does a collector listen where"
        " OTEL_EXPORTER_OTLP_ENDPOINT says, and speak OTEL_EXPORTER_OTLP_PROTOCOL (port 4317 is"
        " mostly grpc, 4318 http/protobuf)? With OTEL_TRACES_EXPORTER=none nothing is sent"
    )
    return [line]


@by_each_protocol
def test_every_span_arrives(receiver: OtlpReceiver, protocol: str) -> None:
    """A process that ends at once delivers all of its spans first, and says nothing."""
    process = run("make(1500)", variables(receiver, protocol) | PATIENT)

    assert sorted(f"span {number}" for number in range(1500)) == sorted(
        span.name for span in receiver.spans()
    )
    assert () == process.complaints
    assert 0 == process.status


@by_each_protocol
@pytest.mark.parametrize("fault", list(Fault))
def test_bad_collector_delays_no_process(
    receiver: OtlpReceiver, fault: Fault, protocol: str
) -> None:
    """It ends in time and well, tells of the lost spans once, and says nothing twice."""
    with receiver.failing(fault, delay_seconds=20):
        process = run("make(3)", variables(receiver, protocol))

    assert process.delay < 1 + NOISE
    assert 0 == process.status
    assert lost(3, 3) == losses(process)
    assert len(set(process.complaints)) == len(process.complaints)
    assert len(process.complaints) <= 3


@by_each_protocol
def test_collector_may_go(receiver: OtlpReceiver, protocol: str) -> None:
    """What had arrived before is not counted as lost."""
    code = """
        make(2)
        input()
        make(3)
    """
    with started(code, variables(receiver, protocol)) as process:
        receiver.wait_for(lambda spans: len(spans) == 2, 60)
        with receiver.failing(Fault.REFUSED):
            assert process.stdin
            process.stdin.write("gone\n")
            process.stdin.flush()
            result = ended(process)

    assert lost(3, 5) == losses(result)
    assert result.delay < 1 + NOISE


@by_each_protocol
def test_long_outage_is_told_once(receiver: OtlpReceiver, protocol: str) -> None:
    """Each kind of failure is one line, however often exports fail and spans find no place."""
    environ = {
        **variables(receiver, protocol),
        "OTEL_BSP_SCHEDULE_DELAY": "10",
        "OTEL_BSP_MAX_QUEUE_SIZE": "5",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "5",
    }
    code = """
        for second in range(6):
            make(50)
            time.sleep(0.1)
    """
    with receiver.failing(Fault.SERVER_ERROR):
        process = run(code, environ)

    assert len(receiver.requests()) > 1
    assert lost(300, 300) == losses(process)
    assert 3 == len(process.complaints)
    assert any("Queue full" in line for line in process.complaints)


@by_each_protocol
def test_flush_and_exit_share_a_second(receiver: OtlpReceiver, protocol: str) -> None:
    """A flush that fails says so in time, and leaves nothing to wait for at the end."""
    environ = {**variables(receiver, protocol), "PREFECT_INSTRUMENTATION_EXIT_TIMEOUT": "4"}
    code = """
        make(3)
        before = time.monotonic()
        print(_provider.flush(30), _provider.flush(30))
        print(time.monotonic() - before)
    """
    with receiver.failing(Fault.BLACK_HOLE):
        process = run(code, environ)

    answers, flushing = process.lines
    assert "False False" == answers
    assert 3.9 < float(flushing) < 4 + NOISE
    assert process.delay < 3.9
    assert lost(3, 3) == losses(process)


@by_each_protocol
def test_flush_knows_what_arrived(receiver: OtlpReceiver, protocol: str) -> None:
    """A flush that the collector refuses is none, though the SDK takes it for one."""
    code = "make(3)\nprint(_provider.flush(30))"

    good = run(code, variables(receiver, protocol) | PATIENT)
    with receiver.failing(Fault.SERVER_ERROR):
        bad = run(code, variables(receiver, protocol))

    assert (("True",), ("False",)) == (good.lines, bad.lines)
    assert 3 == len(receiver.spans())


def test_exit_timeout_of_zero_is_not_to_wait(receiver: OtlpReceiver) -> None:
    """The process ends as one that has nothing to send."""
    environ = {**variables(receiver, "http/protobuf"), "PREFECT_INSTRUMENTATION_EXIT_TIMEOUT": "0"}
    with receiver.failing(Fault.BLACK_HOLE):
        process = run("make(3)", environ)

    assert process.delay < NOISE
    assert lost(3, 3) == losses(process)


def test_long_exit_timeout_waits_for_a_slow_collector(receiver: OtlpReceiver) -> None:
    """Whoever would rather wait than lose spans has them all."""
    environ = {**variables(receiver, "http/protobuf"), "PREFECT_INSTRUMENTATION_EXIT_TIMEOUT": "30"}
    with receiver.failing(Fault.SLOW, delay_seconds=2.5):
        process = run("make(3)", environ)

    assert () == process.complaints


@by_each_protocol
def test_secrets_stay_out_of_the_log(receiver: OtlpReceiver, protocol: str) -> None:
    """Neither headers, well formed or not, nor credentials in an address show."""
    endpoint = variables(receiver, protocol)["OTEL_EXPORTER_OTLP_ENDPOINT"]
    headers = [
        "authorization=Bearer%20s3cr3t-token",
        "authorization=Bearer s3cr3t-token%0Aw3ird",
        "x-key=s3cr3t%0Aw3ird",
        "s3cr3t-alone",
        "x;y=s3cr3t",
    ]
    seen = ""
    with receiver.failing(Fault.GARBAGE):
        for header in headers:
            environ = {
                **variables(receiver, protocol),
                "PREFECT_INSTRUMENTATION_EXIT_TIMEOUT": "0.4",
                "OTEL_EXPORTER_OTLP_HEADERS": header,
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint.replace("//", "//me:s3cr3t@")
                + "/v1/traces?key=s3cr3t",
            }
            process = run("make(1)", environ)
            seen += "\n".join(process.complaints)
            assert lost(1, 1) == losses(process)

    assert "s3cr3t" not in seen
    assert "w3ird" not in seen


@by_each_protocol
def test_sampled_out_spans_are_not_missed(receiver: OtlpReceiver, protocol: str) -> None:
    """Spans that the sampler drops are neither sent nor counted as lost."""
    process = run("make(3)", variables(receiver, protocol) | {"OTEL_TRACES_SAMPLER": "always_off"})

    assert ((), ()) == (receiver.requests(), process.complaints)


def test_provider_of_the_user_stays(receiver: OtlpReceiver) -> None:
    """It is neither replaced nor shut down, sends what it did, and can be flushed in time."""
    code = """
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        theirs = TracerProvider(shutdown_on_exit=False)
        theirs.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        trace.set_tracer_provider(theirs)
        from prefect_instrumentation import _provider
        _provider.ensure_provider()
        trace.get_tracer("test").start_span("one").end()
        print(trace.get_tracer_provider() is theirs, _provider.flush(30))
        print(_provider.flush(30))
    """
    good = run(code, variables(receiver, "http/protobuf") | PATIENT, prelude="")
    with receiver.failing(Fault.BLACK_HOLE):
        bad = run(code, variables(receiver, "http/protobuf"), prelude="")

    assert (("True True", "True"), ("True False", "False")) == (good.lines, bad.lines)
    assert ["one"] == [span.name for span in receiver.spans()]
    assert bad.delay < NOISE


@pytest.mark.parametrize("value", ["true", " TRUE "])
def test_sdk_can_be_disabled(value: str) -> None:
    """No provider is set up, no span is made, nothing is said."""
    code = "make(3)\nprint(type(trace.get_tracer_provider()).__name__, _provider.flush(1))"

    process = run(code, NOWHERE | {"OTEL_SDK_DISABLED": value})

    assert ("ProxyTracerProvider False",) == process.lines
    assert () == process.complaints


def test_none_exports_nothing() -> None:
    """There are spans, for trace ids are passed on, but they go nowhere."""
    code = """
        span = trace.get_tracer("test").start_span("one")
        print(span.is_recording())
        span.end()
    """
    process = run(code, NOWHERE | {"OTEL_TRACES_EXPORTER": "none"})

    assert (("True",), ()) == (process.lines, process.complaints)
    assert process.delay < NOISE


def test_console_is_an_exporter(receiver: OtlpReceiver) -> None:
    """Spans are printed; with `otlp` beside it, even if the collector hangs."""
    environ = {
        **variables(receiver, "http/protobuf"),
        "OTEL_TRACES_EXPORTER": "otlp, Console",
        "PREFECT_INSTRUMENTATION_EXIT_TIMEOUT": "4",
    }
    with receiver.failing(Fault.BLACK_HOLE), started("make(1)", environ) as process:
        output, complaints = process.communicate(timeout=60)

    assert "span 0" == json.loads(output.partition("\n")[2])["name"]
    assert lost(1, 1) == complaints.splitlines()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "http/json",
            (
                "OTEL_EXPORTER_OTLP_PROTOCOL='http/json' is not one of http/protobuf, grpc;"
                " using http/protobuf"
            ),
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            "smtp",
            (
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL='smtp' is not one of http/protobuf, grpc;"
                " using http/protobuf"
            ),
        ),
        (
            "OTEL_TRACES_EXPORTER",
            "zipkin",
            "OTEL_TRACES_EXPORTER='zipkin' is not one of otlp, console, none; using otlp",
        ),
        (
            "OTEL_BSP_MAX_QUEUE_SIZE",
            "-3",
            "OTEL_BSP_MAX_QUEUE_SIZE='-3' is not a positive whole number; using 2048",
        ),
        (
            "OTEL_BSP_SCHEDULE_DELAY",
            "1s",
            "OTEL_BSP_SCHEDULE_DELAY='1s' is not a positive whole number; using 1000",
        ),
        ("OTEL_TRACES_SAMPLER", "sometimes", "Couldn't recognize sampler sometimes."),
        (
            "PREFECT_INSTRUMENTATION_EXIT_TIMEOUT",
            "later",
            (
                "PREFECT_INSTRUMENTATION_EXIT_TIMEOUT='later' is not a duration such as 0.5, 30s,"
                " 10m or 2h; using 1s"
            ),
        ),
    ],
)
def test_bad_value_is_told_and_spans_arrive(
    receiver: OtlpReceiver, name: str, value: str, told: str
) -> None:
    """One line names the variable; its default does."""
    process = run("make(3)", variables(receiver, "http/protobuf") | PATIENT | {name: value})

    assert (told,) == process.complaints
    assert 3 == len(receiver.spans())


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        (
            "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
            "many",
            (
                "No spans are recorded, since a setting is of no use:"
                " OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT must be a non-negative integer but got many"
            ),
        ),
        (
            "OTEL_EXPORTER_OTLP_COMPRESSION",
            "zip",
            (
                "An exporter of spans cannot be set up:"
                ' Invalid value "zip" for compression envvar OTEL_EXPORTER_OTLP_COMPRESSION'
            ),
        ),
    ],
)
def test_value_that_the_sdk_rejects_breaks_no_process(
    receiver: OtlpReceiver, name: str, value: str, told: str
) -> None:
    """What the SDK would raise for is one line, and the code goes on."""
    process = run("make(3)", variables(receiver, "grpc") | {name: value})

    assert (told,) == process.complaints
    assert 0 == process.status


def test_batch_larger_than_the_queue_is_cut(receiver: OtlpReceiver) -> None:
    """The SDK would not take a batch that the queue cannot hold."""
    environ = variables(receiver, "http/protobuf") | PATIENT | {"OTEL_BSP_MAX_QUEUE_SIZE": "10"}

    process = run("make(3)", environ)

    assert ((), 3) == (process.complaints, len(receiver.spans()))


@by_each_protocol
@pytest.mark.parametrize("early", ["", "_provider.flush(30)"], ids=["unsent", "connected"])
def test_forked_child_sends_its_own(receiver: OtlpReceiver, early: str, protocol: str) -> None:
    """A child has its own count, connection and process id, and none of its parent's spans."""
    code = f"""
        import multiprocessing, os
        make(2)
        {early}
        child = multiprocessing.get_context("fork").Process(target=make, args=(3,))
        child.start()
        child.join()
        print(os.getpid(), child.pid, child.exitcode)
    """
    process = run(code, variables(receiver, protocol) | PATIENT)

    parent, child, status = process.lines[0].split()
    found = [str(span.resource["process.pid"]) for span in receiver.spans()]
    instances = {span.resource["service.instance.id"] for span in receiver.spans()}
    assert ("0", ()) == (status, process.complaints)
    assert sorted([parent] * 2 + [child] * 3) == sorted(found)
    assert 2 == len(instances)


@by_each_protocol
def test_fork_amid_an_export_is_silent(receiver: OtlpReceiver, protocol: str) -> None:
    """A child that is born while its parent sends has nothing of it, and neither says a word."""
    code = """
        import multiprocessing
        make(600)
        input()
        for _ in range(2):
            child = multiprocessing.get_context("fork").Process(target=make, args=(1,))
            child.start()
            child.join()
    """
    environ = variables(receiver, protocol) | PATIENT
    with (
        receiver.failing(Fault.SLOW, delay_seconds=0.6),
        started(code, environ) as process,
    ):
        receiver.wait_for(lambda spans: len(spans) > 0)
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
        result = ended(process)

    assert (0, ()) == (result.status, result.complaints)
    assert 602 == len({span.span_id for span in receiver.spans()}) == len(receiver.spans())


@by_each_protocol
def test_bare_fork_counts_anew(receiver: OtlpReceiver, protocol: str) -> None:
    """Parent and child each tell of their own lost spans."""
    code = """
        import os
        make(2)
        if child := os.fork():
            os.waitpid(child, 0)
        else:
            make(5)
            raise SystemExit
    """
    environ = variables(receiver, protocol) | {"PREFECT_INSTRUMENTATION_EXIT_TIMEOUT": "0.4"}
    with receiver.failing(Fault.REFUSED):
        process = run(code, environ)

    assert sorted([*lost(5, 5), *lost(2, 2)]) == sorted(losses(process))


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_other_children_send_theirs(receiver: OtlpReceiver, method: str) -> None:
    """Children that start afresh set up their own, and leave nothing behind."""
    code = f"""
        import concurrent.futures, multiprocessing
        context = multiprocessing.get_context("{method}")
        with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
            pool.submit(exec, START + "make(3)", {{}}).result()
        make(2)
    """
    environ = variables(receiver, PROTOCOLS[0]) | PATIENT
    process = run("START = " + repr(START) + "\n" + dedent(code), environ)

    assert () == process.complaints
    assert 5 == len(receiver.spans())


def test_many_threads_set_up_one_provider(receiver: OtlpReceiver) -> None:
    """Whoever comes first sets it up, and the others wait for it."""
    code = """
        from concurrent.futures import ThreadPoolExecutor
        from threading import Barrier
        from opentelemetry import trace
        from prefect_instrumentation import _provider
        barrier = Barrier(16)
        def one(_):
            barrier.wait()
            _provider.ensure_provider()
            span = trace.get_tracer("test").start_span("one")
            span.end()
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(one, range(16)))
    """
    process = run(code, variables(receiver, "http/protobuf") | PATIENT, prelude="")

    assert () == process.complaints
    assert 16 == len(receiver.spans())


def test_import_is_light() -> None:
    """Neither SDK nor exporters are imported before the first span is due."""
    code = """
        import sys
        import prefect_instrumentation._provider, prefect_instrumentation._settings
        heavy = ("opentelemetry.sdk", "opentelemetry.exporter", "grpc", "requests", "prefect")
        print([name for name in heavy if name in sys.modules])
    """
    assert ("[]",) == run(code, prelude="").lines


def test_only_the_exporter_in_use_is_imported(receiver: OtlpReceiver) -> None:
    """What gRPC needs is not loaded where spans leave by HTTP."""
    process = run('import sys\nprint("grpc" in sys.modules)', variables(receiver, PROTOCOLS[0]))

    assert ("False",) == process.lines
