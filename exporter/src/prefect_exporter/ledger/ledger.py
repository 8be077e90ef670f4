"""The ledger: what was counted is kept before it is shown, and nothing is counted twice."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import msgspec

from prefect_exporter.errors import LedgerError
from prefect_exporter.facts import Baseline, Change, Cursor, Fact, Retried, Series
from prefect_exporter.ledger.database import connect, transaction
from prefect_exporter.ledger.names import DeploymentName, Names
from prefect_exporter.ledger.tally import Draft, Tally
from prefect_exporter.metrics import Counted, Histogram, Labels

# How long a run's starts are remembered: a run that is retried later counts its earlier ones again.
RETRIES_KEPT_US = 7 * 24 * 3600 * 1_000_000


class Ledger:
    """One file, one process, one thread.

    Args:
        path: The file; its folder must exist. Never on NFS: SQLite's locks do not hold there.
        families: Every counted family by name.
        limits: How many names a scope may have; see ``Names``.
    """

    def __init__(
        self, path: Path, families: Mapping[str, Counted], limits: Mapping[str, int]
    ) -> None:
        self.path = path
        # When the damaged one before it was moved aside; 0 where none was.
        self.replaced_seconds = 0.0
        self._con = connect(path)
        self._limits = limits
        self.tally = Tally(families)
        self._feeds: dict[tuple[str, str], int] = {}
        self._cursors: dict[tuple[str, str], Cursor] = {}
        with transaction(self._con, path):
            self.names = Names(self._con, limits)
            self._load_feeds()
            self._load_series()

    def close(self) -> None:
        """Give the file back; commits are whole at any time, so there is nothing to write."""
        self._con.close()

    def size_bytes(self) -> int:
        """Return how large the file is; 0 where somebody has removed it."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def cursor(self, target: str, feed: str) -> Cursor | None:
        """Return how far a feed has read; None where it has never."""
        return self._cursors.get((target, feed))

    def unseen(
        self, target: str, feed: str, keys: Iterable[tuple[UUID, int]], tolerance_us: int = 0
    ) -> set[tuple[UUID, int]]:
        """Return those of the (run id, time) keys that are not counted yet."""
        number = self._feeds.get((target, feed))
        return {
            (run_id, at_us)
            for run_id, at_us in keys
            if number is None or not self._seen(number, run_id, at_us, tolerance_us)
        }

    def baseline(self, target: str, feed: str, first: int, stop: int) -> dict[int, int]:
        """Return the audit's rows by minute for the minutes from *first* up to *stop*."""
        rows = self._con.execute(
            "SELECT minute, rows FROM baseline WHERE feed = ? AND minute >= ? AND minute < ?",
            (self._feeds.get((target, feed)), first, stop),
        )
        return dict(rows.fetchall())

    def commit(self, change: Change) -> int:
        """Keep a change; return how many of its facts were new.

        Raises:
            LedgerError: Nothing of the change was kept, in the file or in memory.
        """
        draft = Draft(self.tally)
        with transaction(self._con, self.path):
            number = self._feed(change.target, change.feed)
            fresh = sum(
                self._count(number, fact, change.tolerance_us, draft) for fact in change.facts
            )
            for series in change.seeds:
                draft.seed(series)
            self._write_series(draft)
            for feed, cursor in change.cursors.items():
                self._write_cursor(change.target, feed, cursor)
            if change.baseline is not None:
                self._write_baseline(number, change.baseline)
        self._feeds[change.target, change.feed] = number
        for series, value in draft.items():
            new = series not in self.tally
            self.tally.load(series, value, released=not (new and self.tally.holds(series)))
        for feed, cursor in change.cursors.items():
            self._cursors[change.target, feed] = cursor
        return fresh

    def prune(self, target: str, feed: str, before_us: int) -> None:
        """Forget keys and the audit's rows from before a time, and let the feed begin there.

        What is forgotten could be counted again, so from now on nothing older is.
        """
        number, cursor = self._feeds[target, feed], self._cursors[target, feed]
        cursor = dataclasses.replace(cursor, origin_us=max(cursor.origin_us, before_us))
        with transaction(self._con, self.path):
            self._write_cursor(target, feed, cursor)
            for table, column, limit in (
                ("seen", "at_us", before_us),
                ("baseline", "minute", before_us // 60_000_000),
                ("retried", "at_us", before_us - RETRIES_KEPT_US),
            ):
                self._con.execute(
                    f"DELETE FROM {table} WHERE feed = ? AND {column} < ?",  # noqa: S608  # ours
                    (number, limit),
                )
        self._cursors[target, feed] = cursor

    def admit(self, target: str, scope: str, names: Collection[Labels]) -> dict[Labels, Labels]:
        """Return the label values for each name; what is new gets its place, for good."""
        shown = {name: self.names.shown(target, scope, name) for name in names}
        new = [name for name, place in shown.items() if place is None]
        if new:
            with self._naming():
                shown |= {name: self.names.admit(target, scope, name) for name in new}
        return {name: place for name, place in shown.items() if place is not None}

    def remember_deployments(self, target: str, rows: Sequence[DeploymentName]) -> None:
        """Keep the names of deployments that Prefect has just shown."""
        new = [row for row in rows if self.names.deployment(target, row.id) != row]
        if new:
            with self._naming():
                self.names.remember(target, new)

    def release(self, series: Sequence[Series]) -> None:
        """Let held series show their value from the next publication on, for good."""
        with transaction(self._con, self.path):
            for table in ("scalar", "histogram"):
                self._con.executemany(
                    f"UPDATE {table} SET released = 1 WHERE family = ? AND labels = ?",  # noqa: S608  # ours
                    [(family, _text(labels)) for family, labels in series],
                )
        for each in series:
            self.tally.show(each)

    def retire(self, target: str, listed: Collection[UUID], now_us: int, after_us: int) -> int:
        """Drop the series of deployments that are gone for so long; return how many went.

        Args:
            target: The Prefect server or workspace.
            listed: The ids of a whole listing.
            now_us: The time of that listing.
            after_us: How long a deployment must be gone.
        """
        with self._naming():
            self.names.mark_gone(target, listed, now_us)
            gone = self.names.gone_before(target, now_us - after_us)
            free = [row for row in gone if self.names.drop(target, row)]
            names = {(row.flow, row.name) for row in free}
            for name in names:
                self.names.release(target, "deployment", name)
            series = self._series_of(target, names)
            for table in ("scalar", "histogram"):
                self._con.executemany(
                    f"DELETE FROM {table} WHERE family = ? AND labels = ?",  # noqa: S608  # ours
                    [(family, _text(labels)) for family, labels in series],
                )
        for each in series:
            self.tally.forget(each)
        return len(names)

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Keep names in step: where the file undoes a transaction, memory reads it again."""
        try:
            with transaction(self._con, self.path):
                yield
        except LedgerError:
            self.names = Names(self._con, self._limits)
            raise

    def _series_of(self, target: str, names: set[tuple[str, str]]) -> list[Series]:
        return [
            Series(family, labels)
            for family, declared in self.tally.families.items()
            if "deployment" in declared.labels
            for labels in [*self.tally.scalars[family], *self.tally.histograms[family]]
            if labels[0] == target and _deployment_of(declared, labels) in names
        ]

    def _feed(self, target: str, name: str) -> int:
        if (target, name) not in self._feeds:
            self._con.execute(
                "INSERT OR IGNORE INTO feed (target, name) VALUES (?, ?)", (target, name)
            )
            (number,) = self._con.execute(
                "SELECT id FROM feed WHERE target = ? AND name = ?", (target, name)
            ).fetchone()
            return int(number)
        return self._feeds[target, name]

    def _seen(self, feed: int, run_id: UUID, at_us: int, tolerance_us: int) -> bool:
        found = self._con.execute(
            "SELECT 1 FROM seen WHERE feed = ? AND at_us BETWEEN ? AND ? AND run_id = ?",
            (feed, at_us - tolerance_us, at_us + tolerance_us, run_id.bytes),
        )
        return found.fetchone() is not None

    def _count(self, feed: int, fact: Fact, tolerance_us: int, draft: Draft) -> bool:
        if tolerance_us and self._seen(feed, fact.run_id, fact.at_us, tolerance_us):
            return False
        written = self._con.execute(
            "INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", (feed, fact.at_us, fact.run_id.bytes)
        )
        if not written.rowcount:
            return False
        draft.take(fact, self._starts_counted(feed, fact))
        return True

    def _starts_counted(self, feed: int, fact: Fact) -> int:
        starts = max((e.run_count for e in fact.effects if isinstance(e, Retried)), default=0)
        if starts <= 1:
            return starts
        row = self._con.execute(
            "SELECT run_count FROM retried WHERE feed = ? AND run_id = ?",
            (feed, fact.run_id.bytes),
        ).fetchone()
        self._con.execute(
            "INSERT INTO retried VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " run_count = max(run_count, excluded.run_count), at_us = max(at_us, excluded.at_us)",
            (feed, fact.run_id.bytes, starts, fact.at_us),
        )
        return int(row[0]) if row else 0

    def _write_series(self, draft: Draft) -> None:
        for (family, labels), value in draft.scalars.items():
            new_is_shown = not self.tally.holds(Series(family, labels))
            self._con.execute(
                "INSERT INTO scalar VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET value = excluded.value",
                (family, _text(labels), value, new_is_shown),
            )
        for (family, labels), histogram in draft.histograms.items():
            counts = msgspec.json.encode(histogram.counts).decode()
            self._con.execute(
                "INSERT INTO histogram VALUES (?, ?, ?, ?, 0)"
                " ON CONFLICT DO UPDATE SET counts = excluded.counts, total = excluded.total",
                (family, _text(labels), counts, histogram.total),
            )

    def _write_cursor(self, target: str, feed: str, cursor: Cursor) -> None:
        self._con.execute(
            "INSERT INTO feed (target, name, origin_us, high_us, newest_us, scanned_us)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " origin_us = excluded.origin_us, high_us = excluded.high_us,"
            " newest_us = excluded.newest_us, scanned_us = excluded.scanned_us",
            (target, feed, *dataclasses.astuple(cursor)),
        )

    def _write_baseline(self, feed: int, baseline: Baseline) -> None:
        self._con.execute(
            "DELETE FROM baseline WHERE feed = ? AND minute >= ? AND minute < ?",
            (feed, baseline.first, baseline.stop),
        )
        self._con.executemany(
            "INSERT INTO baseline VALUES (?, ?, ?)",
            [(feed, minute, rows) for minute, rows in baseline.rows.items()],
        )

    def _load_feeds(self) -> None:
        for number, target, name, *cursor in self._con.execute("SELECT * FROM feed"):
            self._feeds[target, name] = number
            if cursor[0] >= 0:
                self._cursors[target, name] = Cursor(*cursor)

    def _load_series(self) -> None:
        for family, labels, value, released in self._con.execute("SELECT * FROM scalar"):
            if family in self.tally.families:
                self.tally.load(Series(family, _labels(labels)), value, released=bool(released))
        self._drop_other_bounds()
        for family, labels, counts, total, released in self._con.execute("SELECT * FROM histogram"):
            if family in self.tally.families:
                histogram = Histogram(msgspec.json.decode(counts, type=tuple[int, ...]), total)
                self.tally.load(Series(family, _labels(labels)), histogram, released=bool(released))

    def _drop_other_bounds(self) -> None:
        """Begin a histogram anew where its bounds were changed: the old counts do not fit them."""
        kept = dict(self._con.execute("SELECT family, bounds FROM bounds").fetchall())
        for name, family in self.tally.families.items():
            bounds = msgspec.json.encode(family.bounds).decode()
            if family.bounds and kept.get(name) != bounds:
                self._con.execute("DELETE FROM histogram WHERE family = ?", (name,))
                self._con.execute("INSERT OR REPLACE INTO bounds VALUES (?, ?)", (name, bounds))


def _deployment_of(family: Counted, labels: Labels) -> tuple[str, str]:
    named = dict(zip(family.labels, labels[1:], strict=True))
    return named["flow"], named["deployment"]


def _text(labels: Labels) -> str:
    return msgspec.json.encode(labels).decode()


def _labels(text: str) -> Labels:
    return msgspec.json.decode(text, type=tuple[str, ...])
