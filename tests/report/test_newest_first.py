"""Reading by time: every row once, whatever its time, and an end whatever is answered."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_exporter.api import Page
from prefect_exporter.errors import Malformed
from prefect_exporter.moments import micros, moment
from prefect_exporter.report.reading.newest_first import NewestFirst, Stretch, stretches
from prefect_exporter.report.store import Step

SINCE_US, UNTIL_US = 1_000, 1_020


@dataclass(frozen=True, slots=True)
class Row:
    """A run that ended."""

    id: UUID
    ended: datetime


class Rows:
    """Answers as Prefect does; rows of one time come in another order at each request.

    Args:
        rows: All there are.
        page_size: How many an answer has at most.
    """

    def __init__(self, rows: list[Row], page_size: int) -> None:
        self.rows = rows
        self.page_size = page_size
        self.asked = 0

    async def page(self, bounds: dict[str, object], sort: str, offset: int) -> Page[Row]:
        """Return one page."""
        self.asked += 1
        after, before = bounds["after_"], bounds["before_"]
        assert isinstance(after, datetime)
        assert isinstance(before, datetime)
        found = [row for row in self.rows if after <= row.ended <= before]
        found.sort(key=lambda row: hash((row.id, self.asked)))
        if sort == "END_TIME_DESC":
            found.sort(key=lambda row: row.ended, reverse=True)
        else:
            found.sort(key=lambda row: row.id, reverse=True)
        page = found[offset : offset + self.page_size]
        return Page(page, full=len(page) == self.page_size)


async def read(rows: Rows, stretch: Stretch) -> set[UUID]:
    """Read all of a stretch."""
    reading = NewestFirst("flow_runs/filter", stretch, rows.page, lambda row: row.ended)
    step, found = Step(), set[UUID]()
    while not step.done:
        page, step = await reading.next(step)
        found |= {row.id for row in page.rows}
        assert rows.asked < 1_000
    return found


@given(
    times=st.lists(st.integers(SINCE_US - 3, UNTIL_US + 3), max_size=60),
    page_size=st.integers(1, 12),
    number=st.integers(1, 6),
)
def test_every_row_of_the_time_is_read(times: list[int], page_size: int, number: int) -> None:
    """However many rows share a time and however the time is cut, none is lost or too much."""
    rows = Rows([Row(UUID(int=key), moment(at_us)) for key, at_us in enumerate(times)], page_size)
    found: set[UUID] = set()
    for each in stretches(SINCE_US, UNTIL_US, number):
        part = asyncio.run(read(rows, each))
        assert not found & part
        found |= part

    assert found == {row.id for row in rows.rows if SINCE_US <= micros(row.ended) < UNTIL_US}


@given(number=st.integers(1, 100), length=st.integers(1, 50))
def test_stretches_cover_a_time_once(number: int, length: int) -> None:
    """They follow each other without a gap, the newest first."""
    parts = stretches(0, length, number)
    edges = [each.since_us for each in parts] + [parts[0].until_us]

    assert sorted(edges) == sorted(set(edges))
    assert parts[0].until_us == length
    assert parts[-1].since_us == 0
    assert all(each.since_us == other.until_us for each, other in pairwise(parts))


@pytest.mark.parametrize(
    "times",
    [(SINCE_US - 1,), (UNTIL_US,), (SINCE_US, SINCE_US + 1)],
    ids=["before it", "after it", "not sorted"],
)
def test_answer_that_was_not_asked_for_ends_the_reading(times: tuple[int, ...]) -> None:
    """What does not heed the filter is not believed, as it could go on for ever."""

    async def page(_bounds: dict[str, object], _sort: str, _offset: int) -> Page[Row]:
        return Page([Row(UUID(int=1), moment(at_us)) for at_us in times], full=True)

    reading = NewestFirst(
        "flow_runs/filter", Stretch(SINCE_US, UNTIL_US), page, lambda row: row.ended
    )

    with pytest.raises(Malformed):
        asyncio.run(reading.next(Step()))
