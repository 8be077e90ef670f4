"""How much of a limit is used, against counting second by second."""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_exporter.moments import HOUR, SECOND
from prefect_exporter.report.performance.slots import Used, used
from prefect_exporter.report.question import Period
from report.worlds import NOW_US, workspace

SPAN = 40
"""Seconds of the period; runs may begin before it and go on after it."""


class Run(NamedTuple):
    """One run, in seconds after the period's start; None for what has not happened by its end."""

    due: int
    started: int | None
    ended: int | None


def _run(due: int, wait: int, seconds: int) -> Run:
    started, ended = due + wait, due + wait + seconds
    return Run(due, started if started < SPAN else None, ended if ended <= SPAN else None)


RUNS = st.lists(
    st.builds(_run, st.integers(-20, SPAN - 1), st.integers(0, 20), st.integers(1, 30)), max_size=8
)


def _used(runs: list[Run], limit: int | None, span: int = SPAN) -> Used:
    with workspace(period=Period(NOW_US - span * SECOND, NOW_US)) as world:
        world.pool("k8s", limit=limit)
        flow = world.flow("etl")
        deployment = world.deployment(flow, "nightly", pool="k8s")
        for due, started, ended in runs:
            if ended is not None and started is not None:
                wait, seconds = started - due, ended - started
                world.run(flow, deployment, ended_ago=span - ended, seconds=seconds, wait=wait)
            elif started is not None:
                ago = span - started
                world.run(flow, deployment, ended_ago=ago, wait=started - due, state="Running")
            else:
                world.run(flow, deployment, ended_ago=span - due, wait=0, state="Late")
        (found,) = used(world.workspace)
        return found


@given(RUNS, st.integers(1, 4))
def test_slots_are_those_of_each_second(runs: list[Run], limit: int) -> None:
    """Peak, mean, full and waiting time are what one finds by looking at every second."""
    found = _used(runs, limit)
    running = [
        sum(
            r.started is not None and r.started <= s < (math.inf if r.ended is None else r.ended)
            for r in runs
        )
        for s in range(SPAN)
    ]
    waiting = [
        sum(r.due <= s and (r.started is None or s < r.started) for r in runs) for s in range(SPAN)
    ]
    full = [s for s in range(SPAN) if running[s] >= limit]

    assert found.peak == max(running)
    assert found.mean == pytest.approx(sum(running) / SPAN)
    assert found.full == len(full)
    assert found.starved == sum(waiting[s] > 0 for s in full)
    assert found.waited == sum(waiting[s] for s in full)
    assert sum(found.full_hours) == pytest.approx(found.full)
    levels = sorted(level for s in range(SPAN) if (level := running[s] + waiting[s]))
    assert found.demand == (levels[math.ceil(len(levels) * 0.95) - 1] if levels else 0)


def test_pool_without_a_limit_is_never_full() -> None:
    """What has no limit has a peak, and nothing else."""
    found = _used([Run(0, 1, 20), Run(0, 2, 20)], None)

    assert (found.peak, found.full, found.starved, found.waited) == (2, 0, 0, 0)


def test_limits_without_runs_are_there_too() -> None:
    """A limited pool, queue, deployment or tag that nothing used has a row of noughts."""
    with workspace() as world:
        world.pool("k8s", limit=3)
        world.queue("k8s", "fast", limit=2)
        world.deployment(world.flow("etl"), "nightly", limit=1)
        world.tag_limit("db", 4)
        found = used(world.workspace)

    expected = [
        ("work pool", "k8s", 3),
        ("work queue", "k8s/fast", 2),
        ("deployment", "etl/nightly", 1),
        ("tag", "db", 4),
    ]
    assert expected == [each.place[:3] for each in found]
    assert all(each.runs == each.peak == 0 for each in found)


def test_each_limit_counts_its_own_runs() -> None:
    """A queue's runs are the pool's too, a deployment's its own, and a tag's are task runs."""
    with workspace() as world:
        world.pool("k8s", limit=9)
        world.queue("k8s", "fast", limit=9)
        world.tag_limit("db", 9)
        flow = world.flow("etl")
        fast = world.deployment(flow, "fast", pool="k8s", queue="fast", limit=9)
        slow = world.deployment(flow, "slow", pool="k8s", limit=9)
        for deployment in (fast, fast, slow):
            run = world.run(flow, deployment, ended_ago=60, seconds=30)
        world.task(run, "load", seconds=10, tags=["db", "other"])
        world.task(run, "load", seconds=10, tags=["other"])
        found = {each.place.name: each for each in used(world.workspace)}

    runs = {name: (each.runs, each.peak) for name, each in found.items()}
    assert runs == {
        "k8s": (3, 3),
        "k8s/fast": (2, 2),
        "etl/fast": (2, 2),
        "etl/slow": (1, 1),
        "db": (1, 1),
    }


def test_full_time_is_told_by_hour() -> None:
    """A stretch over several hours belongs to each of them, and ends with the period."""
    with workspace(period=Period(NOW_US - 24 * HOUR, NOW_US)) as world:
        world.pool("k8s", limit=1)
        flow = world.flow("etl")
        deployment = world.deployment(flow, "nightly", pool="k8s")
        # 08:30 to 10:15; the period ends at 12:00.
        world.run(flow, deployment, ended_ago=105 * 60, seconds=105 * 60)
        (found,) = used(world.workspace)

    minutes = {hour: s / 60 for hour, s in enumerate(found.full_hours) if s}
    assert minutes == {8: 30, 9: 60, 10: 15}


def test_run_that_never_ran_waits_until_it_was_cancelled() -> None:
    """It takes no slot, and stops to wait when it ended."""
    with workspace(period=Period(NOW_US - SPAN * SECOND, NOW_US)) as world:
        world.pool("k8s", limit=1)
        flow = world.flow("etl")
        deployment = world.deployment(flow, "nightly", pool="k8s")
        world.run(flow, deployment, ended_ago=0, seconds=SPAN, wait=0)
        world.run(flow, deployment, ended_ago=10, seconds=0, wait=20, state="Cancelled")
        row = next(world.workspace.flow_runs("WHERE state_name = 'Cancelled'"))
        world.store.add([row._replace(started_us=None)])
        (found,) = used(world.workspace)

    assert (found.runs, found.peak, found.waited) == (1, 1, 20)


def test_places_are_swept_apart() -> None:
    """What runs in one pool is not in another's numbers, whatever their names."""
    with workspace(period=Period(NOW_US - SPAN * SECOND, NOW_US)) as world:
        flow = world.flow("etl")
        for name, seconds in (("b", 10), ("a", 20), ("B'", 30)):
            world.pool(name, limit=1)
            deployment = world.deployment(flow, name, pool=name)
            world.run(flow, deployment, ended_ago=0, seconds=seconds)
        found = used(world.workspace)

    assert {each.place.name: each.full for each in found} == {"a": 20, "b": 10, "B'": 30}
