"""Read what is new by time, with an overlap; count each key once; move on when it is kept.

Why nothing is lost: a row that ends at *e* and becomes visible at *v* is missed by a scan only if
that scan began before *v*. The mark is the newest end that was seen, so it stands at most at *v*
plus the skew between the server's replicas, and the next scan goes back behind it by the overlap.
No clock of this machine is in that argument, and outages do not matter: the mark stands still in
them. What comes later than the overlap is the audit's to find.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from prefect_exporter.api import Interval
from prefect_exporter.errors import Malformed
from prefect_exporter.facts import Baseline, Cursor, Fact
from prefect_exporter.feeds.feed import Feed, RowT
from prefect_exporter.moments import DAY, MINUTE, moment
from prefect_exporter.store import Store

# A backlog of more rows than this is read in stretches of about so many: what was read stays read
# where the rest is cut off. What ended in the last half hour is read at once in any case.
FEW_ROWS = 2000
RECENT_US = 30 * MINUTE
SHORTEST_US = 2 * MINUTE
FORGET_EVERY_US = 10 * MINUTE


async def follow(feed: Feed[RowT], store: Store, now_us: int) -> None:
    """Count every row since the feed's mark.

    Raises:
        ApiError: What was read before is kept, and the mark says how far that was.
        LedgerError: As above.
    """
    cursor = store.ledger.cursor(feed.target, feed.name) or await begin(feed, now_us)
    low = scan_start(cursor, feed.overlap_us)
    async for first, last in stretches(feed, low, now_us - feed.overlap_us):
        cursor = await _read(feed, store, cursor, (first, last, now_us))


async def begin(feed: Feed[RowT], now_us: int) -> Cursor:
    """Return a new feed's mark: just behind the newest row that there is, so history stays out.

    The server's own time is used, not this machine's clock, which may differ. A row that a client's
    clock has put into the future tells nothing. Where there is no row yet, a day ago will do.
    """
    page = await feed.page(Interval(moment(0), moment(now_us)), 0)
    origin = feed.key(page.rows[0])[1] + 1 if page.rows else now_us - DAY
    return Cursor(origin, origin)


async def forget(feed: Feed[RowT], store: Store, now_us: int, kept_us: int) -> None:
    """Forget the keys that no scan or audit goes back to: those older than *kept_us*.

    Raises:
        LedgerError: They are forgotten another time.
    """
    cursor = store.ledger.cursor(feed.target, feed.name)
    if cursor is None:
        return
    before_us = min(cursor.high_us, now_us) - max(kept_us, 2 * feed.overlap_us)
    if before_us - cursor.origin_us > FORGET_EVERY_US:
        await store.run(store.ledger.prune, feed.target, feed.name, before_us)


async def stretches(feed: Feed[RowT], low: int, stop: int) -> AsyncIterator[tuple[int, int | None]]:
    """Yield the stretches to read, oldest first; the last one is open to the future.

    Their length follows the server's counts, so that neither a long quiet time nor a crowded one
    takes many requests.
    """
    length = stop - low
    while stop - low > RECENT_US:
        many = await feed.count(Interval(moment(low), moment(low + length))) > FEW_ROWS
        if many and length > SHORTEST_US:
            length //= 2
            continue
        if not many and low + length >= stop:
            break
        yield low, low + length
        # A stretch sees its last minute in part: the next one begins with it.
        low = (low + length) // MINUTE * MINUTE
        length = min(2 * length, stop - low)
    yield low, None


def scan_start(cursor: Cursor, overlap_us: int) -> int:
    """Return where a scan begins: on a minute's edge, so that it sees whole minutes."""
    return max((cursor.high_us - overlap_us) // MINUTE * MINUTE, cursor.origin_us)


async def _read(
    feed: Feed[RowT], store: Store, cursor: Cursor, bounds: tuple[int, int | None, int]
) -> Cursor:
    low, high, now_us = bounds
    rows_by_minute: Counter[int] = Counter()
    newest = cursor.newest_us
    pending: Sequence[Fact] = ()
    async for rows in scan(feed, low, high):
        if pending:
            await store.run(store.ledger.commit, feed.change(pending))
        times = [feed.key(row)[1] for row in rows]
        rows_by_minute.update(at_us // MINUTE for at_us in times)
        # A client's clock that runs ahead must not move the mark, now or later.
        newest = max([newest, *(at_us for at_us in times if at_us <= now_us)])
        pending = await new_facts(feed, store, rows)
    mark = max(cursor.high_us, newest)
    after = Cursor(cursor.origin_us, mark, newest, now_us if high is None else cursor.scanned_us)
    baseline = _baseline(rows_by_minute, low, high)
    change = feed.change(pending, after, baseline)
    await store.run(store.ledger.commit, change)
    return after


def _baseline(rows: Counter[int], low: int, high: int | None) -> Baseline:
    """Return the minutes that a scan has seen whole; its last one only where it was open."""
    first = low // MINUTE
    stop = max([first, *rows]) + 1 if high is None else high // MINUTE
    return Baseline(first, stop, {minute: n for minute, n in rows.items() if minute < stop})


async def new_facts(feed: Feed[RowT], store: Store, rows: Sequence[RowT]) -> Sequence[Fact]:
    """Return the facts of those rows whose keys are not in the ledger."""
    keys = [feed.key(row) for row in rows]
    unseen = await store.run(store.ledger.unseen, feed.target, feed.name, keys, feed.tolerance_us)
    fresh = [row for row, key in zip(rows, keys, strict=True) if key in unseen]
    return await feed.facts(fresh) if fresh else ()


async def scan(feed: Feed[RowT], low_us: int, high_us: int | None) -> AsyncIterator[Sequence[RowT]]:
    """Yield every row from *low_us* to *high_us*, both included, newest first, page by page.

    The next page goes on from the last row's time, so rows that come or go meanwhile shift
    nothing; an offset is used only inside one time that fills a whole page.
    """
    before = None if high_us is None else moment(high_us)
    offset = 0
    border: set[UUID] = set()
    while True:
        asked = Interval(moment(low_us), before)
        page = await feed.page(asked, offset)
        fresh = [row for row in page.rows if row.id not in border]
        _check(feed, asked, page.rows, stuck=page.full and not fresh and offset > 0)
        yield fresh
        if not page.full:
            return
        last = feed.when(page.rows[-1])
        edge = {row.id for row in page.rows if feed.when(row) == last}
        if last == before:
            offset += len(page.rows)
            border |= edge
        else:
            before, offset, border = last, 0, edge


def _check(feed: Feed[RowT], asked: Interval, rows: Sequence[RowT], *, stuck: bool) -> None:
    """Believe nothing that was not asked for: it would be counted out of its time.

    Raises:
        Malformed: Something between here and Prefect does not heed the filter.
    """
    times = [feed.when(row) for row in rows]
    if stuck or not all(asked.holds(at) for at in times):
        raise Malformed(feed.name, "the answer holds rows that were not asked for")
