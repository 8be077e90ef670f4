"""What users say of their spans: parameters, annotations, records and bytes."""

from __future__ import annotations

import contextvars
import enum
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util.types import AttributeValue

from prefect_instrumentation import Trace, annotate, current_trace, record_io, traced
from prefect_instrumentation._spec import (
    attribute_value,
    attributes_of,
    bind_recorded,
    function_name,
    spec_of,
)
from prefect_instrumentation._text import text
from traces import Hostile, attributes, context_of, only, printed

UNSOUND = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from prefect_instrumentation._text import text
from prefect_instrumentation._text import text
from prefect_instrumentation._traced import record_io

trace.set_tracer_provider(TracerProvider())
with trace.get_tracer("test").start_as_current_span("load") as span:
    for records in (-1, 1.5, "many", -1):
        record_io(records=records, bytes=2)
    print(dict(span.attributes))
"""


def test_named_parameters_alone_are_recorded(spans: InMemorySpanExporter) -> None:
    """Only parameters that are named are recorded, defaults too, as bounded text."""

    @traced(record=("day", "customer"))
    def load(day: str, password: str, customer: int = 7) -> str:
        return day + password + str(customer)

    load("x" * 1000, password="hunter2")  # noqa: S106 - it must not be seen
    found = attributes(only(spans))

    assert "x" * 256 == found["prefect.parameter.value.day"]
    assert "7" == found["prefect.parameter.value.customer"]
    assert "hunter2" not in str(found)


def test_wrong_call_fails_as_untraced(spans: InMemorySpanExporter) -> None:
    """A call with wrong arguments raises what it would; they alone are missing from its span."""

    @traced(record=("day",))
    def load(day: str) -> str:
        return day

    with pytest.raises(TypeError, match="unexpected keyword argument 'month'"):
        load(month="may")  # type: ignore[call-arg]  # this is the test
    found = attributes(only(spans))

    assert "TypeError" == found["error.type"]
    assert function_name(load) == found["code.function.name"]
    assert "prefect.parameter.value.day" not in found


def test_hostile_parameter_does_no_harm(spans: InMemorySpanExporter) -> None:
    """A value without a text is recorded as its type."""

    @traced(record=("day",))
    def load(day: object) -> int:
        return id(day)

    hostile = Hostile()

    assert id(hostile) == load(hostile)
    assert "<Hostile>" == attributes(only(spans))["prefect.parameter.value.day"]


def test_spec_makes_attributes() -> None:
    """A run's span gets what the spec says, of its parameters those that are named and there."""

    @traced(attributes={"team": "sales"}, source="s3://raw", record=["day"])
    def load(day: str) -> str:
        return day

    spec = spec_of(load)

    assert spec
    assert {"prefect.parameter.value.day": "may"} == bind_recorded(
        spec, {"day": "may", "password": "hunter2"}
    )
    assert {} == bind_recorded(spec, {})
    assert {"team": "sales", "prefect.source": "s3://raw"} == attributes_of(spec, {})


class Colour(enum.StrEnum):
    """A text that is an enumeration."""

    RED = "red"


class Count:
    """A whole number that is no `int`, as NumPy's are."""

    def __index__(self) -> int:
        """Return it."""
        return 3


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("x", "x"),
        ("x" * 2000, "x" * 1024),
        ("\ud800", "?"),
        (Colour.RED, "red"),
        (True, True),
        (7, 7),
        (Count(), 3),
        (2**63, str(2**63)),
        (10**5000, "<int>"),
        (1.5, 1.5),
        (None, "None"),
        (b"x", "b'x'"),
        (Path("raw"), "raw"),
        ({"a": 1}, "{'a': 1}"),
        ([1, 2], [1, 2]),
        ([], []),
        ((1, "a"), ["1", "a"]),
        ([Path("a"), Path("b")], ["a", "b"]),
        ([[1], [2]], ["[1]", "[2]"]),
        (range(3), "range(0, 3)"),
        (list(range(1000)), list(range(128))),
        (Hostile(), "<Hostile>"),
        ([Hostile()], ["<Hostile>"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_become_attributes(value: object, expected: AttributeValue) -> None:
    """What OpenTelemetry takes stays, bounded; what it does not take becomes text."""
    actual = attribute_value(value)

    assert expected == actual
    assert type(expected) is type(actual)


@pytest.mark.parametrize("make", [list, tuple, set, dict.fromkeys], ids=str)
def test_large_container_is_not_written_out(make: Callable[[object], object]) -> None:
    """Of a large container only few items are asked for their text."""
    asked = []

    class Item:
        def __repr__(self) -> str:
            asked.append(self)
            return "item"

    assert text(make([Item() for _ in range(10_000)]), 256).count("item") > 10
    assert len(asked) <= 32


def test_io_adds_up(spans: InMemorySpanExporter) -> None:
    """Records and bytes add up within a span, and places are the last ones; a child has its own."""

    @traced(name="inner")
    def inner() -> None:
        record_io(records=100)

    @traced(name="outer", source="s3://first")
    def outer() -> None:
        record_io(records=1, bytes=10, source="s3://second")
        inner()
        record_io(records=2, destination="table://orders")
        record_io(bytes=0)

    outer()
    child, parent = map(attributes, spans.get_finished_spans())

    assert 100 == child["prefect.io.records"]
    assert "prefect.io.bytes" not in child
    assert {
        "prefect.io.records": 3,
        "prefect.io.bytes": 10,
        "prefect.source": "s3://second",
        "prefect.destination": "table://orders",
    } == {key: value for key, value in parent.items() if key != "code.function.name"}


def test_io_stays_in_range(spans: InMemorySpanExporter) -> None:
    """A sum is never larger than what can be sent."""

    @traced
    def load() -> None:
        record_io(records=2**63 - 2)
        record_io(records=2**64)

    load()

    assert 2**63 - 1 == attributes(only(spans))["prefect.io.records"]


def test_io_adds_up_over_threads(spans: InMemorySpanExporter) -> None:
    """No record is lost where threads share a span."""

    def add() -> None:
        for _ in range(2000):
            record_io(records=1)

    @traced
    def load() -> None:
        contexts = [contextvars.copy_context() for _ in range(4)]
        threads = [threading.Thread(target=each.run, args=(add,)) for each in contexts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # else they take turns too seldom to get in each other's way
    try:
        load()
    finally:
        sys.setswitchinterval(interval)

    assert 8000 == attributes(only(spans))["prefect.io.records"]


def test_unsound_io_is_ignored_with_one_warning() -> None:
    """What is no count is ignored and warned of once; what stands beside it counts."""
    out, err = printed(UNSOUND)

    assert "{'prefect.io.bytes': 8}" == out
    assert "record_io() takes whole numbers from 0 up; ignored one for prefect.io.records." == err


def test_annotations_are_attributes(spans: InMemorySpanExporter) -> None:
    """Annotations are on the current span; a hostile one does not take the others along."""

    @traced
    def load() -> None:
        annotate(hostile=Hostile(), customer="acme", parts=[1, 2])

    load()
    found = attributes(only(spans))

    assert ("<Hostile>", "acme", (1, 2)) == (found["hostile"], found["customer"], found["parts"])


def test_current_trace_is_what_headers_say(spans: InMemorySpanExporter) -> None:
    """The trace that code sees is that of its span, as W3C writes it."""

    @traced
    def load() -> Trace | None:
        return current_trace()

    found = load()
    assert found
    context = context_of(only(spans))

    assert Trace(f"{context.trace_id:032x}", f"{context.span_id:016x}", sampled=True) == found
    assert f"00-{context.trace_id:032x}-{context.span_id:016x}-01" == found.traceparent


def test_unsampled_trace_says_so() -> None:
    """In a trace that nobody records all goes on, without a record."""
    context = trace.SpanContext(1, 2, is_remote=True, trace_flags=trace.TraceFlags(0))
    token = otel_context.attach(trace.set_span_in_context(trace.NonRecordingSpan(context)))
    try:
        record_io(records=1)
        annotate(customer="acme")
        found = current_trace()
    finally:
        otel_context.detach(token)

    assert found
    assert Trace("0" * 31 + "1", "0" * 15 + "2", sampled=False) == found
    assert f"00-{'0' * 31}1-{'0' * 15}2-00" == found.traceparent
