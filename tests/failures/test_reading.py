"""Which logs are read of which failures, and what of them is the traceback."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from failures.failed import NOW_US, failed, run_id, traceback
from fakes import FakePrefect
from prefect_exporter.failures.model import Failed
from prefect_exporter.failures.reading import (
    MANY,
    MOST_SAMPLES,
    RUNS_A_REQUEST,
    Line,
    Read,
    chosen,
    traceback_of,
    tracebacks,
)
from prefect_exporter.moments import moment
from prefect_exporter.wire import ToldLog

OWN = "prefect.flow_runs"


def log(number: int, message: str, *, name: str = OWN, task: int = 0, ago: float = 0.0) -> ToldLog:
    """Return a line of the run with this number."""
    at = moment(NOW_US) - timedelta(seconds=ago)
    task_id = UUID(int=task) if task else None
    return ToldLog(name, 40, message, at, UUID(bytes=run_id(number)), task_id)


def read(prefect: FakePrefect, failures: Sequence[Failed], most_requests: int = 50) -> Read:
    """Read tracebacks."""
    return asyncio.run(tracebacks(prefect, failures, most_requests=most_requests))


def test_traceback_is_that_which_ended_the_run() -> None:
    """Not a task's, not one that the user logged, and of several attempts the last one's."""
    lines = [
        Line(OWN, True, traceback("of_a_task")),  # noqa: FBT003 - as a row has it
        Line("shop", False, traceback("elsewhere")),  # noqa: FBT003 - likewise
        Line(OWN, False, "Finished in state Failed('...')"),  # noqa: FBT003 - likewise
        Line(OWN, False, "handled\nTraceback (most recent call last):\n"),  # noqa: FBT003 - likewise
        Line(OWN, False, traceback("newest")),  # noqa: FBT003 - likewise
        Line(OWN, False, traceback("older")),  # noqa: FBT003 - likewise
    ]

    assert traceback("newest") == traceback_of(lines)
    assert traceback_of(lines[:4]) is None
    assert traceback_of([]) is None


def test_newest_and_oldest_of_each_key_are_chosen_first() -> None:
    """The first of every key comes before the second of any, the newest key first."""
    failures = [failed(at, ago=at) for at in range(1, 15)]
    failures += [failed(at, ago=at, flow="b") for at in range(40, 50)]

    runs = chosen(failures)

    assert [run_id(1), run_id(40), run_id(14), run_id(49)] == runs[:4]
    assert 6 == len(runs) == len({*runs})


@given(st.lists(st.integers(0, 50), max_size=40, unique=True), st.integers(1, 5), st.integers())
def test_choice_does_not_depend_on_the_order_of_arrival(
    numbers: list[int], per_key: int, seed: int
) -> None:
    """Nor is more chosen of a key than is wanted, nor a run twice."""
    failures = [failed(at, ago=at % 7, flow=f"flow-{at % 3}") for at in numbers]
    shuffled = random.Random(seed).sample(failures, len(failures))

    runs = chosen(failures, per_key)

    assert runs == chosen(shuffled, per_key)
    assert len(runs) == len({*runs})
    sizes = [sum(each.flow == f"flow-{n}" for each in failures) for n in range(3)]
    most = [min(per_key * (4 if size >= MANY else 1), size) for size in sizes]
    assert sum(most) == len(runs)


def test_few_logs_are_read_of_many_failures_that_are_alike() -> None:
    """Twelve of a thousand, in one request; three where there are few."""
    prefect = FakePrefect(log_rows=[log(at, traceback()) for at in range(1000)])
    found = read(prefect, [failed(at, ago=at) for at in range(1000)])

    assert (12, 12, 1) == (len(found.texts), found.wanted, found.requests)
    assert found.complete
    assert ["logs/filter"] == prefect.asked
    assert 3 == len(chosen(failed(at) for at in range(19)))


def test_more_are_read_where_they_do_not_agree() -> None:
    """One message that two places raise."""
    rows = [log(at, traceback("load" if at % 2 else "save")) for at in range(500)]
    found = read(FakePrefect(log_rows=rows), [failed(at, ago=at) for at in range(500)])

    assert MOST_SAMPLES == len(found.texts) == found.wanted


def test_run_without_a_traceback_is_known_to_have_none() -> None:
    """So that nobody asks again."""
    prefect = FakePrefect(log_rows=[log(1, "Crash detected! ...")])

    assert {run_id(1): "", run_id(2): ""} == read(prefect, [failed(1), failed(2)]).texts


def test_budget_ends_the_reading() -> None:
    """What was not read is missing, and that is told."""
    failures = [failed(at, deployment=f"d{at}") for at in range(3 * RUNS_A_REQUEST)]
    prefect = FakePrefect(log_rows=[log(at, traceback()) for at in range(len(failures))])

    found = read(prefect, failures, most_requests=2)

    assert 2 * RUNS_A_REQUEST == len(found.texts)
    assert not found.complete
    assert 2 == found.requests == len(prefect.asked)


def test_pages_of_noisy_runs_are_bounded() -> None:
    """A run that logged thousands of errors may hide that of another, which is then not read."""
    rows = [log(1, "no", name="shop", ago=at / 1000) for at in range(2000)]
    prefect = FakePrefect(log_rows=[*rows, log(2, traceback(), ago=60)])

    found = read(prefect, [failed(1), failed(2, deployment="b")])

    assert {} == found.texts
    assert len(prefect.asked) <= 8


def test_older_lines_are_found_on_later_pages() -> None:
    """The newest page of a batch is not all of it."""
    rows = [log(1, "no", name="shop", ago=at / 1000) for at in range(300)]
    prefect = FakePrefect(log_rows=[*rows, log(2, traceback(), ago=60)])

    found = read(prefect, [failed(1), failed(2, deployment="b")])

    assert {run_id(1): "", run_id(2): traceback()} == found.texts


def test_nothing_is_asked_where_nothing_failed() -> None:
    """No failure, no request."""
    prefect = FakePrefect()

    assert Read() == read(prefect, [])
    assert [] == prefect.asked
