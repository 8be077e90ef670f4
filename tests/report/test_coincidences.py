"""Failures of several flows at one time, and what they share."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import poisson

from prefect_exporter.report.failing.coincidences import Coincidence, coincidences, tail
from report.worlds import WorldBuilder, workspace

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0


def _flow(world: WorldBuilder, name: str, at: float, *, pool: str = "", runs: int = 30) -> UUID:
    """Plant a flow that completes every five hours, *at* so many seconds of an hour before."""
    flow = world.flow(name)
    for number in range(runs):
        world.run(flow, ended_ago=at + number * 5 * HOUR, seconds=30, pool=pool)
    return flow


def _failing(world: WorldBuilder, flows: int, *, message: str = "", pool: str = "") -> list[UUID]:
    """Let so many flows fail within two minutes, three days ago."""
    made = [_flow(world, f"etl-{number}", 0.3 * HOUR + number * 400) for number in range(flows)]
    for place, flow in enumerate(made):
        ago = 3.02 * DAY + place * 20
        world.run(flow, ended_ago=ago, seconds=5, state="Failed", message=message, pool=pool)
    return made


def _found(world: WorldBuilder) -> list[Coincidence]:
    return list(coincidences(world.workspace))


@given(count=st.integers(0, 400), expected=st.floats(1e-9, 300))
def test_tail_is_that_of_poisson(count: int, expected: float) -> None:
    """It is what scipy says, to many digits."""
    assert tail(count, expected) == pytest.approx(
        poisson.sf(count - 1, expected), rel=1e-7, abs=1e-12
    )


def test_nothing_expected_and_something_seen_is_impossible() -> None:
    """And nothing seen is certain."""
    assert (tail(1, 0.0), tail(0, 0.0)) == (0.0, 1.0)


def test_flows_that_fail_together_are_found() -> None:
    """With the flows, the number of failures, and a time that holds all of them."""
    with workspace() as world:
        _failing(world, 5)
        (found,) = _found(world)

        assert found.flows == tuple(f"etl-{number}" for number in range(5))
        assert (found.failures, len(found.examples)) == (5, 5)
        assert found.expected < 0.2
        assert found.p < 0.001


@pytest.mark.parametrize("shift", [0, 100, 200, 280], ids=str)
def test_window_may_lie_across_any_boundary(shift: int) -> None:
    """Failures within five minutes are found wherever the clock's five minutes begin."""
    with workspace() as world:
        for number in range(5):
            flow = _flow(world, f"etl-{number}", 0.3 * HOUR + number * 400)
            world.run(flow, ended_ago=3 * DAY + shift + number * 55, state="Failed")
        (found,) = _found(world)

        assert found.failures == 5


def test_long_incident_is_one() -> None:
    """Windows that touch are told as one time."""
    with workspace() as world:
        flows = [_flow(world, f"etl-{n}", 0.3 * HOUR + n * 400, runs=33) for n in range(6)]
        for step in range(5):
            for place, flow in enumerate(flows):
                ago = 3 * DAY + step * 5 * MINUTE + place * 20
                world.run(flow, ended_ago=ago, state="Failed")
        (found,) = _found(world)

        assert found.failures == 30


def test_two_flows_may_be_unrelated() -> None:
    """However improbable: two are too few."""
    with workspace() as world:
        _failing(world, 2)
        assert _found(world) == []


def test_one_flow_of_many_deployments_is_its_own_trouble() -> None:
    """Many failures of one flow are no failures in common."""
    with workspace() as world:
        flow = _flow(world, "etl", 0.3 * HOUR)
        for number in range(9):
            deployment = world.deployment(flow, f"of-{number}")
            world.run(flow, deployment, ended_ago=3 * DAY + number, state="Failed")
        assert _found(world) == []


def test_broken_flows_of_one_schedule_have_nothing_in_common() -> None:
    """They fail at the same time each night since each fails whenever it runs."""
    with workspace() as world:
        for number in range(6):
            flow = world.flow(f"etl-{number}")
            for night in range(7):
                ago = night * DAY + 9 * HOUR + number
                world.run(flow, ended_ago=ago, state="Failed" if night < 6 else "Completed")
        assert _found(world) == []


def test_flaky_flows_of_one_schedule_have_nothing_in_common() -> None:
    """Flows that fail every third hour meet now and then."""
    with workspace() as world:
        for number in range(6):
            flow = world.flow(f"etl-{number}")
            for hour in range(150):
                state = "Failed" if (hour * (number + 3) + number) % 3 == 0 else "Completed"
                world.run(flow, ended_ago=(hour + 0.5) * HOUR + number, state=state)
        assert _found(world) == []


def test_subflow_and_its_parents_fail_once() -> None:
    """A chain of flows that call each other fails together by its nature."""
    with workspace() as world:
        flows = [_flow(world, f"etl-{number}", 0.3 * HOUR + number * 400) for number in range(5)]
        parent = None
        for flow in flows:
            parent = world.run(flow, ended_ago=3 * DAY, state="Failed", parent=parent)
        assert _found(world) == []


def test_flows_without_a_past_say_nothing() -> None:
    """Flows that ran once, and failed, may be somebody's first tries."""
    with workspace() as world:
        _flow(world, "other", 0.3 * HOUR, runs=100)
        for number in range(6):
            world.run(world.flow(f"new-{number}"), ended_ago=3 * DAY + number, state="Failed")
        assert _found(world) == []


def test_common_error_and_host_are_named() -> None:
    """The host stands in the address in the message; the password beside it is not told."""
    with workspace() as world:
        message = "OperationalError: postgresql://etl:hunter2@db-1.shop.example:5432/dwh refused"
        _failing(world, 5, message=f"Flow run encountered an exception: {message}")
        (found,) = _found(world)

        assert {"error": "OperationalError", "host": "db-1.shop.example"} == dict(found.common)
        assert "hunter2" not in str(found)


def test_pool_is_common_if_others_went_well() -> None:
    """Where all runs are of one pool anyway, the pool says something only if others work."""
    with workspace() as world:
        _failing(world, 8, pool="k8s")
        for number in range(4):
            _flow(world, f"vm-{number}", 3.02 * DAY + number * 30, pool="vm")
        (found,) = _found(world)

        assert found.common == {"work pool": "k8s"}


def test_pool_in_which_others_went_well_is_not_common() -> None:
    """Flows of the same pool that completed meanwhile acquit it."""
    with workspace() as world:
        _failing(world, 8, pool="k8s")
        for number in range(6):
            _flow(world, f"fine-{number}", 3.02 * DAY + number * 15, pool="k8s")
        (found,) = _found(world)

        assert found.common == {}


def test_rare_failures_at_one_time_may_be_chance() -> None:
    """Three flows that fail once in forty runs meet in one of a hundred windows."""
    with workspace() as world:
        for number in range(3):
            flow = world.flow(f"etl-{number}")
            for turn in range(40):
                world.run(flow, ended_ago=turn * 4 * HOUR + number * 300 + 60)
            world.run(flow, ended_ago=3.03 * DAY + number * 60, state="Failed")
        assert _found(world) == []
