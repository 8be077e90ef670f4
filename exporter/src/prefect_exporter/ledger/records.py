"""The rows of the ledger's tables: what stands in the file, and nothing of what it means."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from uuid import UUID

import msgspec

from prefect_exporter.facts import Baseline, Cursor, Series
from prefect_exporter.metrics import Counted, Histogram, Labels

Value = float | Histogram

# How long a run's starts are remembered: a run that is retried later counts its earlier ones again.
RETRIES_KEPT_US = 7 * 24 * 3600 * 1_000_000


class Records:
    """Reads and writes on one connection; the caller opens the transactions."""

    def __init__(self, con: sqlite3.Connection) -> None:
        self._con = con

    def feeds(self) -> Iterator[tuple[int, str, str, Cursor | None]]:
        """Yield each feed: its number, target, name, and its cursor if it has read before."""
        for number, target, name, *cursor in self._con.execute("SELECT * FROM feed"):
            yield number, target, name, Cursor(*cursor) if cursor[0] >= 0 else None

    def feed(self, target: str, name: str) -> int:
        """Return a feed's number, a new one where it is new."""
        self._con.execute("INSERT OR IGNORE INTO feed (target, name) VALUES (?, ?)", (target, name))
        found = self._con.execute(
            "SELECT id FROM feed WHERE target = ? AND name = ?", (target, name)
        )
        return int(found.fetchone()[0])

    def write_cursor(self, target: str, feed: str, cursor: Cursor) -> None:
        """Keep a feed's cursor."""
        self._con.execute(
            "INSERT INTO feed (target, name, origin_us, high_us, newest_us, scanned_us)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " origin_us = excluded.origin_us, high_us = excluded.high_us,"
            " newest_us = excluded.newest_us, scanned_us = excluded.scanned_us",
            (target, feed, *dataclasses.astuple(cursor)),
        )

    def seen(self, feed: int, run_id: UUID, at_us: int, tolerance_us: int) -> bool:
        """Return whether a key is there, or one of the same run that is close enough."""
        found = self._con.execute(
            "SELECT 1 FROM seen WHERE feed = ? AND at_us BETWEEN ? AND ? AND run_id = ?",
            (feed, at_us - tolerance_us, at_us + tolerance_us, run_id.bytes),
        )
        return found.fetchone() is not None

    def add_seen(self, feed: int, run_id: UUID, at_us: int) -> bool:
        """Add a key; return False where it is there already."""
        written = self._con.execute(
            "INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", (feed, at_us, run_id.bytes)
        )
        return bool(written.rowcount)

    def swap_starts(self, feed: int, run_id: UUID, at_us: int, starts: int) -> int:
        """Keep how many starts of a run are counted from now on; return how many were."""
        row = self._con.execute(
            "SELECT run_count FROM retried WHERE feed = ? AND run_id = ?", (feed, run_id.bytes)
        ).fetchone()
        self._con.execute(
            "INSERT INTO retried VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " run_count = max(run_count, excluded.run_count), at_us = max(at_us, excluded.at_us)",
            (feed, run_id.bytes, starts, at_us),
        )
        return int(row[0]) if row else 0

    def baseline(self, feed: int | None, first: int, stop: int) -> dict[int, int]:
        """Return the rows by minute for the minutes from *first* up to *stop*."""
        found = self._con.execute(
            "SELECT minute, rows FROM baseline WHERE feed = ? AND minute >= ? AND minute < ?",
            (feed, first, stop),
        )
        return dict(found.fetchall())

    def write_baseline(self, feed: int, baseline: Baseline) -> None:
        """Keep the rows by minute of a range, in place of those that were there."""
        self._con.execute(
            "DELETE FROM baseline WHERE feed = ? AND minute >= ? AND minute < ?",
            (feed, baseline.first, baseline.stop),
        )
        self._con.executemany(
            "INSERT INTO baseline VALUES (?, ?, ?)",
            [(feed, minute, rows) for minute, rows in baseline.rows.items()],
        )

    def prune(self, feed: int, before_us: int) -> None:
        """Drop a feed's keys and minutes from before a time."""
        for table, column, limit in (
            ("seen", "at_us", before_us),
            ("baseline", "minute", before_us // 60_000_000),
            ("retried", "at_us", before_us - RETRIES_KEPT_US),
        ):
            self._con.execute(
                f"DELETE FROM {table} WHERE feed = ? AND {column} < ?",  # noqa: S608  # ours
                (feed, limit),
            )

    def series(self, families: Mapping[str, Counted]) -> Iterator[tuple[Series, Value, bool]]:
        """Yield each series of the families, its value, and whether it is released."""
        for family, labels, value, released in self._con.execute("SELECT * FROM scalar"):
            if family in families:
                yield Series(family, _labels(labels)), value, bool(released)
        self._drop_other_bounds(families)
        for family, labels, counts, total, released in self._con.execute("SELECT * FROM histogram"):
            if family in families:
                histogram = Histogram(msgspec.json.decode(counts, type=tuple[int, ...]), total)
                yield Series(family, _labels(labels)), histogram, bool(released)

    def _drop_other_bounds(self, families: Mapping[str, Counted]) -> None:
        """Begin a histogram anew where its bounds were changed: the old counts do not fit them."""
        kept = dict(self._con.execute("SELECT family, bounds FROM bounds").fetchall())
        for name, family in families.items():
            bounds = msgspec.json.encode(family.bounds).decode()
            if family.bounds and kept.get(name) != bounds:
                self._con.execute("DELETE FROM histogram WHERE family = ?", (name,))
                self._con.execute("INSERT OR REPLACE INTO bounds VALUES (?, ?)", (name, bounds))

    def write_series(self, series: Series, value: Value, *, released: bool) -> None:
        """Keep a series' value; *released* counts only where the series is new."""
        labels = _text(series.labels)
        if isinstance(value, Histogram):
            counts = msgspec.json.encode(value.counts).decode()
            self._con.execute(
                "INSERT INTO histogram VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET counts = excluded.counts, total = excluded.total",
                (series.family, labels, counts, value.total, released),
            )
        else:
            self._con.execute(
                "INSERT INTO scalar VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET value = excluded.value",
                (series.family, labels, value, released),
            )

    def release(self, series: Iterable[Series]) -> None:
        """Note that series may show their value."""
        keys = [(family, _text(labels)) for family, labels in series]
        for statement in (
            "UPDATE scalar SET released = 1 WHERE family = ? AND labels = ?",
            "UPDATE histogram SET released = 1 WHERE family = ? AND labels = ?",
        ):
            self._con.executemany(statement, keys)

    def drop(self, series: Iterable[Series]) -> None:
        """Drop series."""
        keys = [(family, _text(labels)) for family, labels in series]
        for statement in (
            "DELETE FROM scalar WHERE family = ? AND labels = ?",
            "DELETE FROM histogram WHERE family = ? AND labels = ?",
        ):
            self._con.executemany(statement, keys)


def _text(labels: Labels) -> str:
    return msgspec.json.encode(labels).decode()


def _labels(text: str) -> Labels:
    return msgspec.json.decode(text, type=tuple[str, ...])
