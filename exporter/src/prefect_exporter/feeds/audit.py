"""Find late rows: compare the server's counts with what it had when we last read each minute.

The comparison is with the baseline, not with what was ever counted: a retry clears ``end_time``,
so one retry would hide one late row. Within one minute and one audit interval the two can still
hide each other; nobody can tell that from a count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prefect_exporter.api import Interval
from prefect_exporter.errors import Waiting
from prefect_exporter.facts import Baseline, Fact
from prefect_exporter.feeds.feed import Feed, RowT
from prefect_exporter.feeds.rows import new_facts, scan, scan_start
from prefect_exporter.moments import MINUTE, moment
from prefect_exporter.store import Store

# Minutes read again by one audit at most; what is left waits for the next one.
MAX_RESCANS = 60


@dataclass(frozen=True, slots=True)
class Audited:
    """What one audit did.

    Args:
        corrections: Rows that it counted.
        complete: False where there was more to read again than one audit may.
    """

    corrections: int
    complete: bool


async def audit(feed: Feed[RowT], store: Store, now_us: int, horizon_us: int) -> Audited:
    """Compare all closed minutes of the horizon; read again those that differ.

    Raises:
        Waiting: The rows have not been read yet.
        ApiError: Minutes that were read again before are kept.
        LedgerError: As above.
    """
    cursor = store.ledger.cursor(feed.target, feed.name)
    if cursor is None:
        message = f"waits for the first reading of {feed.name}"
        raise Waiting(message)
    auditor = _Auditor(feed, store, cursor.origin_us)
    first = max(cursor.origin_us, now_us - horizon_us) // MINUTE
    for start, stop in segments(first, scan_start(cursor, feed.overlap_us) // MINUTE):
        await auditor.compare(start, stop)
    return Audited(auditor.corrections, complete=auditor.rescans_left >= 0)


def segments(first: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield the minutes from *first* up to *stop* in stretches that grow fourfold with age.

    A row that left and one that came hide each other in a sum. As time passes the borders move
    over the minutes, so any two of them stand in different stretches sooner or later.
    """
    length = 4
    while stop > first:
        start = max(stop - length, first)
        yield start, stop
        stop, length = start, length * 4


class _Auditor:
    """One audit under way, for a feed and its ledger."""

    def __init__(self, feed: Feed[RowT], store: Store, origin_us: int) -> None:
        self._feed = feed
        self._store = store
        self._origin_us = origin_us
        self.corrections = 0
        self.rescans_left = MAX_RESCANS

    def _interval(self, start: int, stop: int) -> Interval:
        low = max(start * MINUTE, self._origin_us)
        return Interval(moment(low), moment(stop * MINUTE - 1))

    async def compare(self, start: int, stop: int) -> None:
        """Halve the stretch until the minutes that differ are found, and read those again."""
        if self.rescans_left < 0:
            return
        ledger = self._store.ledger
        known = await self._store.run(
            ledger.baseline, self._feed.target, self._feed.name, start, stop
        )
        if await self._feed.count(self._interval(start, stop)) == sum(known.values()):
            return
        if stop - start == 1:
            await self._rescan(start)
            return
        middle = (start + stop) // 2
        await self.compare(start, middle)
        await self.compare(middle, stop)

    async def _rescan(self, minute: int) -> None:
        self.rescans_left -= 1
        if self.rescans_left < 0:
            return
        low = max(minute * MINUTE, self._origin_us)
        found = 0
        facts: list[Fact] = []
        async for rows in scan(self._feed, low, (minute + 1) * MINUTE - 1):
            found += len(rows)
            facts += await new_facts(self._feed, self._store, rows)
        baseline = Baseline(minute, minute + 1, {minute: found} if found else {})
        change = self._feed.change(facts, baseline=baseline)
        self.corrections += await self._store.run(self._store.ledger.commit, change)
