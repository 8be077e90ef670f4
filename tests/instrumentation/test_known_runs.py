"""Lines about a run that are written outside of it have its correlation id and trace."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.logging.loggers import flow_run_logger

from log_records import record_of
from prefect_instrumentation._correlation import correlation
from prefect_instrumentation._logs import known_runs
from prefect_instrumentation._logs.events import event_of
from prefect_instrumentation._prefect import run_loggers

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
LABELS: dict[str, Any] = {
    "__CORRELATION_ID": "ord-42",
    "__OTEL_TRACEPARENT": f"00-{TRACE}-ee2d9b06273559d4-01",
}
FOUND = {"correlation_id": "ord-42", "trace_id": TRACE}


@pytest.fixture(autouse=True)
def _unknown() -> Iterator[None]:
    """Begin and end without a run that is known."""
    known_runs.forget()
    yield
    known_runs.forget()


@pytest.fixture(name="_hooked")
def _hooked() -> Iterator[None]:
    run_loggers.hook(known_runs.note)
    yield
    run_loggers.unhook()


def ids(flow_run_id: str) -> Mapping[str, object]:
    """Return the ids of a line that a logger of that run writes here."""
    event = event_of(record_of(flow_run_id=flow_run_id))
    return {name: event[name] for name in FOUND if name in event}


@pytest.mark.usefixtures("_hooked")
def test_logger_that_prefect_makes_for_a_run_tells_its_labels() -> None:
    """A worker's logger of a run has the run's ids on its lines, and of no other run."""
    run = FlowRun(flow_id=uuid.uuid4(), name="crimson-otter", labels=LABELS)

    flow_run_logger(run)

    assert (FOUND, {}) == (ids(str(run.id)), ids(str(uuid.uuid4())))


@pytest.mark.usefixtures("_hooked")
def test_logger_without_a_run_is_made_as_before() -> None:
    """Prefect also makes one of an id alone."""
    logger = flow_run_logger(flow_run_id=uuid.uuid4())

    assert "<unknown>" == (logger.extra or {})["flow_run_name"]


def test_nothing_is_told_after_unhook() -> None:
    """Prefect's own function stands there again."""
    run_loggers.hook(known_runs.note)
    run_loggers.unhook()
    run = FlowRun(flow_id=uuid.uuid4(), labels=LABELS)

    flow_run_logger(run)

    assert {} == ids(str(run.id))


def test_run_that_is_known_has_its_own_id() -> None:
    """Not that of the request which happens to be here."""
    known_runs.note("run-2", LABELS)

    with correlation("req-1"):
        assert FOUND == ids("run-2")


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"__CORRELATION_ID": "two\nlines", "__OTEL_TRACEPARENT": "00-none"},
        {"__CORRELATION_ID": 7, "__OTEL_TRACEPARENT": "x" * 100_000},
    ],
    ids=["none", "hostile", "long"],
)
def test_labels_that_are_no_ids_are_none(labels: Mapping[str, object]) -> None:
    """What may not go on to a line is as if it were not there."""
    known_runs.note("run-2", labels)

    assert {} == ids("run-2")


def test_so_many_runs_are_known_and_no_more() -> None:
    """The one that was spoken of longest ago goes first."""
    for number in range(known_runs.MOST + 1):
        known_runs.note(f"run-{number}", LABELS)
        known_runs.note("run-0", LABELS)

    assert (FOUND, {}, FOUND) == tuple(map(ids, ("run-0", "run-1", f"run-{known_runs.MOST}")))
