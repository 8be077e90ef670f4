"""Broken, flaky or neither: by the order in which a flow's runs ended."""

from __future__ import annotations

import pytest

from prefect_exporter.report.failing.records import Record, Verdict, record_of, records
from report.worlds import workspace

HOUR = 3600.0


def _record(outcomes: str) -> Record:
    """Return the record of runs an hour apart: ``.`` completed, ``x`` failed, ``c`` cancelled."""
    states = {".": "Completed", "x": "Failed", "X": "Crashed", "c": "Cancelled", "h": "Cached"}
    with workspace() as world:
        flow = world.flow("etl")
        for ago, sign in enumerate(reversed(outcomes), start=1):
            world.run(flow, ended_ago=ago * HOUR, seconds=60, state=states[sign])
        look = world.workspace
        (record,) = records(look, look.period)
        return record


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        ("..........xxx", Verdict.BROKEN),
        ("..........xXx", Verdict.BROKEN),
        ("xxx", Verdict.BROKEN),
        ("h.........cxcxx", Verdict.BROKEN),
        ("..........xx", Verdict.FAILED),
        ("xx", Verdict.FAILED),
        (".xxx", Verdict.FAILED),
        (".xxxx", Verdict.BROKEN),
        ("..........xxxxxx.", Verdict.FAILED),
        ("...x....x...x...", Verdict.FLAKY),
        (".x.x.x.x.x.xxx", Verdict.FLAKY),
        ("...xx.....xx....", Verdict.FAILED),
        (".x.x.x", Verdict.FAILED),
        ("..........", Verdict.FINE),
        ("c", Verdict.FINE),
    ],
)
def test_verdict(outcomes: str, verdict: Verdict) -> None:
    """A streak that the failures before explain is no break, nor is one incident flaky."""
    if outcomes == "c":
        with workspace() as world:
            world.run(world.flow("etl"), ended_ago=HOUR, state="Cancelled")
            assert records(world.workspace, world.workspace.period) == []
        return

    assert verdict == _record(outcomes).verdict


def test_numbers_of_a_record() -> None:
    """They are those of the runs, without the cancelled one."""
    record = _record("..x..cxxx")

    assert (8, 4, 2, 3) == (record.runs, record.failed, record.episodes, record.streak)
    assert (240.0, 180.0) == (record.failed_seconds, record.streak_seconds)
    assert record.failed_share == 0.5
    assert len(record.examples) == 4


def test_examples_are_the_newest_first() -> None:
    """Five at most, and the first is the last failure."""
    with workspace() as world:
        flow = world.flow("etl")
        ids = [world.run(flow, ended_ago=ago * HOUR, state="Failed").bytes for ago in range(1, 8)]
        look = world.workspace
        (record,) = records(look, look.period)

        assert tuple(ids[:5]) == record.examples


def test_time_of_attempts_is_estimated() -> None:
    """Of three attempts two have failed: two thirds of the run's time."""
    with workspace() as world:
        flow = world.flow("etl")
        run = world.run(flow, ended_ago=HOUR, seconds=90, attempts=3)
        world.run(flow, ended_ago=2 * HOUR, seconds=90)
        look = world.workspace
        (record,) = records(look, look.period)

        assert (1, 60.0, (run.bytes,)) == (
            record.retried,
            record.retried_seconds,
            record.retried_examples,
        )
        assert record_of(look, record.subject) is record


def test_subjects_are_told_apart() -> None:
    """A flow's deployment and its other runs have a record each."""
    with workspace() as world:
        flow = world.flow("etl")
        nightly = world.deployment(flow, "nightly")
        world.run(flow, nightly, ended_ago=HOUR)
        world.run(flow, ended_ago=HOUR)
        look = world.workspace

        assert {"etl", "etl/nightly"} == {
            look.name(each.subject) for each in records(look, look.period)
        }
