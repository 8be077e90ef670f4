"""The ledger: what was counted is kept before it is shown, and nothing is counted twice."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from prefect_exporter.errors import LedgerError
from prefect_exporter.facts import Change, Cursor, Fact, Retried, Series
from prefect_exporter.ledger.database import connect, transaction, translated
from prefect_exporter.ledger.names import DeploymentName, Names
from prefect_exporter.ledger.records import Records
from prefect_exporter.ledger.streaks import Streaks
from prefect_exporter.ledger.tally import Draft, Tally
from prefect_exporter.metrics import Counted, Labels


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
        self._records = Records(self._con)
        self._limits = limits
        self.tally = Tally(families)
        self._feeds: dict[tuple[str, str], int] = {}
        self._cursors: dict[tuple[str, str], Cursor] = {}
        with transaction(self._con, path):
            self.names = Names(self._con, limits)
            self.streaks = Streaks(self._con)
            self._load()

    def _load(self) -> None:
        for number, target, name, cursor in self._records.feeds():
            self._feeds[target, name] = number
            if cursor is not None:
                self._cursors[target, name] = cursor
        for series, value, released in self._records.series(self.tally.families):
            self.tally.load(series, value, released=released)

    def close(self) -> None:
        """Give the file back; commits are whole at any time, so there is nothing to write."""
        self._con.close()

    def size_bytes(self) -> int:
        """Return how large the file is; 0 where the path no longer tells."""
        try:
            return self.path.stat().st_size
        except OSError:
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
            if number is None or not self._records.seen(number, run_id, at_us, tolerance_us)
        }

    def baseline(self, target: str, feed: str, first: int, stop: int) -> dict[int, int]:
        """Return the audit's rows by minute for the minutes from *first* up to *stop*."""
        return self._records.baseline(self._feeds.get((target, feed)), first, stop)

    def commit(self, change: Change) -> int:
        """Keep a change; return how many of its facts were new, of those that do something.

        Raises:
            LedgerError: Nothing of the change was kept, in the file or in memory.
        """
        draft = Draft(self.tally)
        cursors = {
            feed: self._moved(change.target, feed, to) for feed, to in change.cursors.items()
        }
        with transaction(self._con, self.path):
            number = self._feed(change.target, change.feed)
            fresh = sum(
                self._count(number, fact, change.tolerance_us, draft) and bool(fact.effects)
                for fact in change.facts
            )
            for series in change.seeds:
                draft.seed(series)
            written = [(each, value, self._shown(each)) for each, value in draft.items()]
            for series, value, shown in written:
                self._records.write_series(series, value, released=shown)
            streaks = self.streaks.after(draft.ended, change.histories)
            self.streaks.write(streaks)
            for feed, cursor in cursors.items():
                self._records.write_cursor(change.target, feed, cursor)
            if change.baseline is not None:
                self._records.write_baseline(number, change.baseline)
        self._feeds[change.target, change.feed] = number
        for series, value, shown in written:
            self.tally.load(series, value, released=shown)
        for series, exemplar in draft.exemplars:
            self.tally.exemplify(series, exemplar)
        self.streaks.load(streaks)
        for feed, cursor in cursors.items():
            self._cursors[change.target, feed] = cursor
        return fresh

    def _moved(self, target: str, feed: str, to: Cursor) -> Cursor:
        """Return where a feed stands then: its origin may have risen while a poll was under way."""
        before = self._cursors.get((target, feed), to)
        return dataclasses.replace(to, origin_us=max(to.origin_us, before.origin_us))

    def _feed(self, target: str, name: str) -> int:
        known = self._feeds.get((target, name))
        return self._records.feed(target, name) if known is None else known

    def _shown(self, series: Series) -> bool:
        """Return whether a series that is written now shows its value, and no zero first."""
        return series in self.tally or not self.tally.holds(series)

    def _count(self, feed: int, fact: Fact, tolerance_us: int, draft: Draft) -> bool:
        near = tolerance_us and self._records.seen(feed, fact.run_id, fact.at_us, tolerance_us)
        if near or not self._records.add_seen(feed, fact.run_id, fact.at_us):
            return False
        starts = max((e.run_count for e in fact.effects if isinstance(e, Retried)), default=0)
        counted = starts
        if starts > 1:
            counted = self._records.swap_starts(feed, fact.run_id, fact.at_us, starts)
        draft.take(fact, counted)
        return True

    def prune(self, target: str, feed: str, before_us: int) -> None:
        """Forget keys and the audit's rows from before a time, and let the feed begin there.

        What is forgotten could be counted again, so from now on nothing older is.
        """
        number, cursor = self._feeds[target, feed], self._cursors[target, feed]
        cursor = dataclasses.replace(cursor, origin_us=max(cursor.origin_us, before_us))
        with transaction(self._con, self.path):
            self._records.write_cursor(target, feed, cursor)
            self._records.prune(number, before_us)
        self._cursors[target, feed] = cursor

    def admit(
        self, target: str, scope: str, names: Collection[Labels], *, whole: bool = False
    ) -> dict[Labels, Labels]:
        """Return the label values for each name; what is new gets its place, for good.

        Where *names* are the *whole* of a scope, the places of all others are free.
        """
        if whole and (spare := self.names.spare(target, scope, set(names))):
            with self._naming():
                self.names.let_go(target, scope, spare)
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
            self._records.release(series)
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
            self._records.drop(series)
            streaks = [(target, *name) for name in names]
            self.streaks.drop(streaks)
        for each in series:
            self.tally.forget(each)
        self.streaks.forget(streaks)
        return len(names)

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Keep names in step: where the file undoes a transaction, memory reads it again."""
        try:
            with transaction(self._con, self.path):
                yield
        except LedgerError:
            with translated(self.path):
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


def _deployment_of(family: Counted, labels: Labels) -> tuple[str, str]:
    named = dict(zip(family.labels, labels[1:], strict=True))
    return named["flow"], named["deployment"]
