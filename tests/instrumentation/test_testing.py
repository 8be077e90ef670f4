"""Spans are drawn as a tree that is exact, readable and the same in every run."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Sequence
from inspect import cleandoc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_instrumentation.testing import render_tree
from received_spans import Attributes, ReceivedSpan

TRACE = "a" * 32


def span(  # noqa: PLR0913  # an example names what it is about, and nothing else
    span_id: str,
    name: str = "",
    parent_id: str = "",
    *,
    start_ns: int = 0,
    status: str = "UNSET",
    attributes: Attributes | None = None,
    events: Sequence[str] = (),
    links: Sequence[str] = (),
    trace_id: str = TRACE,
) -> ReceivedSpan:
    """Return a span of which a test names what it is about."""
    return ReceivedSpan(
        trace_id=trace_id,
        span_id=span_id,
        parent_id=parent_id,
        name=name or span_id,
        kind="INTERNAL",
        start_ns=start_ns,
        end_ns=start_ns + 1,
        status=status,
        status_message="",
        attributes=attributes or {},
        events=tuple((event, {}) for event in events),
        links=tuple((TRACE, link) for link in links),
        resource={},
        scope="",
        tracestate="",
    )


def state(name: str, **more: object) -> dict[str, object]:
    """Return the attributes of a run that ended in this state."""
    return {"prefect.state.name": name, **{key.replace("_", "."): more[key] for key in more}}


ETL = (
    span("1", "flow etl", attributes=state("Failed", error_type="builtins.ValueError")),
    span("2", "task extract", "1", start_ns=5, attributes=state("Completed", prefect_source="r")),
    span("3", "task load", "1", start_ns=9, attributes=state("Failed", error_type="ValueError"),
         events=["exception", "Retrying"], links=["2", "f"]),
    span("4", "GET", "3", start_ns=9, status="ERROR", attributes={"error.type": "500"}),
    span("5", "task extra", "1", start_ns=7, attributes=state("Cached")),
)  # fmt: skip


def test_tree_tells_names_states_and_errors() -> None:
    """Each span is a line below its parent, in the order of starts."""
    assert render_tree(ETL) == cleandoc("""
        flow etl Failed !ValueError
          task extract Completed
          task extra Cached
          task load Failed !ValueError
            GET ERROR !500
        """)


def test_chosen_attributes_are_shown_where_they_are() -> None:
    """Attributes come in the order asked for, and only those that a span has."""
    flow = span("1", "flow etl", attributes={"b": (1, 2), "a": True, "c": "not asked for"})
    task = span("2", "task load", "1", attributes={"a": "x y", "b": None})

    assert render_tree([flow, task], "b", "a", "absent") == cleandoc("""
        flow etl UNSET [b=(1, 2), a=True]
          task load UNSET [b=None, a=x y]
        """)


def test_events_and_links_are_shown_on_demand() -> None:
    """They stand below their span and above its children, links by the name of their target."""
    assert render_tree(ETL, "prefect.source", events=True, links=True) == cleandoc("""
        flow etl Failed !ValueError
          task extract Completed [prefect.source=r]
          task extra Cached
          task load Failed !ValueError
            event exception
            event Retrying
            -> task extract
            -> (not recorded)
            GET ERROR !500
        """)


def test_no_spans_are_no_text() -> None:
    """Nothing recorded is the empty string."""
    assert render_tree([]) == ""


def test_several_roots_are_several_blocks() -> None:
    """Traces follow one another by their starts, and do not mix though span ids are the same."""
    spans = [
        span("1", "flow b", start_ns=2, trace_id="b" * 32),
        span("2", "task of b", "1", start_ns=3, trace_id="b" * 32),
        span("1", "flow a", start_ns=1),
        span("2", "task of a", "1", start_ns=9),
    ]

    assert render_tree(spans) == cleandoc("""
        flow a UNSET
          task of a UNSET
        flow b UNSET
          task of b UNSET
        """)


def test_parent_of_elsewhere_is_marked() -> None:
    """A span whose parent was not recorded is a root that says so."""
    spans = [span("2", "flow etl", "1"), span("3", "task load", "2")]

    assert render_tree(spans) == "flow etl UNSET (remote parent)\n  task load UNSET"


def test_equal_starts_go_by_name() -> None:
    """Siblings that start in the same nanosecond are in the order of their names."""
    spans = [
        span("1", "flow"),
        span("2", "task b", "1", start_ns=4),
        span("3", "task a 2", "1", start_ns=4),
        span("4", "task a", "1", start_ns=4, attributes=state("Completed")),
        span("5", "task z", "1", start_ns=3),
    ]

    assert render_tree(spans) == cleandoc("""
        flow UNSET
          task z UNSET
          task a Completed
          task a 2 UNSET
          task b UNSET
        """)


def test_parallel_siblings_can_go_by_what_they_say() -> None:
    """Mapped tasks have equal names; not by start, they stand in one order, whoever was first."""
    spans = [
        span("1", "flow"),
        span("2", "task a", "1", start_ns=3, attributes=state("Completed")),
        span("3", "task a", "1", start_ns=2, attributes=state("Failed")),
        span("4", "task a", "1", start_ns=1, attributes=state("Completed")),
        span("5", "GET", "2", start_ns=4),
    ]

    assert render_tree(spans, by_start=False) == cleandoc("""
        flow UNSET
          task a Completed
          task a Completed
            GET UNSET
          task a Failed
        """)


def test_circle_of_parents_is_drawn_and_marked() -> None:
    """Spans that are each other's parents are all there, from the earliest on."""
    spans = [
        span("1", "b", "2", start_ns=2),
        span("2", "a", "1", start_ns=1),
        span("3", "child", "1", start_ns=3),
        span("4", "own parent", "4", start_ns=4),
    ]

    assert render_tree(spans) == cleandoc("""
        a UNSET (circular parent)
          b UNSET
            child UNSET
        own parent UNSET (circular parent)
        """)


def test_span_without_an_id_is_no_parent() -> None:
    """An id that a broken sender left empty does not make roots its children."""
    assert render_tree([span("", "broken"), span("1", "flow")]) == "broken UNSET\nflow UNSET"


def test_span_sent_twice_is_there_twice() -> None:
    """A second copy is not hidden, and has no second copy of what is below it."""
    flow, task = span("1", "flow"), span("2", "task", "1")

    assert render_tree([flow, task, flow]) == "flow UNSET\nflow UNSET\n  task UNSET"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\u2028\u202e\x85", "\\u2028\\u202e\\x85"),
        ("\ud800", "\\ud800"),
        ("\u30d5\u30ed\u30fc", "\u30d5\u30ed\u30fc"),
        ("x" * 1_000_000, "x" * 200 + "..."),
        ("\x00" * 1_000_000, "\\x00" * 200 + "..."),
    ],
    ids=["lines", "ansi", "invisible", "surrogate", "japanese", "huge", "huge-and-escaped"],
)
def test_hostile_text_is_one_bounded_line(name: str, shown: str) -> None:
    """Names, states, errors, values and events cannot break a line, a terminal or a diff."""
    attributes = {"prefect.state.name": name, "error.type": name, "value": name}
    drawn = render_tree(
        [span("1", name, attributes=attributes, events=[name], links=["1"])],
        "value",
        events=True,
        links=True,
    )

    assert drawn.split("\n") == [
        f"{shown} {shown} !{shown} [value={shown}]",
        f"  event {shown}",
        f"  -> {shown}",
    ]


def test_deep_and_circular_chains_end() -> None:
    """Ten thousand generations are drawn without recursion, and indented a hundred levels deep."""
    chain = [span(str(each), "task", str(each - 1), start_ns=each) for each in range(10_000)]
    circle = [span(str(each), "task", str(each - 1 or 999)) for each in range(1, 1_000)]

    lines = render_tree(chain).split("\n")
    ring = render_tree(circle).split("\n")

    assert (len(lines), lines[-1]) == (10_000, "  " * 100 + "task UNSET")
    assert (len(ring), sum("circular" in line for line in ring)) == (999, 1)


@st.composite
def forests(draw: st.DrawFn) -> list[ReceivedSpan]:
    """Draw spans with unique names, each the child of an earlier one or a root."""
    size = draw(st.integers(0, 12))
    starts = draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))
    parents = [draw(st.integers(0, place)) for place in range(size)]
    return [
        span(str(place), f"s{place}", str(parent) if parent else "", start_ns=start)
        for place, (start, parent) in enumerate(zip(starts, parents, strict=True), start=1)
    ]


IDS = st.sampled_from(["", "1", "2", "3", "4"])
ANY_SPANS = st.lists(
    st.builds(
        lambda span_id, parent_id, name, start_ns: span(
            span_id, name, parent_id, start_ns=start_ns, events=[name], links=[parent_id]
        ),
        IDS,
        IDS,
        st.text(min_size=1),
        st.integers(0, 3),
    ),
    max_size=8,
)


@given(forests(), st.booleans())
def test_tree_can_be_read_back(spans: list[ReceivedSpan], by_start: bool) -> None:  # noqa: FBT001  # drawn
    """The indentation tells exactly who is whose parent."""
    path: list[str] = []
    parents = {}
    for line in filter(None, render_tree(spans, by_start=by_start).split("\n")):
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        path[depth:] = [name]
        parents[name] = path[depth - 1] if depth else "s"

    assert parents == {each.name: f"s{each.parent_id}" for each in spans}


@given(forests(), st.randoms(use_true_random=False))
def test_order_of_arrival_does_not_matter(spans: list[ReceivedSpan], chance: random.Random) -> None:
    """The same spans make the same tree, in whatever order they ended and arrived."""
    shuffled = chance.sample(spans, len(spans))

    assert render_tree(shuffled, links=True) == render_tree(spans, links=True)


@given(forests(), st.integers(1, 5))
def test_time_does_not_matter_where_it_is_not_asked_for(
    spans: list[ReceivedSpan], step: int
) -> None:
    """Not by start, spans that ran in another order make the same tree."""
    later = [
        span(each.span_id, each.name, each.parent_id, start_ns=place * step % 7)
        for place, each in enumerate(spans)
    ]

    assert render_tree(later, by_start=False) == render_tree(spans, by_start=False)


@given(ANY_SPANS, st.booleans())
def test_any_spans_are_drawn_once_and_in_bounds(
    spans: list[ReceivedSpan],
    by_start: bool,  # noqa: FBT001  # drawn
) -> None:
    """Circles, copies, missing parents and strange names: a line a span, printable and short."""
    alone = render_tree(spans, by_start=by_start)
    full = render_tree(spans, events=True, links=True, by_start=by_start)

    assert len(alone.split("\n")) == max(len(spans), 1)
    assert len(full.split("\n")) == max(3 * len(spans), 1)
    assert all(line.isprintable() and len(line) < 3_000 for line in full.split("\n"))


def run(*arguments: str | Path, seconds: float = 110) -> str:
    """Run Python on its own, for a process keeps its tracer provider; return its output."""
    done = subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | {"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


def test_import_costs_nothing() -> None:
    """The plugin of every pytest run imports neither Prefect nor any of OpenTelemetry."""
    code = """
        import sys
        import prefect_instrumentation.testing
        print(sys.modules.keys() & {"opentelemetry", "prefect", "wrapt", "google", "grpc"})
        """

    assert run("-c", cleandoc(code)) == "set()\n"


def test_pytest_is_optional() -> None:
    """Without pytest there is no fixture, and the rest is there."""
    code = """
        import sys
        sys.modules["pytest"] = None
        from prefect_instrumentation import testing
        print(hasattr(testing, "recorded_spans"), callable(testing.record_spans))
        """

    assert run("-c", cleandoc(code)) == "False True\n"


def test_provider_is_installed_where_there_is_none() -> None:
    """Spans of any library are recorded, with their links, errors, and parents of elsewhere."""
    code = """
        from opentelemetry import trace
        from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, TraceFlags
        from prefect_instrumentation.testing import record_spans

        away = NonRecordingSpan(SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1)))
        with record_spans() as recorded, trace.use_span(away):
            tracer = trace.get_tracer("orders")
            with tracer.start_as_current_span("POST /orders", attributes={"n": 1}) as order:
                order.add_event("queued")
                link = Link(order.get_span_context())
                tracer.start_span("flow etl", links=[link], start_time=1).end()
        print(recorded.tree("n", events=True, links=True))
        print([span.name for span in recorded.spans])
        """

    assert run("-c", cleandoc(code)).splitlines() == [
        "POST /orders UNSET [n=1] (remote parent)",
        "  event queued",
        "  flow etl UNSET",
        "    -> POST /orders",
        "['flow etl', 'POST /orders']",
    ]


def test_provider_of_the_user_is_kept() -> None:
    """Spans go on to where the user sends them, and recording leaves one processor in all."""
    code = """
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        from prefect_instrumentation.testing import record_spans

        class Provider(TracerProvider):
            processors = 0

            def add_span_processor(self, span_processor):
                self.processors += 1
                super().add_span_processor(span_processor)

        theirs = InMemorySpanExporter()
        provider = Provider()
        provider.add_span_processor(SimpleSpanProcessor(theirs))
        trace.set_tracer_provider(provider)
        tracer = trace.get_tracer("orders")
        for name in "abc":
            with record_spans() as recorded:
                tracer.start_span(name).end()
            print(recorded.tree())
        print(trace.get_tracer_provider() is provider, provider.processors)
        print([span.name for span in theirs.get_finished_spans()])
        """

    assert run("-c", cleandoc(code)).splitlines() == [
        "a UNSET",
        "b UNSET",
        "c UNSET",
        "True 2",
        "['a', 'b', 'c']",
    ]


def test_recording_ends_and_nests() -> None:
    """Each recording has what ended inside of it, also in threads, and nothing else."""
    code = """
        from threading import Thread
        from opentelemetry import trace
        from prefect_instrumentation.testing import record_spans

        def end(name):
            trace.get_tracer("orders").start_span(name).end()

        with record_spans() as outer:
            end("cleared")
            outer.clear()
            end("a")
            with record_spans() as inner:
                thread = Thread(target=end, args=("b",))
                thread.start()
                thread.join()
            end("c")
        end("after")
        print([span.name for span in outer.spans], [span.name for span in inner.spans])
        """

    assert run("-c", cleandoc(code)) == "['a', 'b', 'c'] ['b']\n"


def test_recording_ends_with_an_error() -> None:
    """An exception inside passes through, and what ends after it is not recorded."""
    code = """
        from opentelemetry import trace
        from prefect_instrumentation.testing import record_spans

        try:
            with record_spans() as recorded:
                raise KeyError("of the test")
        except KeyError as error:
            print(error)
        trace.get_tracer("orders").start_span("after").end()
        print(recorded.spans)
        """

    assert run("-c", cleandoc(code)) == "'of the test'\n()\n"


def test_pytest_has_the_fixture(tmp_path: Path) -> None:
    """Each test of a user that names it starts with nothing recorded."""
    tests = """
        from opentelemetry import trace

        def end(name):
            trace.get_tracer("orders").start_span(name).end()

        def test_one(recorded_spans):
            end("a")
            assert recorded_spans.tree() == "a UNSET"

        def test_without():
            end("b")

        def test_two(recorded_spans):
            end("c")
            assert recorded_spans.tree() == "c UNSET"
        """
    file = tmp_path / "test_orders.py"
    file.write_text(cleandoc(tests))

    output = run("-m", "pytest", "-q", "-Werror", f"--rootdir={tmp_path}", file)

    assert "3 passed" in output


@pytest.mark.real
@pytest.mark.timeout(300)
def test_flow_is_recorded(tmp_path: Path) -> None:
    """The fixture alone shows a flow with its tasks, wherever its module sends its spans to."""
    tests = '''
        from inspect import cleandoc

        import pytest
        from prefect import flow, task
        from prefect.testing.utilities import prefect_test_harness

        from opentelemetry.sdk.trace import TracerProvider
        from prefect_instrumentation import setup

        setup(tracer_provider=TracerProvider())

        @pytest.fixture(autouse=True, scope="session")
        def server():
            with prefect_test_harness(server_startup_timeout=200):
                yield

        @task
        def extract():
            return [1]

        @task
        def load(rows):
            raise ValueError("no disk")

        @flow
        def etl():
            load(extract(), return_state=True)
            return "done"

        def test_etl(recorded_spans):
            etl()

            assert recorded_spans.tree() == cleandoc("""
                flow etl Completed
                  task extract Completed
                  task load Failed !ValueError
                """)

        def test_again(recorded_spans):
            etl.with_options(name="second")()

            assert recorded_spans.tree("prefect.flow.name").startswith(
                "flow second Completed [prefect.flow.name=second]"
            )
        '''
    file = tmp_path / "test_etl.py"
    file.write_text(cleandoc(tests))

    output = run("-m", "pytest", "-q", f"--rootdir={tmp_path}", file, seconds=290)

    assert "2 passed" in output
