"""Runs that ended by the minute, and how quickly Prefect answers: kept for an hour, in memory."""

from __future__ import annotations

import pytest

from prefect_exporter.collectors.flow_runs import FINISHED
from prefect_exporter.exchanges import Exchange
from prefect_exporter.facts import Series
from prefect_exporter.health.model import Rate
from prefect_exporter.ledger.tally import Tally
from prefect_exporter.rates import EVERY_SECONDS, MINUTES, Rates
from prefect_exporter.traffic import Traffic


class Clock:
    """What is counted, as time goes by."""

    def __init__(self) -> None:
        self.now = 600.0
        self.tally = Tally({FINISHED.name: FINISHED})
        self.traffic = {"a": Traffic(), "b": Traffic()}
        self.rates = Rates(lambda: self.now)

    def ended(
        self, number: float, outcome: str, *, target: str = "a", subflow: str = "false"
    ) -> None:
        """Let so many runs have ended by now."""
        series = Series(FINISHED.name, (target, "etl", "hourly", subflow, outcome))
        before = self.tally.scalars[FINISHED.name].get(series.labels, 0.0)
        self.tally.load(series, before + number, released=True)

    def note(self, later_seconds: float = 60.0) -> None:
        """Note what was counted, and let time pass."""
        self.rates.note(self.tally, self.traffic)
        self.now += later_seconds


def test_runs_are_told_by_the_minute_and_outcome() -> None:
    """Cached runs completed, crashes and timeouts failed; cancelled ones are neither."""
    clock = Clock()
    clock.note()
    for outcome in ("completed", "cached", "failed", "timed_out", "crashed", "cancelled"):
        clock.ended(1, outcome)
    clock.note()
    clock.ended(4, "completed")
    clock.note()

    assert Rate((0.0, 2.0, 4.0), (0.0, 3.0, 0.0)) == clock.rates.rate("a")


def test_what_was_counted_before_the_start_is_no_rise() -> None:
    """A ledger that holds a million runs does not draw them all into the first minute."""
    clock = Clock()
    clock.ended(1_000_000, "completed")
    clock.note(30.0)
    clock.ended(3, "completed")
    clock.note()

    assert Rate((3.0,), (0.0,)) == clock.rates.rate("a")


def test_inline_subflows_and_other_targets_are_left_out() -> None:
    """A subflow inside its parent's process is not counted again, nor is another target's run."""
    clock = Clock()
    clock.note()
    clock.ended(5, "failed", subflow="true")
    clock.ended(7, "failed", target="b")
    clock.ended(2, "failed", subflow="deployment")
    clock.note()

    assert (0.0, 2.0) == clock.rates.rate("a").failed
    assert (0.0, 7.0) == clock.rates.rate("b").failed


def test_minutes_without_a_note_share_what_came() -> None:
    """What three minutes brought together is spread over them, and an hour is kept at most."""
    clock = Clock()
    clock.note(180.0)
    clock.ended(6, "completed")
    clock.note()
    spread = clock.rates.rate("a").completed
    for _ in range(2 * MINUTES):
        clock.note()

    assert (0.0, 2.0, 2.0, 2.0) == spread
    assert MINUTES == len(clock.rates.rate("a").completed)


def test_counter_that_falls_is_no_negative_rate() -> None:
    """Series that were retired, or a new ledger, are a pause, not runs that came back."""
    clock = Clock()
    clock.ended(50, "completed")
    clock.note()
    clock.tally = Tally({FINISHED.name: FINISHED})
    clock.ended(1, "completed")
    clock.note()

    assert (0.0, 0.0) == clock.rates.rate("a").completed


def test_tally_is_summed_rarely() -> None:
    """Publications that follow each other closely do not sum thousands of series each time."""
    clock = Clock()
    clock.note(EVERY_SECONDS / 2)
    clock.ended(9, "completed")
    clock.note()

    assert (0.0,) == clock.rates.rate("a").completed


def test_target_that_is_gone_is_forgotten() -> None:
    """A target that is no longer polled has no rate."""
    clock = Clock()
    clock.note()
    del clock.traffic["a"]
    clock.note()

    assert Rate() == clock.rates.rate("a")


def test_latency_is_of_the_last_minutes() -> None:
    """Answers of long ago do not hide that Prefect is slow now; without any there is no number."""
    clock = Clock()
    before = clock.rates.latency_seconds("a")
    clock.note()
    for seconds in (0.1, 0.1, 4.0, 4.0):
        clock.traffic["a"].observe(Exchange("flow_runs/filter", "200", None, seconds, 10))
        for _ in range(5):
            clock.note()

    assert before is None
    assert pytest.approx(4.0) == clock.rates.latency_seconds("a")
    assert clock.rates.latency_seconds("b") is None
