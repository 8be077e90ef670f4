"""A feed: one kind of thing that happens to runs, and where to ask for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from prefect_exporter.api import Interval, Page
from prefect_exporter.errors import Malformed
from prefect_exporter.facts import Baseline, Change, Cursor, Fact
from prefect_exporter.moments import micros


class Row(Protocol):
    """What every run has."""

    @property
    def id(self) -> UUID:
        """The run's id."""
        ...


RowT = TypeVar("RowT", bound=Row)


@dataclass(frozen=True, slots=True)
class Feed(Generic[RowT]):
    """Rows by a time of theirs.

    Args:
        target: The Prefect server or workspace.
        name: Its name in the ledger.
        overlap_us: How far each scan goes back behind the high-water mark.
        page: Ask for a page of rows within an interval of that time, newest first.
        count: Ask how many rows there are within an interval of that time.
        when: The time of a row; every row that was asked for has one.
        facts: What new rows do to the metrics; a row that does nothing gives no fact.
        tolerance_us: A key of the same run this close is the same happening: another source may
            have told of it with its time rounded otherwise.
    """

    target: str
    name: str
    overlap_us: int
    page: Callable[[Interval, int], Awaitable[Page[RowT]]]
    count: Callable[[Interval], Awaitable[int]]
    when: Callable[[RowT], datetime | None]
    facts: Callable[[Sequence[RowT]], Awaitable[Sequence[Fact]]]
    tolerance_us: int = 0

    def change(
        self,
        facts: Sequence[Fact],
        cursor: Cursor | None = None,
        baseline: Baseline | None = None,
    ) -> Change:
        """Return the commit of this feed's facts, and maybe of where it stands after them."""
        return Change(
            self.target,
            self.name,
            tuple(facts),
            tolerance_us=self.tolerance_us,
            cursors={} if cursor is None else {self.name: cursor},
            baseline=baseline,
        )

    def key(self, row: RowT) -> tuple[UUID, int]:
        """Return what names this happening: the run and the microsecond."""
        at = self.when(row)
        if at is None:
            raise Malformed(self.name, "the answer holds a row without its time")
        return row.id, micros(at)
