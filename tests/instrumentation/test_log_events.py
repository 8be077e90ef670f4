"""What an event has of its record, of the run and of the user's own values."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from log_records import raised, record_of
from observed import FLOW
from prefect_instrumentation._correlation import correlation
from prefect_instrumentation._errors.context import error_context
from prefect_instrumentation._log_context import LogContextObserver
from prefect_instrumentation._logs.events import context_now, event_of
from prefect_instrumentation._logs.plain import MAX_ITEMS
from prefect_instrumentation._logs.rendering import to_json
from prefect_instrumentation._runs import Run
from traces import Hostile

TASK = replace(
    FLOW,
    kind="task",
    id="task-run-1",
    name="load-0",
    task="load",
    deployment="nightly",
    work_pool="pods",
)
OF_TASK = {
    "flow": "etl",
    "flow_run_id": "run-1",
    "flow_run_name": "crimson-otter",
    "task": "load",
    "task_run_id": "task-run-1",
    "task_run_name": "load-0",
    "deployment": "nightly",
    "work_pool": "pods",
}
MOST_BYTES = 65_536


@contextmanager
def running(run: Run) -> Iterator[None]:
    """Be inside a run."""
    observed = LogContextObserver().started(run)
    observed.resumed()
    try:
        yield
    finally:
        observed.suspended()


@contextmanager
def traced() -> Iterator[tuple[str, str]]:
    """Be inside a span; the value has the ids of its trace and its own."""
    span = TracerProvider().get_tracer("test").start_span("load")
    context = span.get_span_context()
    with trace.use_span(span, end_on_exit=True):
        yield f"{context.trace_id:032x}", f"{context.span_id:016x}"


def size(event: Mapping[str, object]) -> int:
    """Return the bytes of an event's line."""
    return len(to_json(event).encode())


def test_record_of_nowhere_says_what_it_knows() -> None:
    """Outside of runs there are four keys; none stands without a value."""
    event = event_of(record_of("%d orders", 7, created=1_764_000_000.25))

    assert {
        "time": "2025-11-24T16:00:00.250000Z",
        "level": "info",
        "event": "7 orders",
        "logger": "shop",
    } == event


def test_keys_stand_in_their_order() -> None:
    """What every line has comes first, then the run's, the caller's own, and the error's."""
    info = raised(ValueError("no eggs"))
    with running(TASK), correlation("req-1"), traced() as (trace_id, span_id):
        event = event_of(record_of("failed", exc_info=info, order=7))

    assert [
        *("time", "level", "event", "logger", "correlation_id", "trace_id", "span_id"),
        *OF_TASK,
        "order",
        *("error.type", "prefect.error.fingerprint", "prefect.error.category", "exception"),
    ] == [name for name in event if name != "attempt"]
    assert ("req-1", trace_id, span_id) == tuple(
        event[name] for name in ("correlation_id", "trace_id", "span_id")
    )
    assert event.items() >= OF_TASK.items()


def test_prefects_names_become_ours() -> None:
    """What Prefect's loggers put on a record is told under the keys of every line."""
    event = event_of(
        record_of(
            flow_name="etl",
            flow_run_id="run-2",
            flow_run_name="<unknown>",
            task_name="load",
            task_run_id="task-run-2",
            task_run_name="load-0",
            deployment_name=None,
            send_to_api=False,
        )
    )

    assert {
        "flow": "etl",
        "flow_run_id": "run-2",
        "task": "load",
        "task_run_id": "task-run-2",
        "task_run_name": "load-0",
    } == {name: event[name] for name in list(event)[4:]}


def test_record_wins_over_its_context() -> None:
    """A run's name that the record has is newer than the context's."""
    with running(TASK):
        event = event_of(record_of(flow_run_id="run-1", flow_run_name="renamed"))

    assert event.items() >= (OF_TASK | {"flow_run_name": "renamed"}).items()


def test_record_of_another_run_has_the_same_request_alone() -> None:
    """As of a parent flow's logger in its subflow: nothing of the run and span that are here."""
    with running(TASK), correlation("req-1"), traced():
        event = event_of(record_of(flow_run_id="run-2"))

    expected = {"correlation_id": "req-1", "flow_run_id": "run-2"}
    assert expected == {name: event[name] for name in list(event)[4:]}


def test_record_of_another_task_keeps_the_flow() -> None:
    """A line that names a task run has no other task's name, nor its attempt."""
    with running(TASK):
        event = event_of(record_of(flow_run_id="run-1", task_run_id="task-run-2"))

    assert "task-run-2" == event["task_run_id"]
    assert "task" not in event
    assert "attempt" not in event
    assert ("etl", "pods") == (event["flow"], event["work_pool"])


def test_record_of_a_run_outside_of_runs_keeps_its_request() -> None:
    """A request's handler that logs of a run says which request it was."""
    with correlation("req-1"):
        event = event_of(record_of(flow_run_id="run-2"))

    assert ("req-1", "run-2") == (event["correlation_id"], event["flow_run_id"])


@pytest.mark.parametrize("name", ["time", "level", "event", "trace_id", "exception", "error.type"])
def test_callers_key_does_not_hide_ours(name: str) -> None:
    """His has `_` after its name."""
    event = event_of(record_of(**{name: "his"}))

    assert "his" == event[f"{name}_"]
    assert "his" != event.get(name)


def test_callers_keys_do_not_hide_each_other() -> None:
    """Neither is lost where one's new name is the other's own."""
    event = event_of(record_of(time_="one", time="other"))

    assert ("one", "other") == (event["time_"], event["time__"])


def test_callers_keys_are_few() -> None:
    """Of a great many short ones a line has the first."""
    event = event_of(record_of(**{f"k{number}": 1 for number in range(1000)}))

    assert [f"k{number}" for number in range(MAX_ITEMS)] == list(event)[4:]


def test_own_line_of_a_failed_run_has_the_errors_keys() -> None:
    """Our own logger knows of an error what no exception tells, such as the state's category."""
    said = {"error.type": "prefect.TimedOut", "prefect.error.category": "timeout", "order": 7}
    event = event_of(record_of(name="prefect_instrumentation.runs", **said))

    assert ["order", "error.type", "prefect.error.category"] == list(event)[4:]
    assert event.items() >= said.items()


@pytest.mark.parametrize(
    ("message", "args"),
    [("%d orders", ("many",)), ("%s and %s", ("one",)), ("100%", (1,)), ("%(a)s", (1,))],
    ids=["type", "count", "percent", "name"],
)
def test_wrong_arguments_lose_no_message(message: str, args: tuple[object, ...]) -> None:
    """The raw message is told, with the arguments."""
    said = event_of(record_of(message, *args))["event"]

    assert isinstance(said, str)
    assert said.startswith(message)
    assert str(args[0]) in said


def test_error_is_structured() -> None:
    """Type, message and frames, the cause too; no local variable's value."""
    planted = "local-value"
    try:
        try:
            vars(sys)["eggs"]
        except KeyError as cause:
            raise ValueError(f"no {len(planted)}") from cause
    except ValueError:
        event = event_of(record_of(exc_info=sys.exc_info()))
    found: Any = event["exception"]

    assert [("ValueError", "no 11", False), ("KeyError", "'eggs'", True)] == [
        (each["exc_type"], each["exc_value"], each["is_cause"]) for each in found
    ]
    assert ["test_error_is_structured"] == [frame["name"] for frame in found[0]["frames"]]
    assert [__file__] == [frame["filename"] for frame in found[0]["frames"]]
    assert planted not in to_json(event)


def test_group_has_its_members() -> None:
    """Each member is a chain of its own."""
    group = ExceptionGroup("both", [ValueError("a"), OSError("b")])
    found: Any = event_of(record_of(exc_info=raised(group)))["exception"]

    assert found[0]["is_group"]
    assert [["ValueError"], ["OSError"]] == [
        [each["exc_type"] for each in member] for member in found[0]["exceptions"]
    ]


def test_error_brings_its_facts() -> None:
    """What `error_context` gave to the error is on its line."""
    error = ValueError("no eggs")
    with pytest.raises(ValueError, match="no eggs"), error_context(order=7):
        raise error
    event = event_of(record_of(exc_info=raised(error)))

    assert {"order": 7} == event["error_context"]


def test_deep_recursion_is_told_of_by_both_ends() -> None:
    """Twenty frames and a word about the others."""

    def deeper(levels: int) -> None:
        if not levels:
            raise ValueError("the bottom")
        deeper(levels - 1)

    try:
        deeper(400)
    except ValueError:
        event = event_of(record_of(exc_info=sys.exc_info()))
    found: Any = event["exception"]
    names = [frame["name"] for frame in found[0]["frames"]]

    assert 21 == len(names)
    assert ("test_deep_recursion_is_told_of_by_both_ends", "deeper") == (names[0], names[-1])
    assert "Skipped frames: 382" == names[10]


def test_text_of_an_error_from_elsewhere_is_kept() -> None:
    """A record that came from another process has its traceback as text."""
    text = "".join(traceback.format_exception(ValueError("no eggs")))

    assert text == event_of(record_of(exc_text=text))["exception"]


@pytest.mark.parametrize("exc_info", [True, (None, None, None), 1], ids=["true", "none", "number"])
def test_error_that_is_none_is_left_out(exc_info: object) -> None:
    """`exc_info` without an exception says nothing."""
    event = event_of(record_of(exc_info=exc_info))

    assert ["time", "level", "event", "logger"] == list(event)


def huge() -> dict[str, object]:
    """Return values that are too large."""
    return {"text": "x" * 10**6, "list": ["y" * 100] * 10**5, "quotes": '"' * 10**5}


@pytest.mark.parametrize(
    "record",
    [
        record_of("x" * 10**6),
        record_of("\x00" * 10**6),
        record_of("\U0001f95a" * 10**5),
        record_of("large", **huge()),
        record_of("many", **{f"key {number}" * 50: "\x00" * 999 for number in range(1000)}),
        record_of("failed", exc_info=raised(ValueError("z" * 10**6))),
        record_of("failed", exc_info=raised(ExceptionGroup("g", [ValueError("z" * 9999)] * 999))),
        record_of("stack", stack_info="in s\n" * 10**5),
        record_of("all", exc_info=raised(ValueError("\x00" * 10**6)), **huge()),
    ],
    ids=["message", "controls", "wide", "values", "keys", "error", "group", "stack", "all"],
)
def test_line_is_bounded(record: logging.LogRecord) -> None:
    """A line has at most 64 KiB, and says that it was cut."""
    event = event_of(record)

    assert size(event) <= MOST_BYTES
    assert event["truncated"] is True


def test_cut_leaves_no_half_of_a_secret() -> None:
    """A secret that the cut goes through is left out whole."""
    for start in range(16_300, 16_390):
        said = event_of(record_of("x" * start + " password=hunter22-hunter22" + "y" * 5000))[
            "event"
        ]
        assert "hunt" not in str(said)


def test_cut_leaves_no_half_of_a_secret_among_many() -> None:
    """Nor does one that the cut goes through come back where others make the text shorter."""
    others = f"token={'s' * 200} " * 60
    for length in range(5, 40, 5):
        start = f"{others}{'eggs ' * 4096}"[: 16_384 + 4096 - length]
        said = event_of(record_of(f"{start} ghp_{'Ab1' * 12}{' eggs' * 999}"))["event"]
        assert "ghp_" not in str(said)


class Recursive(dict[str, object]):
    """Holds itself."""

    def __init__(self) -> None:
        super().__init__()
        self["self"] = self


class HostileMapping(Mapping[str, object]):
    """Cannot be read."""

    def __getitem__(self, key: str) -> object:
        """Refuse."""
        raise LookupError

    def __iter__(self) -> Iterator[str]:
        """Refuse."""
        raise LookupError

    def __len__(self) -> int:
        """Refuse."""
        raise LookupError


class HostileEqual:
    """Cannot be compared."""

    def __eq__(self, other: object) -> bool:
        """Refuse."""
        raise LookupError

    __hash__ = None  # type: ignore[assignment]  # that is what is hostile


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("egg\ud800", "egg?"),
        (b"egg", "b'egg'"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (10**5000, "<int of 16610 bits>"),
        (Path("/eggs"), "/eggs"),
        ((1, 2.5, None, True), [1, 2.5, None, True]),
        ({1: {"a": "b"}}, {"1": {"a": "b"}}),
        (HostileMapping(), "<HostileMapping>"),
        (Hostile(), "<Hostile>"),
    ],
    ids=[
        *("surrogate", "bytes", "nan", "infinity", "integer", "path", "tuple", "numbered"),
        *("unreadable", "hostile"),
    ],
)
def test_value_is_plain(value: object, shown: object) -> None:
    """Whatever it is, it becomes what JSON has, and what it is not its text."""
    event = event_of(record_of(value=value))

    assert shown == event["value"]
    assert shown == json.loads(to_json(event))["value"]


@pytest.mark.parametrize(
    "attributes",
    [
        {"value": Recursive()},
        {"created": float("nan")},
        {"created": None},
        {"levelname": None},
        {"name": ""},
        {"flow_run_id": Hostile()},
        {"flow_name": HostileEqual()},
        {"msg": Hostile()},
        {"msg": {"event": "x"}},
        {"args": HostileMapping()},
        {"exc_info": raised(type("Odd", (Exception,), {"__str__": Hostile.__str__})())},
        {"exc_info": raised(type("Odd", (Exception,), {"__notes__": 7})())},
    ],
    ids=[
        *("recursive", "nan", "no time", "no level", "no name", "id", "unequal", "message"),
        *("dict", "args", "error", "notes"),
    ],
)
def test_hostile_record_is_told_of(attributes: dict[str, object]) -> None:
    """Nothing that a record holds raises, or is no JSON."""
    event = json.loads(to_json(event_of(record_of(**attributes))))

    assert {"time", "level", "event"} <= set(event)


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda children: st.lists(children) | st.dictionaries(st.text() | st.integers(), children),
    max_leaves=20,
)


@given(message=st.text(), values=st.dictionaries(st.text(min_size=1), JSON_LIKE))
def test_any_event_is_one_line_of_json(message: str, values: dict[str, object]) -> None:
    """Whatever is logged, the line is one, and says what was said."""
    record = record_of(message)
    vars(record).update({f"his_{name}": value for name, value in values.items()})
    line = to_json(event_of(record))

    assert 1 == len(line.splitlines())
    assert message.encode("utf-8", "replace").decode() == json.loads(line)["event"]


def test_context_is_there_for_other_chains() -> None:
    """Users with their own lines get what ours have."""
    with running(TASK), correlation("req-1"), traced() as (trace_id, span_id):
        found = context_now()

    assert (
        found.items()
        >= {**OF_TASK, "correlation_id": "req-1", "trace_id": trace_id, "span_id": span_id}.items()
    )
