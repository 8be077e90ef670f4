"""No row is lost silently, none is doubled: whatever workers, their ends, and Redis do."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from etl import dead_letters
from etl.errors import SourceLostRows
from etl.extraction import extract
from etl.lake import Lake
from etl.leases import Leases
from etl.model import Chunk, ChunkLimits, RowId
from etl.planning import ensure_plan, read_plan, remaining
from etl.source import Source
from etl.validation import convert, validate
from etl.writing import commit, commit_replayed, committed, sweep
from order_fates import Killed, MortalRedis
from order_lakes import leftovers, orders
from order_rows import good, row

pytestmark = pytest.mark.real

CLIENT = "acme"
NOW = datetime(2026, 11, 22, tzinfo=UTC)
RATES = {"EUR": 1.0, "USD": 0.9, "GBP": 1.2}
_LIMITS = ChunkLimits(rows=3, bytes=2**20)
_STEPS = st.none() | st.integers(0, 25)

Worker = Iterator[None]


class Conservation(RuleBasedStateMachine):
    """Rows, what Redis still has of them, up to three workers, and a lake.

    Args:
        redis: Its database is this machine's own.
    """

    def __init__(self, redis: MortalRedis) -> None:
        super().__init__()
        redis.flushdb()
        self.redis = redis
        self.source = Source(redis, CLIENT)
        self.folder = Path(tempfile.mkdtemp(prefix="orders-"))
        self.lake = Lake(self.folder, CLIENT)
        self.kinds: dict[str, bool] = {}
        self.stream: list[str] = []
        self.planned: dict[str, list[str]] = {}
        self.gone: set[str] = set()
        self.workers: list[Worker] = []
        self.runs = 0
        self.checked: list[str] = []

    @rule(kinds=st.lists(st.booleans(), min_size=1, max_size=8))
    def add(self, kinds: list[bool]) -> None:
        """Somebody adds orders; False for one that nobody will accept."""
        for kind in kinds:
            row_id = f"{1_000 + len(self.kinds)}-0"
            self.redis.xadd(self.source.key, {"order": row(1) if kind else b"bad"}, id=row_id)
            self.kinds[row_id] = kind
            self.stream.append(row_id)

    @rule()
    def start(self) -> None:
        """One more worker begins a run."""
        if len(self.workers) < 3:
            self.workers.append(self._worker())

    @rule(which=st.integers(0, 2), often=st.integers(1, 6), steps=_STEPS)
    def go_on(self, which: int, often: int, steps: int | None) -> None:
        """One worker works on while the others stand still; or it dies in the middle of it."""
        if which < len(self.workers):
            worker = self.workers[which]
            ended = self._within(steps, lambda: [next(worker) for _ in range(often)])
            if ended:
                self.workers.remove(worker)

    @rule(steps=_STEPS, corrected=st.booleans())
    def replay(self, steps: int | None, corrected: bool) -> None:  # noqa: FBT001 - drawn
        """Somebody replays what waits, with corrections or without, and may be killed."""
        self._within(steps, lambda: self._replay(corrected=corrected))

    @rule()
    def leases_run_out(self) -> None:
        """Time passes: who stands still has no right to its chunk any more."""
        for key in self.redis.scan_iter(f"{self.source.key}:lease:*"):
            self.redis.delete(key)

    @rule(rows=st.integers(1, 5))
    def lose_newest(self, rows: int) -> None:
        """Redis loses the rows that were added last."""
        lost, self.stream = self.stream[-rows:], self.stream[:-rows]
        if lost:
            self.redis.xdel(self.source.key, *lost)
        self.gone |= set(lost)

    @rule()
    def lose_all(self) -> None:
        """Redis loses everything: rows, letters, leases."""
        self.redis.flushdb()
        self.gone |= set(self.stream)
        self.stream = []

    @invariant()
    def every_row_is_in_one_place(self) -> None:
        """What is committed has each planned row once and where it belongs, or it is named lost."""
        self._note_plans()
        files = sorted(path.name for path in self.lake.folder.rglob("*.parquet"))
        if files != self.checked:
            self._check()
            self.checked = files

    def _check(self) -> None:
        found = orders(self.folder, self.redis, CLIENT)
        places = found.accepted + found.rejected

        assert len(places) == len(set(places))
        assert all(self.kinds[row_id] for row_id in found.accepted)
        assert not any(self.kinds[row_id] for row_id in found.rejected)
        assert len(found.replayed) == len(set(found.replayed))
        assert set(found.replayed) <= set(found.rejected)
        for name, planned in self.planned.items():
            done = committed(self.lake, name)
            missing = set(planned) - set(places)

            assert (done.lost if done else len(planned)) == len(missing)
            assert not done or missing <= self.gone

    def teardown(self) -> None:
        """Workers that nothing happens to finish: then everything is accounted for."""
        try:
            self._finish()
        finally:
            shutil.rmtree(self.folder)

    def _finish(self) -> None:
        self.workers.clear()
        self.leases_run_out()
        self._note_plans()
        for _ in range(2):
            self._within(None, lambda: list(self._worker()))
            self._note_plans()
        self._check()
        found = orders(self.folder, self.redis, CLIENT)
        places = {*found.accepted, *found.rejected}
        planned = {row_id for ids in self.planned.values() for row_id in ids}

        assert set(self.stream) <= places <= planned
        assert planned - places <= self.gone
        assert set(found.letters) == set(found.rejected) - set(found.replayed)
        sweep(self.lake, now=time.time() + 90_000)
        assert [] == leftovers(self.folder, CLIENT)

    def _within(self, steps: int | None, work: Callable[[], object]) -> bool:
        """Return whether the work has come to its end, of whatever kind."""
        with self.redis.fate.sealed(steps):
            try:
                work()
            except (Killed, StopIteration):
                return True
        return False

    def _worker(self) -> Worker:
        """Do what a run does, with a pause after each step."""
        self.runs += 1
        began = NOW + timedelta(days=self.runs)
        dead_letters.settle_all(self.redis, self.lake)
        upto = self.source.newest()
        yield
        while plan := ensure_plan(self.source, self.lake, _LIMITS, now=NOW, upto=upto):
            yield
            for chunk in remaining(self.lake, plan):
                yield from self._chunk(chunk, began)
            if remaining(self.lake, plan):
                return

    def _chunk(self, chunk: Chunk, began: datetime) -> Worker:
        lease = Leases(self.redis, CLIENT, 3600).take(chunk)
        if lease is None:
            return
        try:
            extracted = extract(self.source, self.lake, chunk, began=began)
            yield
            validated = validate(self.lake, extracted, now=NOW)
            yield
            converted = convert(self.lake, validated, RATES)
            yield
            commit(self.lake, converted)
        except SourceLostRows:
            # This run fails in the end; the other chunks are none the worse for it.
            lease.release()
            return
        except (OSError, pl.exceptions.PolarsError):
            # Another worker had its lease by then, has committed it, and cleared up.
            assert committed(self.lake, chunk.name)
        yield
        dead_letters.settle(self.redis, self.lake, chunk.name)
        lease.release()

    def _replay(self, *, corrected: bool) -> None:
        for page in dead_letters.letters(self.redis, CLIENT):
            corrections = {str(each.row_id): good(1) for each in page} if corrected else {}
            spooled = dead_letters.spool(self.lake, page, corrections)
            converted = convert(self.lake, validate(self.lake, spooled, now=NOW), RATES)
            commit_replayed(self.lake, converted)
            dead_letters.finish(self.redis, self.lake, page)

    def _note_plans(self) -> None:
        """Note of each new plan which rows it speaks of: those that are in Redis now."""
        for path in sorted(self.lake.plans.glob("*.json")):
            for chunk in read_plan(path).chunks:
                if chunk.name not in self.planned:
                    ids = [each for each in self.stream if _within(chunk, each)]
                    assert chunk.rows == len(ids)
                    self.planned[chunk.name] = ids


def _within(chunk: Chunk, row_id: str) -> bool:
    return chunk.first <= RowId.parse(row_id) <= chunk.last


def test_every_row_is_conserved(redis_url: str) -> None:
    """Every planned row is accepted or rejected exactly once, or named as lost."""
    with MortalRedis.from_url(redis_url) as redis:
        run_state_machine_as_test(
            partial(Conservation, redis),  # type: ignore[arg-type]  # it only ever calls it
            settings=settings(
                max_examples=15,
                stateful_step_count=30,
                # What fails is shown as it was found: to shrink it takes minutes.
                phases=[Phase.reuse, Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )
