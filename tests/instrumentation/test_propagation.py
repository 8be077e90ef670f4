"""What of a trace context goes through labels, and what does not."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage, trace
from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState

from prefect_instrumentation import _propagation
from prefect_instrumentation._propagation import (
    BAGGAGE,
    MAX_BAGGAGE,
    MAX_HEADER,
    TRACEPARENT,
    TRACESTATE,
    from_labels,
    to_labels,
)

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

trace_ids = st.integers(1, 2**128 - 1)
span_ids = st.integers(1, 2**64 - 1)
keys = st.from_regex(r"[a-z][a-z0-9_*/-]{0,20}", fullmatch=True)
values = st.from_regex(r"[!-+\--<>-~]{1,40}", fullmatch=True)
tracestates = st.dictionaries(keys, values, max_size=8)
texts = st.text(max_size=300)
names = st.from_regex(r"[A-Za-z0-9_.-]{1,20}", fullmatch=True)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=600),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """The propagators of OpenTelemetry log what they refuse."""
    logger = logging.getLogger("opentelemetry")
    before, logger.disabled = logger.disabled, True
    yield
    logger.disabled = before


def context_of(span: SpanContext, carried: Mapping[str, object] | None = None) -> Context:
    """Return a context with a span and with baggage."""
    context = trace.set_span_in_context(NonRecordingSpan(span), Context())
    for name, value in (carried or {}).items():
        context = baggage.set_baggage(name, value, context)
    return context


def span_of(flags: int = 1, state: Mapping[str, str] | None = None) -> SpanContext:
    """Return ids of a span."""
    return SpanContext(
        0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(flags), trace_state=_state(state)
    )


def _state(state: Mapping[str, str] | None) -> TraceState:
    return TraceState(list((state or {}).items()))


def arrived(labels: Mapping[str, object]) -> SpanContext:
    """Return the ids that labels carry."""
    context = from_labels(labels)
    assert context is not None
    return trace.get_current_span(context).get_span_context()


@given(trace_ids, span_ids, st.integers(0, 255), tracestates, st.dictionaries(names, texts))
def test_context_comes_back_from_labels(
    trace_id: int, span_id: int, flags: int, state: dict[str, str], carried: dict[str, str]
) -> None:
    """Ids, all flags, tracestate and what fits of the baggage are the same on the other side."""
    span = SpanContext(
        trace_id,
        span_id,
        is_remote=False,
        trace_flags=TraceFlags(flags),
        trace_state=_state(state),
    )
    labels = to_labels(context_of(span, carried))
    context = from_labels(json.loads(json.dumps(labels)))
    assert context is not None
    there = trace.get_current_span(context).get_span_context()

    assert (trace_id, span_id, flags) == (there.trace_id, there.span_id, there.trace_flags)
    assert there.is_remote
    assert (state if TRACESTATE in labels else {}) == dict(there.trace_state)
    if BAGGAGE in labels:
        found = baggage.get_all(context)
        # The standard lets whoever carries baggage trim what stands around a value.
        assert {name: value.strip() for name, value in carried.items() if name in found} == found
    if sum(12 * len(value) + 30 for value in carried.values()) < MAX_BAGGAGE:
        assert set(carried) == set(baggage.get_all(context))


@given(st.dictionaries(st.text(max_size=40), st.text(max_size=2000), max_size=250))
def test_labels_are_bounded_ascii(carried: dict[str, str]) -> None:
    """Whatever baggage there is, the label has whole entries only, in ASCII, within its bound."""
    labels = to_labels(context_of(span_of(), carried))
    label = labels.get(BAGGAGE, "")

    assert len(label) <= MAX_BAGGAGE
    assert label.isascii()
    assert all(entry.count("=") == 1 for entry in label.split(",") if label)


def test_baggage_beyond_the_bound_stays_behind() -> None:
    """The first entries that fit go on unchanged; the others are not cut, but left."""
    carried = {f"key{number}": "v" * 1000 for number in range(6)}
    labels = to_labels(context_of(span_of(), carried))
    context = from_labels(labels)

    assert {f"key{number}": "v" * 1000 for number in range(4)} == baggage.get_all(context)


def test_baggage_of_exactly_the_bound_goes_on() -> None:
    """An entry that fills the bound to its last character fits."""
    first, second = "v" * 3000, "w" * (MAX_BAGGAGE - 3005)
    fits = to_labels(context_of(span_of(), {"a": first, "b": second}))
    longer = to_labels(context_of(span_of(), {"a": first, "b": second + "w"}))

    assert MAX_BAGGAGE == len(fits[BAGGAGE])
    assert f"a={first}" == longer[BAGGAGE]


@pytest.mark.parametrize(
    "value", ["\u00e4rger", "\u4e2d\u6587", "\U0001f600", "a,b;c=d", '"x"', "%2C"]
)
def test_baggage_of_any_characters_comes_back(value: str) -> None:
    """What is no ASCII, or separates entries, is quoted on the way."""
    labels = to_labels(context_of(span_of(), {"order": value}))

    assert labels[BAGGAGE].isascii()
    assert {"order": value} == baggage.get_all(from_labels(labels))


@pytest.mark.parametrize("value", ["\udcff", "a\ud800b"], ids=["alone", "between"])
def test_baggage_that_is_no_text_does_no_harm(value: str) -> None:
    """A lone surrogate, as in a file's name, costs at most the baggage, not the trace."""
    labels = to_labels(context_of(span_of(), {"file": value}))

    assert "00-" == labels[TRACEPARENT][:3]


def test_tracestate_beyond_the_bound_stays_behind() -> None:
    """It is left whole, since half of one could be taken for another; the parent stays."""
    fits = {"a": "v" * (MAX_HEADER // 2 - 2), "b": "w" * (MAX_HEADER - MAX_HEADER // 2 - 3)}
    longer = {**fits, "c": "x"}
    labels = to_labels(context_of(span_of(state=longer)))

    assert MAX_HEADER == len(to_labels(context_of(span_of(state=fits)))[TRACESTATE])
    assert {TRACEPARENT} == set(labels)


def test_context_of_nothing_has_no_labels() -> None:
    """Where there is neither a trace nor baggage there is nothing to carry."""
    assert {} == to_labels(Context())


def test_baggage_alone_is_carried() -> None:
    """Outside of any trace baggage goes on; without a parent nobody takes it up."""
    labels = to_labels(baggage.set_baggage("order", "42", Context()))

    assert {BAGGAGE: "order=42"} == labels
    assert from_labels(labels) is None


def test_current_context_is_carried_by_default() -> None:
    """Whoever names no context means the current one, on both sides."""
    token = otel_context.attach(baggage.set_baggage("order", "42", context_of(span_of())))
    try:
        labels = to_labels()
        there = from_labels({TRACEPARENT: PARENT})
    finally:
        otel_context.detach(token)

    assert {TRACEPARENT: f"00-{0xABC:032x}-{0xDEF:016x}-01", BAGGAGE: "order=42"} == labels
    assert {"order": "42"} == baggage.get_all(there)


@pytest.mark.parametrize("flags", ["00", "01", "02", "03", "ff"])
def test_flags_are_kept(flags: str) -> None:
    """Prefect's server writes other flags than 01; only the lowest bit says `sampled`."""
    there = arrived({TRACEPARENT: PARENT[:-2] + flags})

    assert int(flags, 16) == there.trace_flags
    assert (flags in ("01", "03", "ff")) == there.trace_flags.sampled


REFUSED = {
    "empty": "",
    "none": None,
    "number": 1,
    "list": [PARENT],
    "zero-trace": f"00-{0:032x}-b7ad6b7169203331-01",
    "zero-span": f"00-0af7651916cd43dd8448eb211c80319c-{0:016x}-01",
    "capitals": PARENT.upper(),
    "short": PARENT[:-1],
    "more": PARENT + "-00",
    "version-ff": "ff" + PARENT[2:],
    "inner-line": PARENT[:20] + "\n" + PARENT[20:],
    "not-hex": PARENT.replace("a", "g"),
    "digits-of-others": PARENT.replace("1", "\u0661"),
    "huge": PARENT + " " * MAX_HEADER,
}


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
def test_what_is_no_traceparent_carries_nothing(value: object) -> None:
    """A label that no instrumentation wrote makes no parent, whatever else is there."""
    labels = {TRACEPARENT: value, TRACESTATE: "a=b", BAGGAGE: "order=42"}

    assert from_labels(labels) is None


def test_what_is_no_traceparent_carries_nothing_under_a_request() -> None:
    """Nor is the remote parent that happens to be current taken for the labels'."""
    remote = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1))
    token = otel_context.attach(context_of(remote))
    try:
        assert from_labels({TRACEPARENT: "nonsense"}) is None
    finally:
        otel_context.detach(token)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            TRACEPARENT: json_values | st.just(PARENT),
            TRACESTATE: json_values,
            BAGGAGE: json_values,
        },
    )
)
def test_no_labels_do_harm(labels: dict[str, object]) -> None:
    """Any JSON may stand on a run's record: it is a valid remote parent, or nothing."""
    context = from_labels(labels)
    if labels.get(TRACEPARENT) == PARENT:
        assert context is not None
    if context is not None:
        there = trace.get_current_span(context).get_span_context()
        assert (True, True) == (there.is_valid, there.is_remote)


@pytest.mark.parametrize("key", [TRACESTATE, BAGGAGE])
@pytest.mark.parametrize(
    "value",
    ["=", ",,,", "a", "\x00", "\u00e4=\u00f6", "a=b\r\nx: y", 7, None, ["a=b"], "a=" + "b" * 9000],
)
def test_bad_company_does_not_cost_the_parent(key: str, value: object) -> None:
    """A parent counts though what stands beside it is of no use."""
    there = arrived({TRACEPARENT: PARENT, key: value})

    assert PARENT == _propagation.traceparent(there)


def test_baggage_of_labels_is_bounded_too() -> None:
    """More than this package writes is not taken up from elsewhere."""
    longer = f"a={'v' * 3000},b={'w' * 3000}"
    carried = from_labels({TRACEPARENT: PARENT, BAGGAGE: longer})

    assert {} == baggage.get_all(carried)
