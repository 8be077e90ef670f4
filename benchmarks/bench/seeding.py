"""Write rows straight into Prefect's PostgreSQL, and go on writing at a known rate."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self, TypeAlias

import asyncpg  # type: ignore[import-untyped]  # it ships no types

from bench.catalog import Tables
from bench.history import History, Unended

QUIET_SECONDS = 300.0
"""How long ago the history ends: longer than the exporter's polls look back."""

More: TypeAlias = Callable[[datetime, Tables], Tables]


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """How many runs to write: those that ended in the last *days*, and those without an end."""

    flow_runs: int
    days: float
    unended: Unended


def fill(url: str, history: History, amount: Amount, more: More = lambda _now, _rows: {}) -> None:
    """Write the catalog, and runs, none of which ended in the last `QUIET_SECONDS`.

    There a load can be filled in. Prefect's tables must exist and be empty; *url* is as libpq takes
    it. *more* returns further rows, from the time that is now and the rows of the unended runs.
    """
    asyncio.run(_fill(url, history, amount, more))


async def _fill(url: str, history: History, amount: Amount, more: More) -> None:
    now = datetime.now(UTC)
    begin, end = now - timedelta(days=amount.days), now - timedelta(seconds=QUIET_SECONDS)
    con = await asyncpg.connect(url)
    try:
        await _write(con, [history.catalog.tables(begin)])
        await _write(con, history.past(amount.flow_runs, begin, end))
        now = datetime.now(UTC)
        unended = history.unended(now, amount.unended)
        await _write(con, [unended, more(now, unended)])
        # Now, so that PostgreSQL does not do it by itself while something is measured.
        await con.execute("vacuum analyze")
    finally:
        await con.close()


async def _write(con: asyncpg.Connection, batches: Iterable[Tables]) -> None:
    for tables in batches:
        async with con.transaction():
            # A run and its state refer to each other; a replica does not check that.
            await con.execute("set local session_replication_role = replica")
            for table, rows in tables.items():
                if rows:
                    records = [tuple(row.values()) for row in rows]
                    await con.copy_records_to_table(table, columns=[*rows[0]], records=records)


class Live:
    """Flow runs that end now, at a steady rate, from a thread of its own.

    Use it as a context manager.

    Args:
        url: The database as libpq takes it.
        history: Where the runs come from; nobody else may draw from it meanwhile.
        a_second: Flow runs a second.
        filled: Start with what the rate would have brought in so many seconds before now.
    """

    def __init__(self, url: str, history: History, *, a_second: float, filled: float = 0.0) -> None:
        self._url = url
        self._history = history
        self._pause = 1 / a_second
        self._filled = filled
        self._stop = threading.Event()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live")
        self._error: Exception | None = None
        self.ends: list[float] = []

    def __enter__(self) -> Self:
        """Start, and return once the past is written."""
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop; raise what ended the writing before its time."""
        self._stop.set()
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    @property
    def running(self) -> bool:
        """Whether further runs will end."""
        return self._thread.is_alive() and not self._stop.is_set()

    def _run(self) -> None:
        try:
            asyncio.run(self._end_runs())
        except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
            self._error = error
        finally:
            self._started.set()

    async def _end_runs(self) -> None:
        con = await asyncpg.connect(self._url)
        try:
            now = datetime.now(UTC)
            number = int(self._filled / self._pause)
            ago = [timedelta(seconds=self._pause * (number - i)) for i in range(number)]
            await _write(con, (self._history.ended(now - each) for each in ago))
            self._started.set()
            due = time.monotonic()
            while not self._stop.is_set():
                end = datetime.now(UTC)
                await _write(con, [self._history.ended(end)])
                self.ends.append(end.timestamp())
                due += self._pause
                await asyncio.sleep(max(due - time.monotonic(), 0))
        finally:
            await con.close()
