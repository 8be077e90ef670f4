"""Lists longer than a page: nothing is missed, whatever order Prefect gives to equal times."""

from __future__ import annotations

import random
from dataclasses import dataclass

from fakes import FakePrefect, after_seconds
from prefect_exporter.api import Page, RunFilter
from prefect_exporter.paging import flow_runs
from prefect_exporter.wire import FlowRun
from worlds import flow_run, put, run, run_id

SORT = "EXPECTED_START_TIME_ASC"


@dataclass(slots=True)
class Unordered(FakePrefect):
    """Gives rows of one time in another order at each request, as a database may."""

    async def flow_runs(
        self, where: RunFilter, sort: str, offset: int = 0, limit: int | None = None
    ) -> Page[FlowRun]:
        """Return one page."""
        rows = list(self.flow_rows.items())
        random.shuffle(rows)
        self.flow_rows = dict(rows)
        return await FakePrefect.flow_runs(self, where, sort, offset, limit)


def due(number: int, seconds: float) -> FlowRun:
    """Return a run that was expected then."""
    return flow_run(number, state_type="RUNNING", expected_start_time=after_seconds(seconds))


def test_runs_of_one_moment_are_all_read() -> None:
    """Six pages of runs with one due time are read whole, each run once."""
    prefect = Unordered(page_size=10)
    put(prefect, *(due(number, 0) for number in range(57)))

    rows, more = run(flow_runs(prefect, RunFilter(), SORT, 25))

    assert not more
    assert [run_id(number) for number in range(57)] == sorted(row.id for row in rows)


def test_one_page_is_one_request() -> None:
    """A list that fits a page costs one request."""
    prefect = FakePrefect(page_size=10)
    put(prefect, *(due(number, 0) for number in range(9)))

    rows, more = run(flow_runs(prefect, RunFilter(), SORT, 25))

    assert (9, False, 1) == (len(rows), more, len(prefect.asked))


def test_limit_does_not_hide_the_first() -> None:
    """Beyond the limit some runs are missing, which is told, but not the ones due first."""
    prefect = FakePrefect(page_size=10)
    put(prefect, *(due(number, -number) for number in range(60)))

    rows, more = run(flow_runs(prefect, RunFilter(), SORT, 3))

    assert more
    assert 3 == len(prefect.asked)
    assert {run_id(number) for number in range(50, 60)} <= {row.id for row in rows}
