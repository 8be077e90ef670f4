"""Spans of flow runs that were killed: which lack theirs, what it says, and that it arrives."""

from __future__ import annotations

import asyncio
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from demo.api import ask, change
from demo.exporter import Exporter, start_exporter
from demo.prefect_server import PrefectServer, start_prefect_server
from demo.processes import free_port, wait_until
from demo.sandbox import Sandbox
from fakes import START_US, FakePrefect, after_seconds
from otlp_receiver import Fault, OtlpReceiver, ReceivedSpan
from prefect_exporter.collectors import build
from prefect_exporter.collectors.base import Context
from prefect_exporter.collectors.flow_runs import FINISHED, FlowRunCollector
from prefect_exporter.collectors.terminal_spans import (
    MOST_A_POLL,
    TerminalSpanCollector,
    TerminalSpans,
)
from prefect_exporter.environment import BadSettings, load_settings
from prefect_exporter.errors import ApiError, Unreachable, Waiting
from prefect_exporter.moments import SECOND
from prefect_exporter.otlp import OtlpExporter
from prefect_exporter.otlp_settings import PROTOCOLS
from prefect_exporter.terminal_spans import (
    GIVE_UP_SECONDS,
    MOST_UNSENT,
    OwnSpan,
    TerminalSpan,
    Unsent,
    is_sent,
    terminal_span,
    unsent_span,
)
from prefect_exporter.traces import Trace
from prefect_exporter.wire import FlowRunRecord, StateDetails, StateRecord
from prefect_instrumentation import attributes as names
from scripted import Scripted, answer
from scripted import run as run_scripted
from worlds import (
    FLOW,
    collecting,
    deployment,
    deployment_id,
    ended,
    poll,
    prefect_of,
    put,
    run,
    run_id,
    text_of,
    total,
)

TRACE = Trace("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
PARENT = "53995c3f42cd8ad8"
OTHER = f"00-{TRACE.trace_id}-{PARENT}-01"
TRACEPARENT = f"00-{TRACE.trace_id}-{TRACE.span_id}-01"
OWN: dict[str, object] = {
    "__OTEL_TRACEPARENT": TRACEPARENT,
    "__OTEL_PARENT_SPAN_ID": PARENT,
    "__CORRELATION_ID": "ord-42",
    "team": "payments",
}
KILLED = "Process exited with status code: -9"
FAMILY = "prefect_exporter_terminal_spans_total"


def raw(labels: Mapping[str, object]) -> msgspec.Raw:
    """Return labels as a row holds them."""
    return msgspec.Raw(msgspec.json.encode(labels))


def state(
    state_type: str, seconds: float = 0, name: str = "", traceparent: str | None = None
) -> StateRecord:
    """Return a state of a run, entered so long after the first moment."""
    at, details = after_seconds(seconds), StateDetails(traceparent)
    message = KILLED if state_type == "CRASHED" else None
    return StateRecord(state_type, name or state_type.title(), at, message, details)


def killed(
    number: int,
    seconds: float = 5,
    state_type: str = "CRASHED",
    labels: Mapping[str, object] = OWN,
    **fields: Any,  # noqa: ANN401  # the record's own fields
) -> FlowRunRecord:
    """Return a run that ended so, and said of its span what *labels* say."""
    row = ended(number, seconds, state_type, labels=raw(labels))
    given = {"state": state(state_type, seconds), "name": f"run-{number}"}
    return FlowRunRecord(
        **({name: getattr(row, name) for name in row.__struct_fields__} | given | fields)
    )


def without(*keys: str) -> dict[str, object]:
    """Return the labels of a killed run without some."""
    return {key: value for key, value in OWN.items() if key not in keys}


LACKS: dict[str, FlowRunRecord] = {
    "crashed": killed(1),
    "cancelled": killed(1, state_type="CANCELLED"),
    "root": killed(1, labels=OWN | {"__OTEL_PARENT_SPAN_ID": ""}),
    "other flags": killed(1, labels=OWN | {"__OTEL_TRACEPARENT": f"{TRACEPARENT[:-2]}03"}),
    "no correlation": killed(1, labels=without("__CORRELATION_ID")),
    "odd correlation": killed(1, labels=OWN | {"__CORRELATION_ID": {"a": [1]}}),
    "labels of others": killed(1, labels=OWN | {"x": "y" * 1_000_000, "z": [[[{}]]]}),
    "an earlier span ended": killed(1, labels=OWN | {"__OTEL_SPAN_ENDED": ""}),
}
NEEDS_NONE: dict[str, FlowRunRecord] = {
    "completed": killed(1, state_type="COMPLETED"),
    "failed": killed(1, state_type="FAILED"),
    "running": killed(1, state_type="RUNNING"),
    "not started": killed(1, start_time=None),
    "not ended": killed(1, end_time=None),
    "no labels": killed(1, labels={}),
    "no traceparent": killed(1, labels=without("__OTEL_TRACEPARENT")),
    "not sampled": killed(1, labels=OWN | {"__OTEL_TRACEPARENT": f"{TRACEPARENT[:-2]}00"}),
    "flags without sampling": killed(
        1, labels=OWN | {"__OTEL_TRACEPARENT": f"{TRACEPARENT[:-2]}02"}
    ),
    "bad traceparent": killed(1, labels=OWN | {"__OTEL_TRACEPARENT": TRACEPARENT[:-1]}),
    "traceparent of another type": killed(1, labels=OWN | {"__OTEL_TRACEPARENT": 7}),
    "creator's traceparent": killed(1, labels=without("__OTEL_PARENT_SPAN_ID")),
    "null parent": killed(1, labels=OWN | {"__OTEL_PARENT_SPAN_ID": None}),
    "zero parent": killed(1, labels=OWN | {"__OTEL_PARENT_SPAN_ID": "0" * 16}),
    "short parent": killed(1, labels=OWN | {"__OTEL_PARENT_SPAN_ID": PARENT[1:]}),
    "its own parent": killed(1, labels=OWN | {"__OTEL_PARENT_SPAN_ID": TRACE.span_id}),
    "long parent": killed(1, labels=OWN | {"__OTEL_PARENT_SPAN_ID": PARENT * 50_000}),
    "ended": killed(1, labels=OWN | {"__OTEL_SPAN_ENDED": "true"}),
    "ended, of another type": killed(1, labels=OWN | {"__OTEL_SPAN_ENDED": None}),
}


@pytest.mark.parametrize("name", LACKS)
def test_run_that_lacks_its_span_is_known(name: str) -> None:
    """A run that began its span, and of which nothing says that it was sent, lacks it."""
    own = unsent_span(LACKS[name])

    assert own is not None
    assert own.trace == TRACE
    assert own.parent_id == ("" if name == "root" else PARENT)
    assert own.correlation_id == ("" if name.endswith("correlation") else "ord-42")


@pytest.mark.parametrize("name", NEEDS_NONE)
def test_run_that_needs_no_span_is_known(name: str) -> None:
    """A run that sent its span, or has none of its own, or was not sampled, lacks nothing."""
    assert unsent_span(NEEDS_NONE[name]) is None


RUNNING = state("RUNNING", 0, traceparent=OTHER)
CRASHED = state("CRASHED", 9)
BEGUN = [state("SCHEDULED"), state("PENDING"), RUNNING]
HISTORIES: dict[str, tuple[bool, Sequence[StateRecord]]] = {
    "killed": (False, [*BEGUN, CRASHED]),
    "killed while it was cancelled": (
        False,
        [*BEGUN, state("CANCELLING", 5), state("CANCELLED", 9)],
    ),
    "killed between two attempts": (
        False,
        [*BEGUN, state("SCHEDULED", 5, "AwaitingRetry"), CRASHED],
    ),
    "killed in a later attempt": (
        False,
        [*BEGUN, state("SCHEDULED", 5, "AwaitingRetry"), state("RUNNING", 6, "Retrying"), CRASHED],
    ),
    "killed while it was paused": (False, [*BEGUN, state("PAUSED", 5, "Paused"), CRASHED]),
    "killed after it was retried": (
        False,
        [*BEGUN, state("FAILED", 5, traceparent=OTHER), state("SCHEDULED", 6), RUNNING, CRASHED],
    ),
    "killed after it was resumed": (
        False,
        [*BEGUN, state("PAUSED", 5, "Suspended"), state("SCHEDULED", 6), RUNNING, CRASHED],
    ),
    "nothing is known": (False, []),
    "ended by its engine": (True, [*BEGUN, state("CRASHED", 9, traceparent=TRACEPARENT)]),
    "ended by its engine before": (
        True,
        [*BEGUN, state("FAILED", 5, traceparent=TRACEPARENT), RUNNING, CRASHED],
    ),
    "retried, and never begun again": (
        True,
        [*BEGUN, state("FAILED", 5), state("SCHEDULED", 6), state("PENDING", 7), CRASHED],
    ),
    "cancelled while it was suspended": (
        True,
        [*BEGUN, state("PAUSED", 5, "Suspended"), state("CANCELLED", 9)],
    ),
    "crashed, then set by hand": (True, [*BEGUN, state("CRASHED", 5), state("CANCELLED", 9)]),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_states_say_whether_the_span_was_sent(name: str) -> None:
    """Only a run that was under way in a process, which then did not end it, lacks its span."""
    expected, states = HISTORIES[name]

    assert expected is is_sent(TRACE.span_id, states)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(2**63), 2**63)
    | st.text(max_size=40)
    | st.sampled_from([TRACEPARENT, OTHER, PARENT, "", "true", TRACE.span_id]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(
    labels=st.dictionaries(
        st.sampled_from([*OWN, "__OTEL_SPAN_ENDED"]) | st.text(max_size=5), JSON, max_size=6
    )
)
def test_any_labels_are_judged(labels: dict[str, object]) -> None:
    """Whatever stands in labels, a run is judged, and its span is bounded and can be sent."""
    own = unsent_span(killed(1, labels=labels))
    if own is None:
        return

    assert labels["__OTEL_TRACEPARENT"] in (TRACEPARENT, OTHER)
    assert labels.get("__OTEL_SPAN_ENDED", "") == ""
    assert labels["__OTEL_PARENT_SPAN_ID"] in ("", PARENT, TRACE.span_id)
    assert len(own.correlation_id) <= 128


@pytest.mark.parametrize(
    "labels",
    [
        b"null",
        b"[]",
        b"7",
        b'"__OTEL_TRACEPARENT"',
        b'{"__OTEL_TRACEPARENT":"\xff"}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":' + b"[" * 500 + b"]" * 500 + b"}",
        b'{"a":' + b"[" * 500_000,
        b'{"__OTEL_PARENT_SPAN_ID":' + b"[" * 900 + b"]" * 900 + b"}",
    ],
    ids=range(9),
)
def test_odd_labels_lack_nothing(labels: bytes) -> None:
    """Labels that are no object, or broken, are as good as none."""
    row = killed(1)
    msgspec.structs.force_setattr(row, "labels", msgspec.Raw(labels))

    assert unsent_span(row) is None


def test_hostile_record_makes_a_bounded_span() -> None:
    """Texts of any length and with lone surrogates come out short and fit to be sent."""
    hostile = "\ud800" + "x" * 100_000
    row = killed(
        1,
        name=hostile,
        tags=[f"{n}{hostile}" for n in range(1000)],
        state_name=hostile,
        work_pool_name=hostile,
        state=StateRecord("CRASHED", "Crashed", after_seconds(5), hostile),
        start_time=after_seconds(9),
    )
    span = terminal_span(row, OwnSpan(TRACE, PARENT, ""), hostile, hostile)
    written = msgspec.json.encode([span.name, span.message, span.attributes, span.event])

    assert len(written) < 32 * 256 + 5000
    assert span.start_us == span.end_us
    assert "correlation_id" not in span.attributes


def test_names_are_those_of_the_instrumentation() -> None:
    """Both packages call the same things the same, though neither knows the other."""
    known = {value for name, value in vars(names).items() if name.isupper()}
    row = killed(
        1, tags=["a"], deployment_id=deployment_id(1), work_pool_name="k8s", work_queue_name="q"
    )
    span = terminal_span(row, OwnSpan(TRACE, PARENT, "ord-42"), "etl", "daily")

    assert {"prefect.span.origin"} >= {*span.attributes, *span.event} - known
    assert {names.FLOW_NAME, names.TAGS, names.ERROR_CATEGORY, names.CORRELATION_ID} <= {
        *span.attributes
    }


@dataclass
class Sent:
    """A sender that keeps what it was given, and says that it arrived unless told otherwise."""

    arrives: bool = True
    spans: list[TerminalSpan] = field(default_factory=list)

    def __call__(self, target: str, spans: Sequence[TerminalSpan]) -> bool:
        """Take spans."""
        assert target == "test"
        self.spans += spans
        return self.arrives


@pytest.fixture(name="prefect")
def _prefect() -> FakePrefect:
    return prefect_of()


@pytest.fixture(name="context")
def _context(tmp_path: Path, prefect: FakePrefect) -> Iterator[Context]:
    with collecting(tmp_path, prefect, TERMINAL_SPANS="true") as context:
        poll(FlowRunCollector(context.settings), context)
        yield context


def count(prefect: FakePrefect, context: Context, *rows: FlowRunRecord, at: float = 10) -> None:
    """Let runs end, and count them so long after the first moment."""
    put(prefect, *rows)
    for row in rows:
        prefect.state_rows.setdefault(row.id, [*BEGUN, row.state or CRASHED])
    prefect.now_us = START_US + round(at * SECOND)
    poll(FlowRunCollector(context.settings), context)


def decide(prefect: FakePrefect, context: Context, send: Sent, at: float = 75) -> TerminalSpans:
    """Poll so long after the first moment."""
    prefect.now_us = START_US + round(at * SECOND)
    return poll(TerminalSpanCollector(context.settings, send), context)


def results(told: TerminalSpans) -> dict[str, int]:
    """Return the results that are not 0."""
    return {name: number for name, number in told.results.items() if number}


def test_killed_run_gets_its_span_after_a_while(prefect: FakePrefect, context: Context) -> None:
    """A run that was killed is held for its time, and then told of once and for all."""
    sent = Sent()
    put(prefect, deployment(1, "daily"))
    row = killed(
        1,
        deployment_id=deployment_id(1),
        work_pool_name="k8s",
        work_queue_name="default",
        run_count=2,
        tags=["b", "a"],
    )
    count(prefect, context, row)
    early = decide(prefect, context, sent, at=69)
    on_time = decide(prefect, context, sent, at=71)
    later = decide(prefect, context, sent, at=7100)

    assert [{}, {"sent": 1}, {"sent": 1}] == [results(each) for each in (early, on_time, later)]
    (span,) = sent.spans
    assert span == TerminalSpan(
        own=OwnSpan(TRACE, PARENT, "ord-42"),
        name="flow etl",
        consumer=True,
        start_us=START_US,
        end_us=START_US + 5 * SECOND,
        message=KILLED,
        attributes={
            "prefect.run.type": "flow",
            "prefect.run.count": 2,
            "prefect.flow.id": str(FLOW),
            "prefect.flow.name": "etl",
            "prefect.flow_run.id": str(run_id(1)),
            "prefect.flow_run.name": "run-1",
            "prefect.deployment.id": str(deployment_id(1)),
            "prefect.deployment.name": "daily",
            "prefect.work_pool.name": "k8s",
            "prefect.work_queue.name": "default",
            "prefect.tags": ["a", "b"],
            "prefect.state.type": "CRASHED",
            "prefect.state.name": "Crashed",
            "error.type": "prefect.Crashed",
            "prefect.error.category": "infrastructure",
            "correlation_id": "ord-42",
            "prefect.span.origin": "server_record",
        },
        state_name="Crashed",
        event={"prefect.state.type": "CRASHED", "prefect.state.message": KILLED},
    )


def test_cancelled_run_of_no_deployment(prefect: FakePrefect, context: Context) -> None:
    """A run that was killed to cancel it says so, and asked for nothing by a queue."""
    sent = Sent()
    count(prefect, context, killed(1, state_type="CANCELLED"))
    decide(prefect, context, sent)
    (span,) = sent.spans

    assert (False, "") == (span.consumer, span.message)
    assert "prefect.deployment.id" not in span.attributes
    assert ("prefect.Cancelled", "cancelled") == (
        span.attributes["error.type"],
        span.attributes["prefect.error.category"],
    )


def test_nobody_is_asked_of_runs_without_labels(prefect: FakePrefect, context: Context) -> None:
    """Runs that no instrumentation has seen cost no request."""
    count(prefect, context, *(killed(n, labels={"team": "core"}) for n in range(5)))
    before = list(prefect.asked)
    told = decide(prefect, context, Sent())

    assert ({}, before) == (results(told), prefect.asked)


CHANGES: dict[str, tuple[str, FlowRunRecord | None]] = {
    "its runner sent it": ("own_span", killed(1, labels=OWN | {"__OTEL_SPAN_ENDED": "true"})),
    "its engine sent it": (
        "own_span",
        killed(1, state=state("CRASHED", 5, traceparent=TRACEPARENT)),
    ),
    "it was retried": ("changed", killed(1, state_type="RUNNING", end_time=None)),
    "it ended once more": ("changed", killed(1, 20)),
    "it was deleted": ("changed", None),
    "its labels are gone": ("changed", killed(1, labels={})),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_happens_meanwhile_is_seen(prefect: FakePrefect, context: Context, name: str) -> None:
    """A run is read anew before it is told of: what sent its span meanwhile is not told again."""
    result, row = CHANGES[name]
    sent = Sent()
    count(prefect, context, killed(1))
    del prefect.flow_rows[run_id(1)]
    if row is not None:
        put(prefect, row)
    told = decide(prefect, context, sent)

    assert ([], {result: 1}) == (sent.spans, results(told))


def test_earlier_states_are_asked_for(prefect: FakePrefect, context: Context) -> None:
    """A run that failed, was retried and then never started has sent its span long ago."""
    sent = Sent()
    row = killed(1)
    failed = state("FAILED", 2, traceparent=TRACEPARENT)
    prefect.state_rows[row.id] = [*BEGUN, failed, state("SCHEDULED", 3), CRASHED]
    count(prefect, context, row)
    told = decide(prefect, context, sent)

    assert ([], {"own_span": 1}) == (sent.spans, results(told))


def test_each_end_of_a_run_is_told(prefect: FakePrefect, context: Context) -> None:
    """A run that is killed, started again with a span of its own, and killed, has two."""
    sent = Sent()
    count(prefect, context, killed(1))
    decide(prefect, context, sent)
    second = TRACEPARENT.replace(TRACE.span_id, "a" * 16)
    count(prefect, context, killed(1, 80, labels=OWN | {"__OTEL_TRACEPARENT": second}), at=90)
    told = decide(prefect, context, sent, at=160)

    assert {"sent": 2} == results(told)
    assert [TRACE.span_id, "a" * 16] == [span.own.trace.span_id for span in sent.spans]


def test_read_again_is_not_told_again(prefect: FakePrefect, context: Context) -> None:
    """Rows are read many times; of each end there is one span, also after a restart."""
    sent = Sent()
    count(prefect, context, killed(1))
    for at in (15, 30, 45):
        count(prefect, context, killed(1), at=at)
    decide(prefect, context, sent)
    context.store.close()
    with collecting(context.store.ledger.path.parent, prefect, TERMINAL_SPANS="true") as anew:
        count(prefect, anew, killed(1), at=80)
        told = decide(prefect, anew, sent, at=150)

    assert (1, {}) == (len(sent.spans), results(told))


def test_what_is_not_counted_is_not_told(prefect: FakePrefect, context: Context) -> None:
    """An end that is not in the ledger could be found once more: it waits until it is."""
    sent = Sent()
    put(prefect, killed(1))
    context.unsent.offer([killed(1)], context.monotonic(), 0)
    with pytest.raises(Waiting):
        decide(prefect, context, sent, at=10)
    count(prefect, context, killed(1), at=11)
    told = decide(prefect, context, sent, at=30)

    assert ({"sent": 1}, 1) == (results(told), len(sent.spans))


def test_unselected_runs_are_not_told(tmp_path: Path, prefect: FakePrefect) -> None:
    """What is not looked at has neither counts nor spans."""
    sent = Sent()
    with collecting(tmp_path, prefect, TERMINAL_SPANS="true", FLOWS="!etl") as context:
        poll(FlowRunCollector(context.settings), context)
        count(prefect, context, killed(1))
        told = decide(prefect, context, sent)

    assert ([], {}) == (sent.spans, results(told))


def test_outage_of_prefect_only_delays(prefect: FakePrefect, context: Context) -> None:
    """While Prefect does not answer, runs wait, and none of them is lost."""
    sent = Sent()
    count(prefect, context, killed(1), killed(2))
    prefect.down(Unreachable("flow_runs", "connection refused"))
    for at in (75, 90):
        with pytest.raises(ApiError):
            decide(prefect, context, sent, at=at)
    prefect.up()
    told = decide(prefect, context, sent, at=120)

    assert ({"sent": 2}, 2) == (results(told), len(sent.spans))


def test_run_that_is_never_read_is_dropped(prefect: FakePrefect, context: Context) -> None:
    """What Prefect does not tell within an hour is let go, and counted."""
    count(prefect, context, killed(1))
    prefect.down(Unreachable("flow_runs", "connection refused"))
    for at in (75, 75 + GIVE_UP_SECONDS):
        with pytest.raises(ApiError):
            decide(prefect, context, Sent(), at=at)
    prefect.up()
    told = decide(prefect, context, Sent(), at=80 + GIVE_UP_SECONDS)

    assert {"dropped": 1} == results(told)


def test_what_was_decided_is_sent_before_the_failure(
    prefect: FakePrefect, context: Context
) -> None:
    """A run that cannot be read does not take those before it along."""
    sent = Sent()
    count(prefect, context, killed(1), killed(2))

    def fail(route: str) -> None:
        if prefect.asked.count(route) > 1:
            raise Unreachable(route, "connection reset")

    prefect.asked.clear()
    prefect.fail = fail
    with pytest.raises(ApiError):
        decide(prefect, context, sent)

    assert 1 == len(sent.spans) == context.unsent.results["sent"]


def test_defect_of_the_sender_is_a_failure(prefect: FakePrefect, context: Context) -> None:
    """Where sending raises, the spans are counted as failed, and are not sent again."""

    def broken(_target: str, _spans: Sequence[TerminalSpan]) -> bool:
        raise ValueError("no")

    count(prefect, context, killed(1))
    prefect.now_us = START_US + 75 * SECOND
    collector = TerminalSpanCollector(context.settings, broken)
    with pytest.raises(ValueError, match="no"):
        poll(collector, context)

    assert {"failed": 1} == results(poll(collector, context))


def test_end_of_the_process_does_not_wait(prefect: FakePrefect, context: Context) -> None:
    """Whoever stops the polls while a collector keeps silent is not held up by it."""
    begun, over = threading.Event(), threading.Event()

    def silent(_target: str, _spans: Sequence[TerminalSpan]) -> bool:
        begun.set()
        return over.wait(60)

    async def stop() -> None:
        task = asyncio.create_task(
            TerminalSpanCollector(context.settings, silent).poll(context, None)
        )
        assert await asyncio.to_thread(begun.wait, 60)
        task.cancel()
        await asyncio.wait([task])

    count(prefect, context, killed(1))
    prefect.now_us = START_US + 75 * SECOND
    run(stop())
    (left,) = (thread for thread in threading.enumerate() if thread.name == "otlp")
    over.set()
    left.join(60)

    assert left.daemon
    assert 1 == context.unsent.results["failed"]


def test_spans_that_do_not_arrive_are_failed(prefect: FakePrefect, context: Context) -> None:
    """A collector that takes nothing costs the spans, once each, and no poll."""
    sent = Sent(arrives=False)
    count(prefect, context, killed(1))
    told = decide(prefect, context, sent)
    again = decide(prefect, context, sent, at=200)

    assert ({"failed": 1}, {"failed": 1}, 1) == (results(told), results(again), len(sent.spans))


def test_many_are_decided_on_in_turns(prefect: FakePrefect, context: Context) -> None:
    """Of more runs than a poll may ask for the rest waits, and the poll says so."""
    sent = Sent()
    count(prefect, context, *(killed(n) for n in range(MOST_A_POLL + 5)))
    first = decide(prefect, context, sent, at=75)
    second = decide(prefect, context, sent, at=90)

    assert (True, {"sent": MOST_A_POLL}) == (first.truncated, results(first))
    assert (False, {"sent": MOST_A_POLL + 5}) == (second.truncated, results(second))


def test_too_many_are_dropped() -> None:
    """Memory is bounded: what comes beyond is counted as dropped."""
    unsent = Unsent()
    unsent.offer([killed(n) for n in range(MOST_UNSENT + 7)], 0, 0)
    unsent.offer([killed(1)], 0, 0)

    assert (MOST_UNSENT, 7) == (len(unsent.due(0)), unsent.results["dropped"])


def test_defect_never_reaches_the_count() -> None:
    """Whatever goes wrong with a row is logged once, and whoever counts goes on."""
    broken = killed(1)
    msgspec.structs.force_setattr(broken, "labels", object())
    unsent = Unsent()
    with capture_logs() as lines:
        for _ in range(3):
            unsent.offer([broken], 0, 0)

    assert ["terminal_spans.not_offered"] == [line["event"] for line in lines]
    assert [] == unsent.due(0)


def test_off_by_default(tmp_path: Path, prefect: FakePrefect) -> None:
    """Unless it is asked for, nothing is held, and there is no such collector."""
    with collecting(tmp_path, prefect) as context:
        poll(FlowRunCollector(context.settings), context)
        count(prefect, context, killed(1))

        assert 1 == total(context, FINISHED.name)
        assert [] == context.unsent.due(math.inf)
        assert TerminalSpanCollector.name not in {each.name for each in build(context.settings)}


def test_every_result_is_there_from_the_start(prefect: FakePrefect, context: Context) -> None:
    """The counter's series exist, at 0, before the first run is killed."""
    told = decide(prefect, context, Sent(), at=1)
    (family,) = TerminalSpanCollector.families
    shown = text_of(family.fill([("test", told)]))

    for result in ("sent", "failed", "own_span", "changed", "dropped"):
        assert f'{FAMILY}{{result="{result}",target="test"}} 0.0' in shown


SPAN = terminal_span(
    killed(1, deployment_id=deployment_id(1), tags=["a", "b"], run_count=3),
    OwnSpan(TRACE, PARENT, "ord-42"),
    "etl",
    "daily",
)


@pytest.fixture(name="receiver")
def _receiver(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[OtlpReceiver]:
    protocol = getattr(request, "param", "http/protobuf")
    with OtlpReceiver() as receiver:
        endpoint = receiver.grpc_endpoint if protocol == "grpc" else receiver.http_endpoint
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
        yield receiver


by_each_protocol = pytest.mark.parametrize("receiver", PROTOCOLS, indirect=True)


@by_each_protocol
def test_span_arrives_as_the_run_began_it(receiver: OtlpReceiver) -> None:
    """A collector gets the run's own ids, so that what it did hangs below it, and what it was."""
    arrived = OtlpExporter()("test", [SPAN])
    (span,) = receiver.spans()

    assert arrived
    assert span == ReceivedSpan(
        trace_id=TRACE.trace_id,
        span_id=TRACE.span_id,
        parent_id=PARENT,
        name="flow etl",
        kind="CONSUMER",
        start_ns=START_US * 1000,
        end_ns=(START_US + 5 * SECOND) * 1000,
        status="ERROR",
        status_message=KILLED,
        attributes={**SPAN.attributes, "prefect.tags": ("a", "b")},
        events=(("Crashed", SPAN.event),),
        links=(),
        resource={"service.name": "prefect", "prefect.target": "test"},
        scope="prefect_exporter",
        tracestate="",
    )
    protocol = os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"].partition("/")[0]
    assert [protocol] == [each.protocol for each in receiver.requests()]


def test_root_span_has_no_parent(receiver: OtlpReceiver) -> None:
    """A run that nobody has called begins its trace."""
    root = terminal_span(killed(1), OwnSpan(TRACE, "", ""), "etl", "")
    OtlpExporter()("test", [root])
    (span,) = receiver.spans()

    assert ("", "INTERNAL") == (span.parent_id, span.kind)


def test_resource_is_as_the_environment_says(
    receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The standard variables name the service, and the target stays beside it."""
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.namespace=data,service.name=less")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "etl")
    OtlpExporter()("test", [SPAN])
    (span,) = receiver.spans()

    assert {"service.name": "etl", "service.namespace": "data", "prefect.target": "test"} == (
        span.resource
    )


def test_headers_are_sent_and_not_told(
    receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A collector's credential goes to the collector, and into no log line when it refuses."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20hunter2")
    export = OtlpExporter()
    with receiver.failing(Fault.SERVER_ERROR):
        arrived = export("test", [SPAN])

    assert not arrived
    assert "Bearer hunter2" == receiver.requests()[0].headers["authorization"]
    assert "hunter2" not in caplog.text


@by_each_protocol
@pytest.mark.parametrize("fault", [each for each in Fault if each is not Fault.SLOW])
def test_dead_collector_costs_its_spans_alone(
    prefect: FakePrefect, context: Context, receiver: OtlpReceiver, fault: Fault
) -> None:
    """However a collector fails, polls go well and the loop is free; later spans arrive again."""
    count(prefect, context, killed(1))
    prefect.now_us = START_US + 75 * SECOND
    collector = TerminalSpanCollector(context.settings)

    async def work() -> tuple[TerminalSpans, int]:
        task = asyncio.create_task(collector.poll(context, None))
        turns = 0
        while not task.done():
            await asyncio.sleep(0.001)
            turns += 1
        return task.result(), turns

    with receiver.failing(fault):
        told, turns = run(work())

    assert ({"failed": 1}, 1.0) == (results(told), total(context, FINISHED.name))
    assert turns > (20 if fault is Fault.BLACK_HOLE else 0)
    until = time.monotonic() + 60
    at = 100
    while not told.results["sent"] and time.monotonic() < until:
        count(prefect, context, killed(at, at), at=at + 1)
        told = poll_at(prefect, context, collector, at + 70)
        at += 100
    assert 1 == told.results["sent"] == len(receiver.spans())


def poll_at(
    prefect: FakePrefect, context: Context, collector: TerminalSpanCollector, at: float
) -> TerminalSpans:
    """Poll so long after the first moment."""
    prefect.now_us = START_US + round(at * SECOND)
    return poll(collector, context)


def test_record_and_states_are_asked_and_read() -> None:
    """The client asks for one run and for its states, and keeps the fields that a span needs."""
    at = "2026-11-21T12:00:0"
    states = [
        {"type": "CRASHED", "name": "Crashed", "timestamp": f"{at}2Z", "message": "no", "data": 1},
        {
            "type": "RUNNING",
            "name": "Running",
            "timestamp": f"{at}1Z",
            "state_details": {"traceparent": TRACEPARENT, "flow_run_id": None},
        },
    ]
    row = {
        "id": str(run_id(1)),
        "flow_id": str(FLOW),
        "run_count": 1,
        "total_run_time": 1.0,
        "name": "odd-otter",
        "tags": ["a"],
        "parameters": {"password": "hunter2"},
        "state": states[0],
    }
    server = Scripted([answer(row), answer(states), answer({}, 404)])

    async def work() -> tuple[object, object, object]:
        async with server.client() as client:
            return (
                await client.flow_run(run_id(1)),
                await client.flow_run_states(run_id(1)),
                await client.flow_run(run_id(2)),
            )

    record, history, gone = run_scripted(work())
    crashed = StateRecord("CRASHED", "Crashed", after_seconds(2), "no")
    expected = FlowRunRecord(run_id(1), FLOW, 1, 1.0, state=crashed, name="odd-otter", tags=["a"])

    assert (expected, None) == (record, gone)
    assert [state("RUNNING", 1, traceparent=TRACEPARENT), crashed] == history
    assert ["flow_runs", "flow_run_states", "flow_runs"] == [x.route for x in server.exchanges]
    assert [f"flow_runs/{run_id(1)}", "flow_run_states/", f"flow_runs/{run_id(2)}"] == server.paths
    assert {"flow_run_id": str(run_id(1))} == dict(server.requests[1].url.params)


BLOCKED = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter")):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
from prefect_exporter.__main__ import main
sys.argv = ["prefect-exporter", "check-config"]
main()
"""


@pytest.mark.parametrize(("wanted", "code"), [("false", 0), ("true", 2)], ids=["off", "on"])
def test_opentelemetry_is_needed_only_where_spans_are_sent(
    monkeypatch: pytest.MonkeyPatch, wanted: str, code: int
) -> None:
    """Without the extra the exporter works; with the setting it says what to install."""
    monkeypatch.setenv("PREFECT_EXPORTER_TERMINAL_SPANS", wanted)
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED], capture_output=True, text=True, check=False
    )
    line = (
        "prefect-exporter: PREFECT_EXPORTER_TERMINAL_SPANS needs OpenTelemetry, which is not "
        "installed; install prefect-exporter[traces], or leave it out\n"
    )

    assert (code, "" if code == 0 else line) == (done.returncode, done.stderr)


@pytest.mark.parametrize(
    "name", ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"]
)
def test_unknown_protocol_is_told(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A protocol that the exporter does not speak is an error, but only where spans are sent."""
    monkeypatch.setenv(name, "http/json")
    assert not load_settings().terminal_spans
    monkeypatch.setenv("PREFECT_EXPORTER_TERMINAL_SPANS", "true")

    with pytest.raises(BadSettings) as caught:
        load_settings()
    line = f"{name}='http/json' is not known; give http/protobuf or grpc"
    assert (line,) == caught.value.problems


LOADED = """
import sys
from prefect_exporter.__main__ import main
from prefect_exporter.environment import load_settings
from prefect_exporter.service import Service
Service(load_settings())
heavy = "opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.proto", "grpc", "requests"
print(*(name for name in sys.modules if name.startswith(heavy)))
"""


@pytest.mark.parametrize("wanted", ["false", "true"])
def test_opentelemetry_is_not_loaded_before_a_span(
    monkeypatch: pytest.MonkeyPatch, wanted: str
) -> None:
    """The service is put together without SDK and exporters; off, nobody looks for them either."""
    monkeypatch.setenv("PREFECT_EXPORTER_TERMINAL_SPANS", wanted)
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True
    )
    # FastAPI loads OpenTelemetry's API; to look for the exporters loads the packages above them.
    above = {f"opentelemetry.exporter{rest}" for rest in ("", ".otlp", ".otlp.proto")}

    assert (above if wanted == "true" else set()) == set(done.stdout.split())


def kill_a_run(server: PrefectServer, labels: Mapping[str, object], *states: str) -> str:
    """Let a flow run with labels go through states; return its id."""
    with server.client() as client:
        flow = ask(client, "/flows/", name="killed")["id"]
        run = str(ask(client, "/flow_runs/", flow_id=flow, tags=["night"])["id"])
        change(client, f"/flow_runs/{run}/labels", **labels)
        for each in states:
            ask(client, f"/flow_runs/{run}/set_state", state={"type": each, "message": each})
    return run


def page(exporter: Exporter) -> str:
    """Return what Prometheus would scrape."""
    return httpx.get(exporter.metrics_url, trust_env=False).raise_for_status().text


@pytest.mark.real
@pytest.mark.timeout(240)
def test_killed_run_of_a_real_server_has_its_span(receiver: OtlpReceiver) -> None:
    """Of runs on a real server, one that was killed gets a span; one that failed gets none."""
    with Sandbox() as sandbox:
        server = start_prefect_server(sandbox)
        exporter = start_exporter(
            sandbox,
            port=free_port(),
            PREFECT_EXPORTER_POLL_INTERVAL="1s",
            PREFECT_EXPORTER_TERMINAL_SPANS="true",
            PREFECT_EXPORTER_TERMINAL_SPANS_AFTER="2s",
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.http_endpoint,
            OTEL_SERVICE_NAME="night",
            **server.client_environment,
        )
        kill_a_run(server, OWN, "PENDING", "RUNNING", "FAILED")
        killed_run = kill_a_run(server, OWN, "PENDING", "RUNNING", "CRASHED")
        spans = receiver.wait_for(bool, deadline_seconds=60)
        wait_until(
            lambda: f'{FAMILY}{{result="sent",target="default"}} 1.0' in page(exporter),
            within=30,
            what="the span's count",
        )

    (span,) = spans
    assert (TRACE.trace_id, TRACE.span_id, PARENT) == (span.trace_id, span.span_id, span.parent_id)
    assert ("flow killed", "ERROR", "CRASHED") == (span.name, span.status, span.status_message)
    assert killed_run == span.attributes["prefect.flow_run.id"]
    assert ("night",) == span.attributes["prefect.tags"]
    assert 0 < span.start_ns < span.end_ns
    assert {"service.name": "night", "prefect.target": "default"} == span.resource
