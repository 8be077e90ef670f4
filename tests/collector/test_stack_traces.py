"""The stack's collector keeps the traces that matter: deploy/otel-collector/stack.yaml."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from collector.stack import HASTE, NOTHING_IS_RARE, Collector, Running, Sent, spans, trace_id
from demo.processes import wait_until
from otlp_receiver import Fault, OtlpReceiver

# The first of these tests builds the collector where that was not done.
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

DECIDED = "otelcol_processor_tail_sampling_global_count_traces_sampled"
# More than the 2,000,000 bytes that a flow may have saved up.
LONG = {"input": "x" * 100_000}
SPENT = 30


@pytest.fixture(name="jaeger")
def _jaeger() -> Iterator[OtlpReceiver]:
    """What stands where Jaeger would."""
    with OtlpReceiver() as receiver:
        yield receiver


@contextmanager
def sampling(
    collector: Collector, jaeger: OtlpReceiver, haste: str = NOTHING_IS_RARE, **env: str
) -> Iterator[Running]:
    """Run the collector before that Jaeger until the block ends; by chance it keeps nothing."""
    settings = {"TRACE_SHARE": "0", "JAEGER_ENDPOINT": jaeger.grpc_endpoint} | env
    with Collector(collector.program, collector.folder, settings).gateway(haste=haste) as running:
        yield running


@pytest.fixture(name="collector")
def _collector(tmp_path: Path, otelcol: Path) -> Collector:
    """How to run it."""
    return Collector(otelcol, tmp_path)


def of(flow: str) -> dict[str, object]:
    """Return the attributes of a flow's span."""
    return {"prefect.flow.name": flow}


def came(jaeger: OtlpReceiver) -> Counter[str]:
    """Return how many spans have come of each trace."""
    return Counter(span.trace_id for span in jaeger.spans())


def wait_for(jaeger: OtlpReceiver, trace: int, spans: int = 1) -> None:
    """Wait until so many spans of that trace have come."""
    wait_until(
        lambda: came(jaeger)[trace_id(trace)] >= spans, within=30, what=f"{spans} of {trace}"
    )


def test_failed_trace_is_kept_whole(collector: Collector, jaeger: OtlpReceiver) -> None:
    """What came before a failure, and what comes after it; nothing of a trace without one."""
    with sampling(collector, jaeger) as running:
        running.send("traces", spans([Sent(1), Sent(2)]))
        running.send("traces", spans([Sent(1, 2, failed=True)]))
        wait_for(jaeger, 1, spans=2)
        running.send("traces", spans([Sent(2, 2), Sent(1, 3)]))
        wait_for(jaeger, 1, spans=3)

    assert {trace_id(1): 3} == came(jaeger)


def test_no_failure_is_too_late(collector: Collector, jaeger: OtlpReceiver) -> None:
    """A trace that was forgotten is kept from its failure on."""
    with sampling(collector, jaeger, TRACE_WAIT="1s") as running:
        running.send("traces", spans([Sent(1)]))
        wait_until(
            lambda: running.own(DECIDED, decision="not_sampled") == 1, within=30, what="the end"
        )
        running.send("traces", spans([Sent(1, 2, failed=True)]))
        wait_for(jaeger, 1)
        running.send("traces", spans([Sent(1, 3)]))
        wait_for(jaeger, 1, spans=2)

    assert {trace_id(1): 2} == came(jaeger)


def test_slow_trace_is_kept(collector: Collector, jaeger: OtlpReceiver) -> None:
    """One span of that length is enough, also when it comes after the others."""
    with sampling(collector, jaeger, SLOW_TRACE="1h") as running:
        running.send("traces", spans([Sent(1, seconds=3590), Sent(2)]))
        running.send("traces", spans([Sent(2, 2, seconds=3610)]))
        wait_for(jaeger, 2, spans=2)

    assert {trace_id(2): 2} == came(jaeger)


def test_share_of_the_rest_is_kept_whole(collector: Collector, jaeger: OtlpReceiver) -> None:
    """About as many as the setting says, and of each trace all spans, whenever they come."""
    traces = range(1, 401)
    with sampling(collector, jaeger, TRACE_SHARE="25") as running:
        running.send("traces", spans([Sent(trace) for trace in traces]))
        wait_until(lambda: len(came(jaeger)) > 50, within=30, what="a share")
        running.send("traces", spans([Sent(trace, 2) for trace in traces]))
        wait_until(
            lambda: set(came(jaeger).values()) == {2}, within=30, what="the second half of each"
        )

    assert len(came(jaeger)) == pytest.approx(100, abs=40)


def test_rare_flow_is_kept_beside_a_busy_one(collector: Collector, jaeger: OtlpReceiver) -> None:
    """A flow that has used up its allowance is left out; another one goes on, span by span."""
    with sampling(collector, jaeger, HASTE, RARE_BYTES="1") as running:
        busy = [Sent(1000 + number, attributes=of("busy") | LONG) for number in range(SPENT)]
        for each in busy:
            running.send("traces", spans([each]))
        wait_until(lambda: len(came(jaeger)) >= SPENT // 2, within=30, what="its allowance")
        running.send(
            "traces",
            spans([Sent(1, attributes=of("busy") | LONG), Sent(2, attributes=of("nightly"))]),
        )
        running.send(
            "traces",
            spans([Sent(1, 2, attributes=of("busy") | LONG), Sent(2, 2, attributes=of("nightly"))]),
        )
        wait_for(jaeger, 2, spans=2)

    assert trace_id(1) not in came(jaeger)
    assert len(came(jaeger)) < SPENT
    policies = {span.attributes["sampling.policy"] for span in jaeger.spans()}
    assert {"rare"} == policies


def test_everything_is_kept_where_little_runs(collector: Collector, jaeger: OtlpReceiver) -> None:
    """Flows, and services without flows, whose spans are few, need no luck."""
    sent = [Sent(number, attributes=of(f"flow-{number % 20}")) for number in range(1, 201)]
    with sampling(collector, jaeger, HASTE) as running:
        running.send("traces", spans([*sent, Sent(201, name="GET /orders")]))
        wait_until(lambda: len(came(jaeger)) == 201, within=30, what="all")


def test_flow_that_comes_late_into_a_trace_is_rare(
    collector: Collector, jaeger: OtlpReceiver
) -> None:
    """The request of a busy service that starts a rare flow is kept with it."""
    with sampling(collector, jaeger, HASTE, RARE_BYTES="1") as running:
        for number in range(SPENT):
            running.send("traces", spans([Sent(1000 + number, attributes=LONG)]))
        wait_until(lambda: len(came(jaeger)) >= SPENT // 2, within=30, what="its allowance")
        request = "POST /orders"
        running.send("traces", spans([Sent(1, name=request, attributes=LONG)]))
        running.send("traces", spans([Sent(3, name=request, attributes=LONG)]))
        wait_until(
            lambda: (
                running.own(
                    "otelcol_processor_tail_sampling_count_traces_sampled",
                    policy="rare.other",
                    decision="sampled",
                )
                >= SPENT + 2
            ),
            within=30,
            what="a look at it",
        )
        running.send("traces", spans([Sent(1, 2, attributes=of("refund"))]))
        wait_for(jaeger, 1, spans=2)

    assert trace_id(3) not in came(jaeger)


def test_flood_loses_no_failure(collector: Collector, jaeger: OtlpReceiver) -> None:
    """Far more traces than may wait: those that wait are forgotten, and failures are kept."""
    flood, failures, at_once = 20_000, 200, 100
    with sampling(collector, jaeger, TRACES_WAITING="50") as running:
        answers = {
            running.send(
                "traces",
                spans(
                    [
                        Sent(trace, failed=trace % at_once == 0)
                        for trace in range(start, start + at_once)
                    ]
                ),
            )
            for start in range(1, flood, at_once)
        }
        wait_until(lambda: len(came(jaeger)) == failures, within=60, what="all failures")
        waiting = running.own("otelcol_processor_tail_sampling_sampling_traces_on_memory")
        running.process.check()

    assert {200} == answers
    assert {"ERROR"} == {span.status for span in jaeger.spans()}
    assert waiting <= 50


def test_what_cannot_be_sent_waits_over_a_crash(collector: Collector, jaeger: OtlpReceiver) -> None:
    """Jaeger is away, and the collector is killed: the trace comes once both are back."""
    with sampling(collector, jaeger) as running:
        with jaeger.failing(Fault.REFUSED):
            running.send("traces", spans([Sent(1, failed=True)]))
            wait_until(
                lambda: running.own("otelcol_exporter_queue_size", data_type="traces") > 0,
                within=30,
                what="a queue",
            )
            running.process.kill()
            running.process.start()
            running.process.wait_ready()
        wait_for(jaeger, 1)

    assert {trace_id(1): 1} == came(jaeger)
