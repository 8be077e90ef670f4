"""The headline numbers of a period against those of the one before."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest

from prefect_exporter.report.comparison import Change, Headline, changes, headline
from prefect_exporter.report.model import Kind
from report.worlds import WorldBuilder, workspace

HOUR, DAY = 3600.0, 86_400.0


def _week(world: WorldBuilder, *, before: bool, runs: int, failed: int) -> None:
    """Plant runs a minute long, from an hour before the end of the period on."""
    flow = next((each.id for each in world.workspace.catalog.flows.values()), None)
    flow = flow or world.flow("etl")
    for number in range(runs):
        ago = (7 * DAY if before else 0) + (number + 1) * 0.5 * HOUR
        world.run(
            flow, ended_ago=ago, seconds=60, state="Failed" if number < failed else "Completed"
        )


def _changes(world: WorldBuilder) -> dict[str, Change]:
    return {each.name: each for each in changes(world.workspace)}


def test_headline_counts_what_ended_in_the_period() -> None:
    """By hand: an inline subflow's time is its parent's, a deployment's run has its own."""
    with workspace() as world:
        etl, part = world.flow("etl"), world.flow("part")
        nightly, child = world.deployment(etl, "nightly"), world.deployment(part, "child")
        parent = world.run(etl, nightly, ended_ago=HOUR, seconds=3600, wait=900, attempts=3)
        world.run(part, ended_ago=HOUR, seconds=1800, parent=parent)
        world.run(part, child, ended_ago=HOUR, seconds=1800, parent=parent, wait=5)
        world.run(etl, ended_ago=HOUR, seconds=0, state="TimedOut")
        world.run(etl, ended_ago=HOUR, seconds=0, state="Cancelled")
        world.run(etl, ended_ago=HOUR, state="Running")
        world.run(etl, ended_ago=8 * DAY)
        look = world.workspace
        found = headline(look, look.period)

        assert Headline(5, 3, 1, 1.5, 2, 2, 1) == found
        assert found.success_share == 0.75


def test_change_is_absolute_and_relative() -> None:
    """Ten failures of fifty, then thirty of a hundred."""
    with workspace(compare=True) as world:
        _week(world, before=True, runs=50, failed=10)
        _week(world, before=False, runs=100, failed=30)
        found = _changes(world)

        runs, failures = found["Flow runs that ended"], found["Failed, timed out or crashed"]
        assert (100, 50, 50, 1.0) == (runs.now, runs.before, runs.absolute, runs.relative)
        assert (30, 10, 20, 2.0) == (
            failures.now,
            failures.before,
            failures.absolute,
            failures.relative,
        )
        assert found["Succeeded"].absolute == pytest.approx(-0.1)
        assert found["Time of running"].p is None


def test_failures_are_held_against_the_runs() -> None:
    """Twice the failures of twice the runs are no change, thrice as many of as many are one."""
    with workspace(compare=True) as world:
        _week(world, before=True, runs=100, failed=20)
        _week(world, before=False, runs=200, failed=40)
        assert not _changes(world)["Failed, timed out or crashed"].is_more_than_chance
        assert _changes(world)["Flow runs that ended"].is_more_than_chance
    with workspace(compare=True) as world:
        _week(world, before=True, runs=100, failed=10)
        _week(world, before=False, runs=100, failed=30)
        failures = _changes(world)["Failed, timed out or crashed"]

        assert failures.is_more_than_chance
        assert failures.p == pytest.approx(2 * binomtest(30, 40, 0.5, "greater").pvalue)


def test_small_numbers_may_be_chance() -> None:
    """Three failures in place of one say nothing."""
    with workspace(compare=True) as world:
        _week(world, before=True, runs=50, failed=1)
        _week(world, before=False, runs=50, failed=3)
        assert not any(each.is_more_than_chance for each in _changes(world).values())


@pytest.mark.parametrize("compare", [True, False], ids=["no runs before", "not compared"])
def test_without_a_period_before_there_is_no_change(*, compare: bool) -> None:
    """Nothing is put in place of what is not known."""
    with workspace(compare=compare) as world:
        _week(world, before=False, runs=5, failed=1)
        found = changes(world.workspace)

        assert all(each.before is None and each.p is None for each in found)
        assert all(each.absolute is None and each.relative is None for each in found)


def test_change_from_nothing_has_no_relative_size() -> None:
    """Ten failures after none are ten more, and not so many per cent."""
    change = Change("Failures", Kind.COUNT, 10, 0)

    assert (10, None) == (change.absolute, change.relative)
