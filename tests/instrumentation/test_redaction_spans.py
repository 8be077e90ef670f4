"""No secret is on a span: neither where we write it, nor where others do, on its way out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, Status, StatusCode
from prefect.states import Failed

from observed import FLOW
from prefect_instrumentation import _secrets, annotate, record_io, traced
from prefect_instrumentation._prefect import reading
from prefect_instrumentation._provider.span_pipeline import Pipeline
from prefect_instrumentation._runs import Outcome, Run
from prefect_instrumentation._secrets.redacted_spans import redacted
from prefect_instrumentation._spans import SpanObserver

KNOWN = "hunter-known-xyz4711"
OTHER = {"password": "other-xyz4711"}
FORMS = [KNOWN, "password=hunter-xyz4711", "mysql://joe:hunter-xyz4711@db", "Bearer hunter-xyz4711"]


@pytest.fixture(autouse=True)
def _known() -> None:
    _secrets.learn(KNOWN)


@pytest.fixture(name="run_span")
def _fixture_run_span() -> Iterator[Callable[[Run, BaseException | None], ReadableSpan]]:
    """Return what makes the span of a run, as a provider of the user's own gets it."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    observer = SpanObserver(lambda: None, lambda: True, lambda: None, provider)

    def make(run: Run, error: BaseException | None = None) -> ReadableSpan:
        watch = observer.started(run)
        watch.resumed()
        watch.renamed(f"renamed {run.name}")
        if error is not None:
            watch.ended(Outcome(reading.state(Failed(message=f"failed: {error}")), 1, error))
        else:
            annotate(login=run.name, batch=[run.name], n=3, **OTHER)
            record_io(records=1, source=run.name, destination=run.name)
            watch.ended(None)
        watch.suspended()
        return exporter.get_finished_spans()[-1]

    yield make
    provider.shutdown()


def chained(text: str) -> BaseException:
    """Return an error that has a text in all places where an error can have one."""
    group = ExceptionGroup(text, [KeyError(text), OSError(text)])
    group.add_note(f"note {text}")
    group.__cause__ = ValueError(text)
    return group


@pytest.mark.parametrize("text", FORMS)
def test_errors_say_no_secret(
    text: str, run_span: Callable[[Run, BaseException | None], ReadableSpan]
) -> None:
    """Neither in a message, a note, a cause, a group, nor in the state's message."""
    span = run_span(FLOW, chained(text))
    event = next(event for event in span.events if event.name == "exception")

    assert "xyz4711" not in span.to_json()
    assert "[redacted]" in str(span.status.description)
    assert "[redacted]" in str((event.attributes or {})["exception.message"])
    assert str((event.attributes or {})["exception.stacktrace"]).count("[redacted]") >= 4


@traced(name="span", source=f"s3://joe:{KNOWN}@raw", record=["login", "token", "rows"])
def load(login: str = "", token: str = "", rows: object = None, other: str = "") -> str:
    """Stand in for what a user decorates."""
    return f"{login}{token}{rows}{other}"


@pytest.mark.parametrize("text", FORMS)
def test_runs_say_no_secret(
    text: str, run_span: Callable[[Run, BaseException | None], ReadableSpan]
) -> None:
    """Neither in names, tags, recorded parameters, nor in what the code adds."""
    run = replace(
        FLOW,
        name=text,
        flow_run_name=text,
        tags=(text,),
        function=load,
        parameters={"login": text, "token": "other-xyz4711", "rows": [{"a": text}], "other": text},
    )
    span = run_span(run, None)
    found = dict(span.attributes or {})

    assert "xyz4711" not in span.to_json()
    assert "[redacted]" == found["password"]
    assert "[redacted]" == found["prefect.parameter.value.token"]
    assert ("str", "list", 3, 1) == (
        found["prefect.parameter.type.token"],
        found["prefect.parameter.type.rows"],
        found["n"],
        found["prefect.io.records"],
    )


def test_secret_in_a_long_stack_is_hidden_before_it_is_cut(
    run_span: Callable[[Run, BaseException | None], ReadableSpan],
) -> None:
    """No half of it stays at the cut, wherever that is."""
    for shift in range(0, 60, 3):
        text = f"{KNOWN}{KNOWN}{KNOWN}" + "-" * (1000 + shift) + KNOWN + "-" * 20_000
        span = run_span(FLOW, ValueError("x" * 970 + text))
        event = next(event for event in span.events if event.name == "exception")

        assert "hunter" not in str(event.attributes)
        assert "xyz4711" not in str(event.attributes)


class Sent:
    """A provider of ours, and what arrives of its spans."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        pipeline = Pipeline(lambda: self.exporter, {"OTEL_BSP_SCHEDULE_DELAY": "3600000"})
        limits = SpanLimits(max_span_attributes=8, max_events=2)
        self.provider = TracerProvider(shutdown_on_exit=False, span_limits=limits)
        self.provider.add_span_processor(pipeline)

    def spans(self) -> tuple[ReadableSpan, ...]:
        """Return what has arrived."""
        self.provider.force_flush()
        return self.exporter.get_finished_spans()


@pytest.fixture
def sent() -> Iterator[Sent]:
    """Return a provider of ours."""
    sent = Sent()
    yield sent
    sent.provider.shutdown()


def test_spans_of_others_lose_their_secrets_on_the_way_out(sent: Sent) -> None:
    """All of the span else is as it was recorded, what the SDK has dropped too."""
    tracer = sent.provider.get_tracer("httpx", "1.0")
    other = SpanContext(1, 2, is_remote=True)
    with tracer.start_as_current_span("parent"):
        span = tracer.start_span(
            "GET ?token=secret-xyz4711", links=[Link(other, {"api_key": "xyz4711"})]
        )
    span.set_attributes({f"old-{number}": number for number in range(10)})
    span.set_attributes(
        {
            "url.full": "https://joe:xyz4711@host/p?page=1&sig=xyz4711",
            "http.request.header.authorization": ["Basic xyz4711"],
            "messages": ["token=xyz4711", "b"],
            "http.status": 200,
            "token": True,
            f"n {KNOWN}": 1,
        }
    )
    span.add_event("dropped")
    span.add_event("login", {"db.password": "xyz4711", "host": "db"})
    span.add_event("secret=xyz4711", {"n": 1})
    span.set_status(Status(StatusCode.ERROR, f"refused: {KNOWN}"))
    span.end()
    (_, out) = sent.spans() if sent.spans()[0].name == "parent" else reversed(sent.spans())

    assert "xyz4711" not in out.to_json()
    assert "GET ?token=[redacted]" == out.name
    assert {
        "old-8": 8,
        "old-9": 9,
        "url.full": "https://joe:[redacted]@host/p?page=1&sig=[redacted]",
        "http.request.header.authorization": "[redacted]",
        "messages": ("token=[redacted]", "b"),
        "http.status": 200,
        "token": True,
        "n [redacted]": 1,
    } == dict(out.attributes or {})
    assert [
        ("login", {"db.password": "[redacted]", "host": "db"}),
        ("secret=[redacted]", {"n": 1}),
    ] == [(event.name, dict(event.attributes or {})) for event in out.events]
    assert [(other, {"api_key": "[redacted]"})] == [
        (link.context, dict(link.attributes or {})) for link in out.links
    ]
    assert (StatusCode.ERROR, "refused: [redacted]") == (
        out.status.status_code,
        out.status.description,
    )
    assert isinstance(span, ReadableSpan)
    for name in (
        *("context", "parent", "kind", "resource", "start_time", "end_time"),
        *("instrumentation_scope", "dropped_attributes", "dropped_events", "dropped_links"),
    ):
        assert getattr(span, name) == getattr(out, name)
    assert (8, 1) == (out.dropped_attributes, out.dropped_events)


def test_span_without_secrets_is_sent_itself(sent: Sent) -> None:
    """Most are; nothing is made anew for them."""
    span = sent.provider.get_tracer("x").start_span(
        "flow orders",
        attributes={"prefect.flow.run.id": "0f8fad5b", "prefect.parameter.type.token": "str"},
        links=[Link(SpanContext(1, 2, is_remote=True))],
    )
    span.add_event("Running", {"prefect.state.type": "RUNNING", "rows": [1, 2]})
    span.end()

    assert isinstance(span, ReadableSpan)
    (out,) = redacted([span])
    assert span is out


@given(
    name=st.text(max_size=30),
    values=st.lists(st.sampled_from(FORMS) | st.text(max_size=30), min_size=1, max_size=5),
)
@settings(max_examples=100)
def test_planted_secret_is_on_no_span(name: str, values: list[str]) -> None:
    """Wherever on a span it is."""
    sent = Sent()
    tracer = sent.provider.get_tracer("x")
    with tracer.start_as_current_span(f"{name} {values[0]}") as span:
        span.set_attribute(f"x{name}", values)
        span.add_event(f"x {values[-1]}", {"x": values[0], "y": values})
        span.set_status(Status(StatusCode.ERROR, " ".join(values)))
    shown = "".join(each.to_json() for each in sent.spans())
    sent.provider.shutdown()

    assert "xyz4711" not in shown
