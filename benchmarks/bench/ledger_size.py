"""How large the ledger gets, and what a completion costs it, over simulated days."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.completions import Completions, families
from prefect_exporter.facts import Baseline, Change, Cursor, Fact
from prefect_exporter.feeds.rows import FORGET_EVERY_US
from prefect_exporter.ledger import Ledger
from prefect_exporter.moments import DAY, HOUR, MINUTE, SECOND
from prefect_exporter.settings import Settings

_TARGET = "default"
_PAGE = 200
_POLL_US = 15 * SECOND
_AUDIT_EVERY = 4
# As the audits do: their horizon of a day, and a minute.
_KEPT_US = DAY + MINUTE
_BEGIN_US = 20_000 * DAY


@dataclass(frozen=True, slots=True)
class LedgerSize:
    """What the simulation found; sizes in bytes, the rollback journal included.

    Args:
        completions_a_day: One of six a flow run, the others task runs.
        completions: How many were committed in all.
        full_bytes: The size once the oldest keys had begun to go.
        end_bytes: The size when the simulation ended.
        seconds_per_million: Time in ``Ledger.commit`` and ``Ledger.prune``.
        slowest_commit_seconds: Of one page.
        slowest_prune_seconds: Of ten minutes' old keys.
    """

    completions_a_day: int
    completions: int
    full_bytes: int
    end_bytes: int
    seconds_per_million: float
    slowest_commit_seconds: float
    slowest_prune_seconds: float


@dataclass(slots=True)
class _Clock:
    """The time spent in calls of one kind."""

    total: float = 0.0
    slowest: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        began = time.perf_counter()
        yield
        took = time.perf_counter() - began
        self.total += took
        self.slowest = max(self.slowest, took)


@dataclass(slots=True)
class _Feed:
    """One feed's polls: its pages, mark and baseline, as the rows' feed commits them."""

    name: str
    ledger: Ledger
    per_poll: float
    source: Completions
    make: Callable[[int], Fact]
    commits: _Clock = field(default_factory=_Clock)
    prunes: _Clock = field(default_factory=_Clock)
    owed: float = 0.0
    committed: int = 0

    def poll(self, start_us: int) -> None:
        """Commit what ended in the interval from *start_us* on."""
        self.owed += self.per_poll
        number = int(self.owed)
        self.owed -= number
        times = self.source.moments(start_us, start_us + _POLL_US, number)
        facts = [self.make(at_us) for at_us in times]
        last = len(facts) // _PAGE * _PAGE
        for first in range(0, last, _PAGE):
            page = tuple(facts[first : first + _PAGE])
            self._commit(Change(_TARGET, self.name, page))
        self._commit(self._closing(facts[last:], times, start_us))

    def forget(self) -> None:
        """Forget what no scan goes back to, as often as `prefect_exporter.feeds.rows` does."""
        cursor = self._cursor()
        before_us = cursor.high_us - _KEPT_US
        if before_us - cursor.origin_us > FORGET_EVERY_US:
            with self.prunes.running():
                self.ledger.prune(_TARGET, self.name, before_us)

    def _commit(self, change: Change) -> None:
        with self.commits.running():
            self.committed += self.ledger.commit(change)

    def _closing(self, facts: Sequence[Fact], times: Sequence[int], start_us: int) -> Change:
        first = start_us // MINUTE
        before = self._cursor()
        rows = Counter(at_us // MINUTE for at_us in times)
        high = max([before.high_us, *times])
        return Change(
            _TARGET,
            self.name,
            tuple(facts),
            cursors={self.name: Cursor(before.origin_us, high, high, start_us + _POLL_US)},
            baseline=Baseline(first, first + 1, rows),
        )

    def _cursor(self) -> Cursor:
        return self.ledger.cursor(_TARGET, self.name) or Cursor(_BEGIN_US, _BEGIN_US)


def measure_ledger(
    folder: Path,
    completions_a_day: int,
    progress: Callable[[str], None],
    *,
    hours: tuple[int, int] = (25, 37),
) -> LedgerSize:
    """Simulate some hours at *completions_a_day* in a new ledger below *folder*.

    Args:
        folder: Where the ledger is made.
        completions_a_day: One of six is a flow run, the others are task runs.
        progress: Is told each hour's end.
        hours: When to take ``full_bytes`` and ``end_bytes``; keys are kept for a day and a minute.
    """
    full, end = hours
    path = folder / "simulated.sqlite"
    settings = Settings()
    declared = families(settings)
    limits = {"deployment": 5000, "task": 5000, "work_queue": 1000}
    ledger = Ledger(path, declared.by_name, limits)
    source = Completions(declared, deployments=200, tasks=400, seed=1)
    per_poll = completions_a_day * _POLL_US / DAY
    feeds = (
        _Feed("flow_runs", ledger, per_poll / 6, source, source.flow_run),
        _Feed("task_runs", ledger, per_poll * 5 / 6, source, source.task_run),
    )
    try:
        full_bytes = _simulate(feeds, range(full), progress)
        end_bytes = _simulate(feeds, range(full, end), progress)
    finally:
        ledger.close()
    committed = sum(feed.committed for feed in feeds)
    spent = sum(feed.commits.total + feed.prunes.total for feed in feeds)
    return LedgerSize(
        completions_a_day=completions_a_day,
        completions=committed,
        full_bytes=full_bytes,
        end_bytes=end_bytes,
        seconds_per_million=spent / committed * 1e6,
        slowest_commit_seconds=max(feed.commits.slowest for feed in feeds),
        slowest_prune_seconds=max(feed.prunes.slowest for feed in feeds),
    )


def _simulate(feeds: Sequence[_Feed], hours: range, progress: Callable[[str], None]) -> int:
    """Poll through *hours*, and return the size at their end."""
    path = feeds[0].ledger.path
    for hour in hours:
        for poll in range(HOUR // _POLL_US):
            now_us = _BEGIN_US + hour * HOUR + poll * _POLL_US
            for feed in feeds:
                feed.poll(now_us)
                if poll % _AUDIT_EVERY == 0:
                    feed.forget()
        progress(f"hour {hour + 1}: {_on_disk(path) / 1e6:.0f} MB")
    return _on_disk(path)


def _on_disk(path: Path) -> int:
    return sum(each.stat().st_size for each in path.parent.glob(f"{path.name}*"))
