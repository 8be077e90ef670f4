"""Ledger and feeds together, against every order of events that hypothesis can think of."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from uuid import UUID

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from contexts import TARGET, context_of, ledger_of, settings_of
from fakes import START_US, Crash, FakePrefect, flow_run_event
from prefect_exporter.collectors.audits import FlowRunAudit
from prefect_exporter.collectors.flow_run_events import FlowRunEventCollector, FlowRunEvents
from prefect_exporter.collectors.flow_runs import FINISHED, FlowRunCollector, duration
from prefect_exporter.facts import Change, Cursor, Series
from prefect_exporter.ledger import Ledger
from prefect_exporter.moments import DAY, MINUTE, SECOND, micros, moment
from prefect_exporter.wire import FlowRun

FLOW = UUID(int=1)
OVERLAP = 120 * SECOND
# So many bits a float sums without rounding.
EXACT_SECONDS = 52
OUTCOME = {"COMPLETED": "completed", "FAILED": "failed", "CRASHED": "crashed"}
SETTINGS = settings_of(AUDIT_HORIZON="2h", HOLD="30s")


@dataclasses.dataclass
class End:
    """One completion: the truth that the exporter must arrive at.

    Args:
        excused: Nobody can tell it: its row went before it was read, and its event is lost; or
            it came late into a minute that lost another row between the same two audits.
    """

    run: UUID
    at_us: int
    states: set[str]
    visible_us: int
    event: bool
    excused: bool = False


class CrashingLedger(Ledger):
    """A ledger whose process can be killed right before or right after a commit."""

    crash_before = crash_after = False

    def commit(self, change: Change) -> int:
        """Commit, or die beside it."""
        if self.crash_before:
            raise Crash
        fresh = super().commit(change)
        if self.crash_after:
            raise Crash
        return fresh


class Exporter(RuleBasedStateMachine):
    """Prefect does anything; the exporter polls, publishes and is killed at any step."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="prefect-exporter-test-"))
        self.prefect = FakePrefect(page_size=3, flow_names={FLOW: "etl"})
        # What ended before the first start is history and stays out.
        self._put(UUID(int=2), START_US - 10 * SECOND, "COMPLETED")
        self.ends: list[End] = []
        self.removed: Counter[int] = Counter()
        self.arrived_late: list[End] = []
        self.published: dict[tuple[str, ...], float] = {}
        self.served = self.version = 0
        self._start()
        self._run(self.rows.poll(self.context, None))

    def _start(self) -> None:
        path = self.folder / "ledger"
        template = ledger_of(path, SETTINGS)
        families = template.tally.families
        template.close()
        self.ledger = CrashingLedger(path, families, {"deployment": 9, "task": 9, "work_queue": 9})
        self.context = context_of(self.prefect, self.ledger, SETTINGS)
        self.rows = FlowRunCollector(SETTINGS)
        self.events = FlowRunEventCollector(SETTINGS)
        self.audit = FlowRunAudit(SETTINGS)
        self.events_state: FlowRunEvents | None = None

    def _run(self, poll: object) -> object:
        return asyncio.run(poll)  # type: ignore[arg-type]  # each rule passes a coroutine

    def _kill(self) -> None:
        self.context.store.close()
        self._start()

    def teardown(self) -> None:
        """Let everything arrive, catch up, and compare with the truth."""
        self.prefect.up()
        self.prefect.now_us += 20 * MINUTE
        for _ in range(3):
            self.prefect.now_us += 15 * SECOND
            self._run(self.rows.poll(self.context, None))
            self._poll_events()
            self._audit()
        self.compare()
        self.context.store.close()
        shutil.rmtree(self.folder)

    def compare(self) -> None:
        """Check that each completion is counted once, and nothing else is."""
        # Each of the first ends lasts a power of two of its own: the sum tells which were observed.
        observed = self.ledger.tally.histograms[duration(SETTINGS).name].values()
        durations = int(sum(each.total for each in observed))
        for number, end in enumerate(self.ends[:EXACT_SECONDS]):
            if end.visible_us == end.at_us and self._end_of(end.run) == end.at_us:
                assert durations >> number & 1, f"the duration of {end} is missing"
        counted = {
            labels[-1]: value for labels, value in self.ledger.tally.scalars[FINISHED.name].items()
        }
        sure = [end for end in self.ends if not end.excused]
        assert len(sure) <= sum(counted.values()) <= len(self.ends), (counted, self.ends)
        for state, outcome in OUTCOME.items():
            at_least = sum(end.states == {state} for end in sure)
            at_most = sum(state in end.states for end in self.ends)
            assert at_least <= counted.get(outcome, 0.0) <= at_most, (outcome, counted, self.ends)

    def _end_of(self, run: UUID) -> int | None:
        row = self.prefect.flow_rows.get(run)
        return micros(row.end_time) if row and row.end_time else None

    def _put(
        self, run: UUID, at_us: int | None, state_type: str, starts: int = 1, seconds: float = 0.0
    ) -> None:
        self.prefect.flow_rows[run] = FlowRun(
            id=run,
            flow_id=FLOW,
            run_count=starts,
            total_run_time=seconds,
            state_type=state_type,
            state_name=state_type.title(),
            start_time=moment(START_US),
            end_time=None if at_us is None else moment(at_us),
        )

    @rule(
        state=st.sampled_from(sorted(OUTCOME)),
        again=st.booleans(),
        late=st.sampled_from([0, 0, 0, 1, 90, 400, 900]),
        event_late=st.sampled_from([0, 1, 20]),
        lost=st.booleans(),
    )
    def end(self, state: str, late: int, event_late: int, *, again: bool, lost: bool) -> None:
        """Let two new runs end: now, or one at the time of an earlier end; one may show late."""
        at_us = self.ends[-1].at_us if again and self.ends else self.prefect.now_us
        self._end(UUID(int=100 + len(self.ends)), at_us, state, (late, event_late, lost))
        now_us = self.prefect.now_us
        self._end(UUID(int=100 + len(self.ends)), now_us, state, (0, event_late, lost))

    def _end(
        self, run: UUID, at_us: int, state: str, how: tuple[int, int, bool], starts: int = 1
    ) -> None:
        late, event_late, lost = how
        visible_us = self.prefect.now_us + late * SECOND
        number = len(self.ends)
        self._put(run, at_us, state, starts, 2.0**number if number < EXACT_SECONDS else 0.0)
        self.prefect.visible_us[run] = visible_us
        end = End(run, at_us, {state}, visible_us, event=not lost)
        self.ends.append(end)
        if not lost:
            event = flow_run_event(
                self.prefect.flow_rows[run],
                at_us,
                "RUNNING",
                (state, state.title()),
                [("flow", "etl")],
            )
            self.prefect.event_rows.append((self.prefect.now_us + event_late * SECOND, event))
        elif visible_us - at_us > OVERLAP:
            self.arrived_late.append(end)

    def _shown(self) -> list[FlowRun]:
        return [
            row
            for row in self.prefect.flow_rows.values()
            if row.end_time and row.id.int >= 100 and self.prefect.shows(row.id)
        ]

    def _gone(self, row: FlowRun) -> None:
        """The row no longer tells of its end: whether that is lost depends on what was read."""
        assert row.end_time is not None
        at_us = micros(row.end_time)
        end = next(end for end in self.ends if (end.run, end.at_us) == (row.id, at_us))
        if not end.event and self._uncounted(end):
            end.excused = True
        self.removed[at_us // MINUTE] += 1

    def _uncounted(self, end: End) -> bool:
        keys = [(end.run, end.at_us)]
        return bool(self.ledger.unseen(TARGET, "flow_runs", keys))

    @precondition(lambda self: self._shown())
    @rule(data=st.data(), state=st.sampled_from(sorted(OUTCOME)), ends=st.booleans())
    def retry(self, data: st.DataObject, state: str, *, ends: bool) -> None:
        """Start an ended run again; maybe it ends again at once."""
        row = data.draw(st.sampled_from(self._shown()))
        self._gone(row)
        self._put(row.id, None, "RUNNING", row.run_count + 1)
        if ends:
            # Each change of state is a request of its own: a run cannot end twice in 1 ms.
            self.prefect.now_us += 5000
            how = (0, 0, False)
            self._end(row.id, self.prefect.now_us, state, how, row.run_count + 1)

    @precondition(lambda self: self._shown())
    @rule(data=st.data(), state=st.sampled_from(sorted(OUTCOME)))
    def override(self, data: st.DataObject, state: str) -> None:
        """Force one terminal state over another: the end stays the same one."""
        row = data.draw(st.sampled_from(self._shown()))
        assert row.end_time is not None
        before = row.state_type or ""
        self.prefect.flow_rows[row.id] = msgspec.structs.replace(
            row, state_type=state, state_name=state.title()
        )
        for end in self.ends:
            if (end.run, end.at_us) == (row.id, micros(row.end_time)):
                end.states.add(state)
        event = flow_run_event(
            row, self.prefect.now_us, before, (state, state.title()), [("flow", "etl")]
        )
        self.prefect.event_rows.append((self.prefect.now_us, event))

    @precondition(lambda self: self._shown())
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        """Delete an ended run."""
        row = data.draw(st.sampled_from(self._shown()))
        self._gone(row)
        del self.prefect.flow_rows[row.id]

    @rule(seconds=st.sampled_from([1, 15, 130, 400]))
    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.prefect.now_us += seconds * SECOND

    @rule(crash=st.sampled_from(["", "", "", "answer", "before", "after"]), after=st.integers(0, 3))
    def poll_rows(self, crash: str, after: int) -> None:
        """Poll; or be killed between fetch and commit, or between commit and publish."""
        self._crashing(self.rows.poll(self.context, None), crash, after)

    @rule(crash=st.sampled_from(["", "", "", "answer", "before", "after"]), after=st.integers(0, 3))
    def poll_events(self, crash: str, after: int) -> None:
        """The same for the events."""
        if not crash:
            self._poll_events()
        else:
            self._crashing(self.events.poll(self.context, self.events_state), crash, after)

    def _poll_events(self) -> None:
        state = self._run(self.events.poll(self.context, self.events_state))
        assert isinstance(state, FlowRunEvents)
        self.events_state = state

    @rule(crash=st.sampled_from(["", "", "", "answer", "before", "after"]), after=st.integers(0, 3))
    def poll_audit(self, crash: str, after: int) -> None:
        """The same for the audit."""
        if not crash:
            self._audit()
        else:
            self._crashing(self.audit.poll(self.context, None), crash, after)

    def _audit(self) -> None:
        self._run(self.audit.poll(self.context, None))
        for end in self.arrived_late:
            # What came and what left between two looks at a minute cancel out in its count.
            hidden = self.removed[end.at_us // MINUTE] and self._uncounted(end)
            if hidden and self.prefect.shows(end.run):
                end.excused = True
        self.arrived_late = [end for end in self.arrived_late if not self.prefect.shows(end.run)]
        if not self.arrived_late:
            self.removed.clear()

    def _crashing(self, poll: object, crash: str, after: int) -> None:
        left = iter(range(after))

        def fail(_route: str) -> None:
            if next(left, None) is None:
                raise Crash

        if crash == "answer":
            self.prefect.fail = fail
        self.ledger.crash_before = crash == "before"
        self.ledger.crash_after = crash == "after"
        try:
            self._run(poll)
        except Crash:
            self._kill()
        self.prefect.up()
        self.ledger.crash_before = self.ledger.crash_after = False

    @rule(scraped=st.booleans())
    def publish(self, *, scraped: bool) -> None:
        """Publish as the publisher does; maybe a scrape takes it."""
        now = self.prefect.now_us / SECOND
        if due := self.ledger.tally.due(self.served, now, 30.0):
            self.ledger.release(due)
        self.version += 1
        for labels in self.ledger.tally.scalars[FINISHED.name]:
            value = self.ledger.tally.shown(Series(FINISHED.name, labels))
            assert isinstance(value, float)
            assert value >= self.published.get(labels, 0.0), "a counter fell"
            if labels not in self.published:
                assert value == 0.0, "a counter was born above 0"
            self.published[labels] = value
        self.ledger.tally.mark_shown(self.version, now)
        if scraped:
            self.served = self.version

    @rule()
    def kill(self) -> None:
        """Kill the process between polls."""
        self._kill()

    @invariant()
    def published_is_persisted(self) -> None:
        """What was shown is in memory and in the file, or more."""
        kept = self.ledger.tally.scalars[FINISHED.name]
        assert all(kept.get(labels, -1.0) >= value for labels, value in self.published.items())

    @invariant()
    def nothing_is_counted_twice(self) -> None:
        """There are never more counts than completions."""
        assert sum(self.ledger.tally.scalars[FINISHED.name].values()) <= len(self.ends)


def test_each_completion_counts_once() -> None:
    """Whatever the order, each completion counts once, no counter falls, nothing runs ahead."""
    run_state_machine_as_test(
        Exporter,
        settings=settings(
            max_examples=120,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_mark_stands_at_what_was_seen(tmp_path: Path) -> None:
    """The high-water mark is the newest end that a scan saw, never this machine's clock."""
    prefect = FakePrefect(flow_names={FLOW: "etl"})
    ledger = ledger_of(tmp_path / "ledger", SETTINGS)
    context = context_of(prefect, ledger, SETTINGS)
    asyncio.run(FlowRunCollector(SETTINGS).poll(context, None))
    prefect.now_us += 60 * MINUTE
    asyncio.run(FlowRunCollector(SETTINGS).poll(context, None))
    cursor = ledger.cursor(TARGET, "flow_runs")
    context.store.close()

    assert Cursor(START_US - DAY, START_US - DAY, 0, prefect.now_us) == cursor
