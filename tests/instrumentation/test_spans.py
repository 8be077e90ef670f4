"""What becomes of a run: its parent, its attributes, its labels, its end."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from opentelemetry import baggage, propagate, trace
from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler
from opentelemetry.trace import (
    NonRecordingSpan,
    NoOpTracerProvider,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    TraceState,
)

from observed import COMPLETED, FAILED, FLOW, load
from prefect_instrumentation import _correlation, _propagation, traced
from prefect_instrumentation._calls import running
from prefect_instrumentation._propagation import (
    BAGGAGE,
    PARENT_SPAN_ID,
    SPAN_ENDED,
    TRACEPARENT,
    TRACESTATE,
)
from prefect_instrumentation._runs import Outcome, Run, RunObserver, StateChange
from prefect_instrumentation._spans import SpanObserver
from traces import Hostile, attributes, only, span_id

CORRELATION_ID = _correlation.LABEL
HUGE = "x" * 100_000


TASK = replace(FLOW, kind="task", id="run-2", name="load-0", task="load", flow_id="")
DEPLOYED = replace(FLOW, deployment_id="dep-1")


@dataclass
class Studio:
    """An observer whose spans are kept, and what it asked for."""

    sampler: Sampler = field(default=ALWAYS_ON)
    link_after: float | None = None
    calls: list[str] = field(default_factory=list)
    spans: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)

    def __post_init__(self) -> None:
        self.provider = TracerProvider(sampler=self.sampler, shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.spans))
        self.observer = SpanObserver(
            lambda: self.calls.append("provider"),
            lambda: True,
            lambda: self.calls.append("flush_soon"),
            self.provider,
            self.link_after,
        )

    def run(self, run: Run, outcome: Outcome | None = None) -> ReadableSpan:
        """Return the span of a run that ends at once."""
        watch = self.observer.started(run)
        watch.resumed()
        watch.ended(outcome or Outcome(COMPLETED, 1, None))
        watch.suspended()
        return self.spans.get_finished_spans()[-1]

    def labels(self, run: Run) -> Mapping[str, str]:
        """Return the labels of a run that ends at once."""
        watch = self.observer.started(run)
        watch.ended(Outcome(COMPLETED, 1, None))
        return watch.labels


@pytest.fixture
def studio() -> Studio:
    """Return a studio that records everything."""
    return Studio()


def ids(number: int, *, sampled: bool = True, remote: bool = False) -> SpanContext:
    """Return the ids of a span that can be told by its number."""
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    return SpanContext(number, number, is_remote=remote, trace_flags=flags)


def labels_of(number: int, **more: str) -> dict[str, str]:
    """Return the labels of a run whose span has the number."""
    return {TRACEPARENT: _propagation.traceparent(ids(number)), **more}


@pytest.fixture
def here() -> Iterator[None]:
    """Make a span of this process current, with the number 1."""
    token = otel_context.attach(trace.set_span_in_context(NonRecordingSpan(ids(1))))
    yield
    otel_context.detach(token)


def parent_of(span: ReadableSpan) -> int:
    """Return the number of a span's parent, 0 for a root."""
    return span.parent.span_id if span.parent else 0


OWN = labels_of(2)
NEAR = labels_of(3)
FAR = labels_of(4)
GARBAGE = {TRACEPARENT: "00-garbage"}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("run", "parent"),
    [
        (FLOW, 1),
        (replace(FLOW, in_process=True), 1),
        (replace(FLOW, in_process=True, labels=OWN), 1),
        (replace(FLOW, labels=OWN), 2),
        (replace(FLOW, labels=GARBAGE), 1),
        (replace(FLOW, enclosing_labels=(NEAR, FAR)), 1),
        (replace(DEPLOYED, labels=OWN), 2),
        (TASK, 1),
        (replace(TASK, labels=OWN, enclosing_labels=(NEAR,)), 1),
    ],
)
def test_parent_where_a_span_is_current(studio: Studio, run: Run, parent: int) -> None:
    """What encloses the run here is its parent, but for a flow run that others have asked for."""
    assert parent == parent_of(studio.run(run))


@pytest.mark.parametrize(
    ("run", "parent"),
    [
        (FLOW, 0),
        (TASK, 0),
        (replace(FLOW, labels=OWN, enclosing_labels=(NEAR,)), 2),
        (replace(FLOW, enclosing_labels=(NEAR, FAR)), 3),
        (replace(FLOW, in_process=True, enclosing_labels=(NEAR, FAR)), 3),
        (replace(TASK, labels=OWN, enclosing_labels=(NEAR,)), 2),
        (replace(TASK, enclosing_labels=(NEAR, FAR)), 3),
        (replace(TASK, enclosing_labels=({}, FAR)), 4),
        (replace(TASK, enclosing_labels=(GARBAGE, FAR)), 4),
        (replace(TASK, labels=GARBAGE, enclosing_labels=({"other": 1},)), 0),
        (replace(TASK, background=True, labels=OWN), 2),
    ],
)
def test_parent_where_none_is_current(studio: Studio, run: Run, parent: int) -> None:
    """The labels of the run are the nearest, then those of the runs around it."""
    span = studio.run(run)

    assert parent == parent_of(span)
    assert parent in (0, span.get_span_context().trace_id)  # type: ignore[union-attr]  # it has one


@pytest.mark.parametrize(
    ("run", "kind"),
    [
        (FLOW, SpanKind.INTERNAL),
        (DEPLOYED, SpanKind.CONSUMER),
        (replace(DEPLOYED, in_process=True), SpanKind.INTERNAL),
        (TASK, SpanKind.INTERNAL),
        (replace(TASK, deployment_id="dep-1"), SpanKind.INTERNAL),
        (replace(TASK, background=True), SpanKind.CONSUMER),
        (replace(TASK, background=True, in_process=True), SpanKind.CONSUMER),
    ],
)
def test_kind_says_who_asked(studio: Studio, run: Run, kind: SpanKind) -> None:
    """A run that comes from the server's queue consumes it; any other is internal."""
    assert kind == studio.run(run).kind


WAITED = replace(DEPLOYED, labels=OWN, waited=60.1)


@pytest.mark.parametrize(
    ("run", "link_after"),
    [
        (WAITED, None),
        (replace(WAITED, waited=60.0), 60.0),
        (replace(WAITED, deployment_id=""), 60.0),
        (replace(TASK, deployment_id="dep-1", labels=OWN, waited=60.1), 60.0),
    ],
    ids=["never", "just-in-time", "no-deployment", "task"],
)
def test_parent_stays_where_the_run_came_in_time(run: Run, link_after: float | None) -> None:
    """Only a deployment's flow run that has waited longer than it may starts a trace."""
    span = Studio(link_after=link_after).run(run)

    assert (2, ()) == (parent_of(span), tuple(span.links))


def test_run_that_waited_long_is_linked() -> None:
    """It starts a trace of its own, with a link to its creator, and keeps the correlation id."""
    studio = Studio(link_after=60.0)
    run = replace(WAITED, labels={**OWN, CORRELATION_ID: "ord-42", BAGGAGE: "order=42"})
    span = studio.run(run)
    labels = studio.labels(run)

    assert span.parent is None
    assert [2] == [link.context.span_id for link in span.links]
    assert 2 != span.get_span_context().trace_id  # type: ignore[union-attr]  # it has one
    assert ("ord-42", "") == (labels[CORRELATION_ID], labels[PARENT_SPAN_ID])
    assert "order=42" == labels[BAGGAGE]


@pytest.mark.usefixtures("here")
def test_run_in_another_is_never_linked() -> None:
    """Its parent is waiting for it in this process, however old its record is."""
    span = Studio(link_after=0).run(replace(WAITED, in_process=True))

    assert (1, ()) == (parent_of(span), tuple(span.links))


def test_run_that_goes_on_later_stays_in_its_trace() -> None:
    """What a resumed run's labels name is its own first span, however long it was suspended."""
    again = {**OWN, PARENT_SPAN_ID: ""}
    span = Studio(link_after=0).run(replace(WAITED, labels=again))

    assert (2, ()) == (parent_of(span), tuple(span.links))


def test_baggage_of_the_flow_run_goes_on_below_its_task(studio: Studio) -> None:
    """A task's labels name its span, and those of the flow run around it have the rest."""
    around = (NEAR, {**FAR, BAGGAGE: "order=42"})
    watch = studio.observer.started(replace(TASK, enclosing_labels=around))
    watch.resumed()
    outgoing = studio.observer.outgoing()
    watch.ended(Outcome(COMPLETED, 1, None))
    watch.suspended()

    assert 3 == parent_of(studio.spans.get_finished_spans()[-1])
    assert "order=42" == outgoing[BAGGAGE]


def test_run_without_creator_has_no_link() -> None:
    """Nobody is linked where nobody left a trace."""
    span = Studio(link_after=0).run(replace(WAITED, labels={}))

    assert (0, ()) == (parent_of(span), tuple(span.links))


@pytest.mark.parametrize(
    ("state", "error", "status", "error_type"),
    [
        (COMPLETED, None, StatusCode.UNSET, None),
        (StateChange("COMPLETED", "Cached", ""), None, StatusCode.UNSET, None),
        (StateChange("COMPLETED", "Skipped", "no eggs"), None, StatusCode.UNSET, None),
        (StateChange("PAUSED", "Paused", ""), None, StatusCode.UNSET, None),
        (StateChange("PAUSED", "Suspended", ""), None, StatusCode.UNSET, None),
        (StateChange("RUNNING", "Running", ""), None, StatusCode.UNSET, None),
        (StateChange("SCHEDULED", "AwaitingRetry", ""), None, StatusCode.UNSET, None),
        (StateChange("PENDING", "Pending", ""), None, StatusCode.UNSET, None),
        (FAILED, None, StatusCode.ERROR, "prefect.Failed"),
        (FAILED, LookupError(), StatusCode.ERROR, "LookupError"),
        (StateChange("FAILED", "TimedOut", ""), None, StatusCode.ERROR, "prefect.TimedOut"),
        (StateChange("CRASHED", "Crashed", ""), None, StatusCode.ERROR, "prefect.Crashed"),
        (StateChange("CRASHED", "Crashed", ""), SystemExit(1), StatusCode.ERROR, "SystemExit"),
        (StateChange("CANCELLED", "Cancelled", ""), None, StatusCode.ERROR, "prefect.Cancelled"),
        (StateChange("CANCELLING", "Cancelling", ""), None, StatusCode.ERROR, "prefect.Cancelling"),
        (StateChange("PENDING", "NotReady", ""), None, StatusCode.ERROR, "prefect.NotReady"),
        (StateChange("RUNNING", "Running", ""), ValueError(), StatusCode.ERROR, "ValueError"),
    ],
    ids=lambda value: value.name if isinstance(value, StateChange) else None,
)
def test_status_follows_the_state(
    studio: Studio,
    state: StateChange,
    error: BaseException | None,
    status: StatusCode,
    error_type: str | None,
) -> None:
    """What failed has the status ERROR, the state's message and an error; else it is unset."""
    span = studio.run(FLOW, Outcome(state, 3, error))
    found = attributes(span)
    ends = [found[f"prefect.{key}"] for key in ("state.type", "state.name", "run.count")]

    assert [state.type, state.name, 3] == ends
    assert status == span.status.status_code
    assert (state.message if error_type else None) == span.status.description
    assert error_type == found.get("error.type")
    assert (error_type is not None) == ("prefect.error.fingerprint" in found)
    assert (error_type is not None) == ("prefect.error.category" in found)
    assert (True if state.name == "Cached" else None) == found.get("prefect.cached")


ONE, OTHER = ValueError("one"), ValueError("other")


@pytest.mark.parametrize(
    ("told", "raised", "events"),
    [
        ([], ONE, ["one"]),
        ([ONE], ONE, ["one"]),
        ([ONE, OTHER], OTHER, ["one", "other"]),
        ([ONE], OTHER, ["one", "other"]),
        ([ONE], None, ["one"]),
        ([], None, []),
    ],
)
def test_error_is_told_once(
    studio: Studio, told: list[ValueError], raised: ValueError | None, events: list[str]
) -> None:
    """An engine tells of an error and raises it too: the span has it once, with each attempt's."""
    watch = studio.observer.started(FLOW)
    for error in told:
        watch.raised(error)
    watch.ended(Outcome(FAILED, 1, raised))
    found = [event for event in only(studio.spans).events if event.name == "exception"]

    assert events == [(event.attributes or {})["exception.message"] for event in found]
    assert all((event.attributes or {})["exception.type"] == "ValueError" for event in found)


def test_states_are_events(studio: Studio) -> None:
    """Each state is an event with its name; only one with a message carries it."""
    watch = studio.observer.started(FLOW)
    watch.changed(StateChange("RUNNING", "Running", ""))
    watch.changed(StateChange("SCHEDULED", "AwaitingRetry", "in 3 s"))
    watch.ended(Outcome(COMPLETED, 1, None))

    assert [
        ("Running", {"prefect.state.type": "RUNNING"}),
        (
            "AwaitingRetry",
            {"prefect.state.type": "SCHEDULED", "prefect.state.message": "in 3 s"},
        ),
        ("Completed", {"prefect.state.type": "COMPLETED"}),  # of which nobody has told
    ] == [(event.name, dict(event.attributes or {})) for event in only(studio.spans).events]


def test_attributes_say_whose_run_it_is(studio: Studio) -> None:
    """A flow run's span has all that its record says, and nothing of what it lacks."""
    run = replace(
        DEPLOYED, deployment="nightly", work_pool="pool", work_queue="default", tags=("b", "a")
    )
    found = dict(attributes(studio.run(replace(run, parameters={"day": "monday"}))))

    assert len(str(found.pop("correlation_id"))) == 32
    assert {
        "prefect.run.type": "flow",
        "prefect.run.count": 1,
        "prefect.flow.id": "flow-1",
        "prefect.flow.name": "etl",
        "prefect.flow_run.id": "run-1",
        "prefect.flow_run.name": "crimson-otter",
        "prefect.deployment.id": "dep-1",
        "prefect.deployment.name": "nightly",
        "prefect.work_pool.name": "pool",
        "prefect.work_queue.name": "default",
        "prefect.tags": ("a", "b"),
        "prefect.parameter.type.day": "str",
        "prefect.state.type": "COMPLETED",
        "prefect.state.name": "Completed",
        "code.function.name": "observed.load",
    } == found


def test_attributes_of_a_task_run(studio: Studio) -> None:
    """A task run's span names its task, its flow and both runs."""
    found = attributes(studio.run(TASK))
    names = ("task.name", "task_run.id", "task_run.name", "flow.name", "flow_run.id")

    assert ["load", "run-2", "load-0", "etl", "run-1"] == [found[f"prefect.{key}"] for key in names]
    assert not {key for key in found if "deployment" in key or "work_" in key or "tags" in key}


@pytest.mark.parametrize(
    ("run", "name"),
    [
        (FLOW, "flow etl"),
        (TASK, "task load"),
        (replace(FLOW, function=traced(name="ours")(load)), "ours"),
        (replace(FLOW, function=traced(load)), "flow etl"),
    ],
)
def test_name_is_of_low_cardinality(studio: Studio, run: Run, name: str) -> None:
    """A span is named after the flow or task, or as the user said; never after the run."""
    assert name == studio.run(run).name


@pytest.mark.parametrize(
    ("run", "key"), [(FLOW, "prefect.flow_run.name"), (TASK, "prefect.task_run.name")]
)
def test_custom_run_name_comes_later(studio: Studio, run: Run, key: str) -> None:
    """The engine makes it out of the parameters when the span is there already."""
    watch = studio.observer.started(run)
    watch.renamed("load-monday")
    watch.ended(Outcome(COMPLETED, 1, None))

    assert "load-monday" == attributes(only(studio.spans))[key]


def test_parameters_are_told_by_type_alone(studio: Studio) -> None:
    """A value that nobody has named is nowhere in the span, however the run ends."""

    @traced(record=("day",))
    def charge(day: str, card: str, *, safe: object) -> None:
        raise LookupError(day, len(card), type(safe))

    card_number = "hunter2"
    parameters = {"day": "monday", "card": card_number, "safe": {"pin": card_number}}
    with pytest.raises(LookupError) as raised:
        charge(**parameters)  # type: ignore[arg-type]  # they are as they should be
    run = replace(TASK, function=charge, parameters=parameters)
    span = studio.run(run, Outcome(FAILED, 1, raised.value))
    found = attributes(span)

    assert "hunter2" not in span.to_json()
    assert "monday" == found["prefect.parameter.value.day"]
    assert {"str", "dict"} == {
        value for key, value in found.items() if key.startswith("prefect.parameter.type.")
    }


def hostile_run(word: str) -> Run:
    """Return a run that says nothing but the word, as often as it can."""
    many = {f"{word}{number}": Hostile() for number in range(1000)}
    texts: dict[str, Any] = dict.fromkeys(
        (
            *("id", "name", "flow", "flow_run_id", "flow_run_name", "task", "flow_id"),
            *("deployment_id", "deployment", "work_pool", "work_queue"),
        ),
        word,
    )
    return replace(TASK, **texts, tags=(word,) * 1000, parameters=many)


@pytest.mark.parametrize("kind", ["flow", "task"])
def test_span_is_bounded(studio: Studio, kind: Any) -> None:  # noqa: ANN401 - two literals
    """Whatever sizes Prefect and the user come with, a span stays within 64 KiB."""
    error = type("E" * 5000, (Exception,), {})(HUGE)
    watch = studio.observer.started(replace(hostile_run(HUGE), kind=kind))
    watch.renamed(HUGE)
    watch.ended(Outcome(FAILED, 1, error))
    span = only(studio.spans)

    assert len(span.name) <= 512
    assert encode_spans([span]).ByteSize() < 65_536


def test_attributes_are_limited_in_number(studio: Studio) -> None:
    """Of 1,000 tags and 1,000 parameters 32 each are kept, cut at 256 characters."""
    found = attributes(studio.run(hostile_run(HUGE)))
    tags = found["prefect.tags"]
    parameters = [key for key in found if key.startswith("prefect.parameter.type.")]

    assert isinstance(tags, tuple)
    assert ({256}, 32) == ({len(str(tag)) for tag in tags}, len(tags))
    assert len(parameters) <= 32
    assert {256} == {len(str(found[f"prefect.{key}"])) for key in ("flow.name", "task_run.name")}


def test_what_is_no_text_can_be_sent(studio: Studio, caplog: pytest.LogCaptureFixture) -> None:
    """A lone surrogate, as in a file's name, costs neither a traceback nor the other spans."""
    word = "caf\udce9"
    watch = studio.observer.started(hostile_run(word))
    watch.renamed(word)
    watch.ended(Outcome(FAILED, 1, OSError(word)))

    assert b"caf" in encode_spans(studio.spans.get_finished_spans()).SerializeToString()
    assert "" == caplog.text


def test_unsampled_run_costs_nothing_but_is_propagated() -> None:
    """Neither parameters nor errors are looked at, and the next process hears: do not sample."""

    class Untouchable(dict[str, object]):
        def items(self) -> NoReturn:
            raise AssertionError

        __iter__ = __getitem__ = keys = values = items  # type: ignore[assignment]  # none returns

    class Unread(Exception):
        def __str__(self) -> str:
            read.append(self)
            return ""

    read: list[Unread] = []
    studio = Studio(ALWAYS_OFF)
    watch = studio.observer.started(replace(FLOW, parameters=Untouchable(), labels=OWN))
    watch.resumed()
    inner = studio.observer.outgoing()
    watch.raised(Unread())
    watch.ended(Outcome(FAILED, 1, Unread()))
    watch.suspended()

    assert () == studio.spans.get_finished_spans()
    assert watch.labels[TRACEPARENT].endswith("-00")
    assert watch.labels[TRACEPARENT] == inner[TRACEPARENT] != OWN[TRACEPARENT]
    assert [] == read


@pytest.mark.parametrize("sampled", [True, False])
def test_sampling_is_decided_once_for_a_trace(*, sampled: bool) -> None:
    """What the first process decided holds in the next, whatever its own sampler would say."""
    first = Studio(ALWAYS_ON if sampled else ALWAYS_OFF)
    second = Studio(ParentBased(ALWAYS_OFF if sampled else ALWAYS_ON))
    labels = first.labels(FLOW)
    second.observer.started(replace(DEPLOYED, labels=labels)).ended(Outcome(COMPLETED, 1, None))

    assert sampled == bool(second.spans.get_finished_spans())


def test_labels_of_a_flow_run(studio: Studio) -> None:
    """Its record carries its own span, its parent, tracestate, baggage and correlation id."""
    state = TraceState([("vendor", "7")])
    creator = SpanContext(2, 2, is_remote=True, trace_flags=TraceFlags(1), trace_state=state)
    context = baggage.set_baggage(
        "order", "42", trace.set_span_in_context(NonRecordingSpan(creator), Context())
    )
    run = replace(FLOW, labels={**_propagation.to_labels(context), CORRELATION_ID: "ord-42"})
    labels = studio.labels(run)

    assert {
        TRACEPARENT: f"00-{2:032x}-{span_id(only(studio.spans))}-01",
        TRACESTATE: "vendor=7",
        BAGGAGE: "order=42",
        PARENT_SPAN_ID: f"{2:016x}",
        CORRELATION_ID: "ord-42",
    } == labels


def test_labels_of_a_root(studio: Studio) -> None:
    """The parent's label is there, and empty: the trace starts with this run."""
    labels = studio.labels(FLOW)

    assert {TRACEPARENT, PARENT_SPAN_ID, CORRELATION_ID} == set(labels)
    assert "" == labels[PARENT_SPAN_ID]


def test_mark_of_an_earlier_start_is_taken_back(studio: Studio) -> None:
    """A run that starts again after a kill has a span that has not ended yet."""
    labels = studio.labels(replace(FLOW, labels={SPAN_ENDED: "true"}))

    assert "" == labels[SPAN_ENDED]


def test_labels_of_a_task_run(studio: Studio) -> None:
    """They hold its own span alone: the rest is with its flow run."""
    labels = studio.labels(replace(TASK, enclosing_labels=(FAR,)))

    assert {TRACEPARENT: f"00-{4:032x}-{span_id(only(studio.spans))}-01"} == labels


def observed_without_sdk(run: Run) -> Mapping[str, str]:
    """Return the labels of a run where nobody makes spans."""
    nothing: Callable[[], None] = lambda: None  # noqa: E731 - shorter than a function
    observer = SpanObserver(nothing, lambda: True, nothing, NoOpTracerProvider())
    watch = observer.started(run)
    watch.resumed()
    watch.raised(ONE)
    watch.ended(Outcome(FAILED, 1, ONE))
    watch.suspended()
    return watch.labels


def test_run_without_sdk_has_no_labels() -> None:
    """Where no span is made no trace is claimed."""
    assert {} == observed_without_sdk(FLOW)


@pytest.mark.parametrize("run", [FLOW, TASK])
def test_run_without_sdk_does_not_claim_its_creators_span(run: Run) -> None:
    """The labels that it has name the creator's span; they do not say that it is the run's."""
    labels = observed_without_sdk(replace(run, labels=OWN))

    assert PARENT_SPAN_ID not in labels
    assert labels.get(TRACEPARENT, OWN[TRACEPARENT]) == OWN[TRACEPARENT]


@pytest.mark.parametrize(
    ("bound", "run", "expected"),
    [
        ("ctx", replace(FLOW, labels={CORRELATION_ID: "own"}), "ctx"),
        (None, replace(FLOW, labels={CORRELATION_ID: "own"}), "own"),
        (None, replace(FLOW, labels={"correlation_id": "asked"}), "asked"),
        (None, replace(FLOW, labels={"correlation_id": "a b", CORRELATION_ID: "own"}), "own"),
        (
            None,
            replace(TASK, enclosing_labels=({CORRELATION_ID: "near"}, {CORRELATION_ID: "far"})),
            "near",
        ),
        (None, replace(TASK, enclosing_labels=({}, {CORRELATION_ID: "far"})), "far"),
        (
            None,
            replace(
                FLOW,
                labels={CORRELATION_ID: "a\r\nb"},
                enclosing_labels=({CORRELATION_ID: ["far"]}, {CORRELATION_ID: "ok"}),
            ),
            "ok",
        ),
    ],
    ids=["context", "labels", "asked", "odd-ask", "near", "far", "hostile"],
)
def test_correlation_id_is_the_nearest(
    studio: Studio, bound: str | None, run: Run, expected: str
) -> None:
    """It is this context's, else the run's, else that of a run around; none that could inject."""
    token = _correlation.bind(bound) if bound else None
    try:
        span = studio.run(run)
    finally:
        if token:
            _correlation.unbind(token)

    assert expected == attributes(span)["correlation_id"]


def test_requests_of_a_run_carry_its_correlation_id(studio: Studio) -> None:
    """It is in the baggage of what the run sends, and not twice among the run's own labels."""
    headers: dict[str, str] = {}
    watch = studio.observer.started(replace(FLOW, labels={CORRELATION_ID: "ord-42"}))
    watch.resumed()
    propagate.inject(headers)
    watch.suspended()
    watch.ended(None)

    assert "correlation_id=ord-42" == headers["baggage"]
    assert BAGGAGE not in watch.labels


@pytest.mark.parametrize("given", [None, "", "two words", 7, "x" * 129])
def test_correlation_id_is_made_where_none_is_sound(studio: Studio, given: object) -> None:
    """A new one is made for each trace, and the runs within have it too."""
    outer = studio.observer.started(replace(FLOW, labels={CORRELATION_ID: given}))
    outer.resumed()
    inner = studio.run(replace(TASK, in_process=True))
    outgoing = studio.observer.outgoing()
    outer.suspended()
    minted = outer.labels[CORRELATION_ID]

    assert len(minted) == 32
    assert minted == attributes(inner)["correlation_id"] == outgoing[CORRELATION_ID]
    assert studio.labels(FLOW)[CORRELATION_ID] != minted


def test_outgoing_carries_what_is_current(studio: Studio) -> None:
    """Within a run it is the run's span; outside of all it is nothing, or the id alone."""
    watch = studio.observer.started(TASK)
    watch.resumed()
    within = studio.observer.outgoing()
    watch.suspended()
    outside = studio.observer.outgoing()
    token = _correlation.bind("ord-42")
    bound = studio.observer.outgoing()
    _correlation.unbind(token)

    assert watch.labels[TRACEPARENT] == within[TRACEPARENT]
    assert PARENT_SPAN_ID not in within
    assert {} == outside
    assert {CORRELATION_ID: "ord-42"} == bound


@pytest.mark.parametrize(
    ("run", "calls"),
    [
        (replace(TASK, labels=OWN), ["provider", "flush_soon"]),
        (replace(TASK, enclosing_labels=(NEAR,)), ["provider", "flush_soon"]),
        (TASK, ["provider"]),
        (replace(FLOW, labels=OWN), ["provider"]),
        (FLOW, ["provider"]),
    ],
)
def test_spans_of_lone_tasks_are_hurried(studio: Studio, run: Run, calls: list[str]) -> None:
    """A task whose flow is elsewhere may be the last thing that its process does."""
    studio.run(run)

    assert calls == studio.calls


def test_provider_is_ensured_before_the_first_span_alone(studio: Studio) -> None:
    """Nothing is set up where no run starts, and once where many do."""
    studio.observer.outgoing()
    assert [] == studio.calls

    for _ in range(3):
        studio.run(FLOW)
    assert ["provider"] == studio.calls


@pytest.mark.parametrize("arrived", [True, False])
def test_flush_says_whether_all_arrived(*, arrived: bool) -> None:
    """The answer is of whoever sends."""
    nothing: Callable[[], None] = lambda: None  # noqa: E731 - as above

    assert arrived == SpanObserver(nothing, lambda: arrived, nothing).flush()


def test_span_ends_though_its_end_fails(studio: Studio) -> None:
    """Where a run's end cannot be described the span is sent all the same."""
    watch = studio.observer.started(FLOW)
    with pytest.raises(AttributeError):
        watch.ended(Outcome(None, 1, None))  # type: ignore[arg-type]  # what must not be

    assert "flow etl" == only(studio.spans).name


@dataclass
class Open:
    """A run that has started and not ended."""

    watch: RunObserver
    function: Callable[..., object]
    span_id: int
    correlation_id: str


class _Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


class Interleaved(RuleBasedStateMachine):
    """Runs of several threads or tasks, some of which are generators that others resume."""

    def __init__(self) -> None:
        super().__init__()
        self.studio = Studio()
        self.contexts = [contextvars.Context() for _ in range(3)]
        self.stacks: list[list[Open]] = [[] for _ in self.contexts]
        self.idle: list[Open] = []
        self.count = 0
        self.complaints = _Records()
        logging.getLogger("opentelemetry").addHandler(self.complaints)

    places = st.integers(0, 2)

    @rule(place=places, kind=st.sampled_from(["flow", "task"]))
    def start(self, place: int, kind: str) -> None:
        """Start a run within the innermost one of a context."""
        stack = self.stacks[place]

        def function() -> None:
            pass

        run = replace(TASK if kind == "task" else FLOW, in_process=bool(stack), function=function)
        watch = self.contexts[place].run(self.studio.observer.started, run)
        parent = int(watch.labels.get(PARENT_SPAN_ID, "0") or "0", 16)
        own = int(watch.labels[TRACEPARENT].split("-")[2], 16)
        self.contexts[place].run(watch.resumed)
        correlation_id = self.contexts[place].run(_correlation.current)
        assert correlation_id is not None
        if kind == "flow":
            assert parent == (stack[-1].span_id if stack else 0)
        if stack:
            assert correlation_id == stack[-1].correlation_id
        stack.append(Open(watch, function, own, correlation_id))
        self.count += 1

    @precondition(lambda self: any(self.stacks))
    @rule(place=places)
    def suspend(self, place: int) -> None:
        """The innermost run of a context yields."""
        if self.stacks[place]:
            run = self.stacks[place].pop()
            self.contexts[place].run(run.watch.suspended)
            self.idle.append(run)

    @precondition(lambda self: self.idle)
    @rule(place=places, number=st.integers(0, 9))
    def resume(self, place: int, number: int) -> None:
        """A run that has yielded goes on, in this context or in another."""
        run = self.idle.pop(number % len(self.idle))
        self.contexts[place].run(run.watch.resumed)
        self.stacks[place].append(run)

    @precondition(lambda self: any(self.stacks))
    @rule(place=places)
    def end(self, place: int) -> None:
        """The innermost run of a context ends."""
        if self.stacks[place]:
            run = self.stacks[place].pop()
            self.contexts[place].run(run.watch.ended, Outcome(COMPLETED, 1, None))
            self.contexts[place].run(run.watch.suspended)

    @precondition(lambda self: self.idle)
    @rule(place=places, number=st.integers(0, 9))
    def abandon(self, place: int, number: int) -> None:
        """A run that has yielded ends where it is collected, and is suspended no more."""
        run = self.idle.pop(number % len(self.idle))
        self.contexts[place].run(run.watch.ended, Outcome(COMPLETED, 1, None))
        self.contexts[place].run(run.watch.suspended)

    @invariant()
    def innermost_is_current(self) -> None:
        """In each context the innermost run is current, or nothing is."""
        for context, stack in zip(self.contexts, self.stacks, strict=True):
            span = context.run(trace.get_current_span).get_span_context()
            found = (span.span_id, context.run(_correlation.current), context.run(running.get))
            top = stack[-1] if stack else None
            expected = (top.span_id, top.correlation_id, top.function) if top else (0, None, None)
            assert expected == found

    @invariant()
    def each_span_ends_once(self) -> None:
        """What has ended is what is neither open nor idle."""
        ended = [span.context.span_id for span in self.studio.spans.get_finished_spans()]
        left = [run.span_id for stack in (*self.stacks, self.idle) for run in stack]

        assert len(ended) == len(set(ended)) == self.count - len(left)
        assert not set(ended) & set(left)

    @invariant()
    def nobody_complains(self) -> None:
        """OpenTelemetry logs where a context is left that was not entered."""
        assert [] == self.complaints.messages

    def teardown(self) -> None:
        """Leave the logger as it was."""
        logging.getLogger("opentelemetry").removeHandler(self.complaints)


TestInterleaved = Interleaved.TestCase
TestInterleaved.settings = settings(max_examples=60, stateful_step_count=30)
