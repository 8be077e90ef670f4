"""The checks of the performance section: what they find, what they let be, and their numbers."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from prefect_exporter.report.checks import (
    concurrency_limit_tight,
    concurrency_limit_unused,
    duration_regression,
    duration_variable,
    pool_crashes,
    queue_wait_long,
    retries_costly,
    task_dominates,
)
from prefect_exporter.report.model import Finding, Severity
from prefect_exporter.report.workspace import Workspace
from report.world import DAY, HOUR, World
from report.worlds import WorldBuilder, workspace

MODULES = (
    concurrency_limit_tight,
    concurrency_limit_unused,
    duration_regression,
    duration_variable,
    pool_crashes,
    queue_wait_long,
    retries_costly,
    task_dominates,
)

Check = Callable[[Workspace], Iterator[Finding]]


def _planted(module: ModuleType, world: World) -> list[tuple[str, str]]:
    name = module.__name__.rpartition(".")[2]
    return list(importlib.import_module(f"report.planted.{name}").plant(world))


@pytest.mark.parametrize("module", MODULES, ids=lambda each: each.__name__.rpartition(".")[2])
def test_planted_defect_is_found_once(module: ModuleType) -> None:
    """Each check finds what was planted for it, and no other check of these does."""
    with workspace() as world:
        expected = _planted(module, world)
        found = [finding for each in MODULES for finding in each.check(world.workspace)]

    own = {each.__name__.rpartition(".")[2].replace("_", "-") for each in MODULES}
    assert [pair for pair in expected if pair[0] in own] == [(f.check, f.subject) for f in found]


@pytest.mark.parametrize("module", MODULES, ids=lambda each: each.__name__.rpartition(".")[2])
def test_nothing_is_found_where_nothing_ran(module: ModuleType) -> None:
    """A workspace without a run has no finding, even with pools and limits."""
    with workspace() as world:
        world.pool("k8s", limit=100)
        world.deployment(world.flow("etl"), "nightly", pool="k8s", cron="0 3 * * *", limit=30)

        assert list(module.check(world.workspace)) == []


@pytest.mark.parametrize("module", MODULES, ids=lambda each: each.__name__.rpartition(".")[2])
def test_finding_can_be_acted_upon(module: ModuleType) -> None:
    """It belongs to its section, and says what to do, at what risk, and how to take it back."""
    with workspace() as world:
        _planted(module, world)
        (found,) = module.check(world.workspace)

    assert found.section == module.SECTION
    assert found.title
    assert found.detail
    assert all(each.text and each.numbers for each in found.evidence)
    assert all(len(each.links) <= 5 for each in found.evidence)
    assert found.evidence[0].links
    assert found.action.change
    assert found.action.risk
    assert found.action.rollback


def _found(
    check: Check, plant: Callable[[WorldBuilder], None], **question: object
) -> list[Finding]:
    with workspace(**question) as world:
        plant(world)
        return list(check(world.workspace))


def test_regression_says_what_it_measured() -> None:
    """Its numbers are those of the runs, its hours those of a week at the new speed."""
    with workspace(compare=True) as world:
        duration_regression_planted = importlib.import_module("report.planted.duration_regression")
        duration_regression_planted.plant(world)
        (found,) = duration_regression.check(world.workspace)

    numbers, task = (each.numbers for each in found.evidence)
    assert (numbers["runs_before"], numbers["runs_after"]) == (87, 17)
    assert (numbers["median_before_seconds"], numbers["median_after_seconds"]) == (62, 182)
    assert (task["task"], task["task_after_seconds"]) == ("load", 157)
    assert found.severity is Severity.MEDIUM
    # 16 runs in two days, two minutes more each; the run before was among the longest of before.
    assert found.hours == pytest.approx(16 * 120 / 3600 * 7 / 2, rel=0.01)
    assert found.owner == "data"


def test_regression_names_a_deployment_that_was_changed_then() -> None:
    """A change of the deployment between the two runs is evidence; one at another time is not."""
    texts = []
    for updated_ago in (20.5 * HOUR, 60 * HOUR):
        with workspace() as world:
            flow = world.flow("etl")
            nightly = world.deployment(flow, "nightly", updated_ago=updated_ago)
            for ago in range(40, 0, -1):
                seconds = 60.0 if ago > 20 else 120.0
                world.run(flow, nightly, ended_ago=ago * HOUR - 1, seconds=seconds)
            (found,) = duration_regression.check(world.workspace)
        texts.append([each.text for each in found.evidence if "changed at" in each.text])

    assert texts == [
        ["The deployment was changed at 2026-11-19 15:30 UTC, between these two runs."],
        [],
    ]


@pytest.mark.parametrize(
    ("usual", "long", "every"),
    [(30, 119, 10), (30, 1200, 40), (1000, 3900, 10)],
    ids=["seconds", "one-of-forty", "less-than-four-times"],
)
def test_variable_durations_that_nobody_minds(usual: float, long: float, every: int) -> None:
    """Small differences, rare ones, and those of a few times are no finding."""

    def plant(world: WorldBuilder) -> None:
        flow = world.flow("etl")
        for number in range(80):
            seconds = long if number % every == 5 else usual
            world.run(flow, ended_ago=number * 2 * HOUR + 1, seconds=seconds)

    assert _found(duration_variable.check, plant) == []


def test_one_outage_is_no_long_wait() -> None:
    """Runs that all waited in one afternoon are no lack of workers."""

    def plant(world: WorldBuilder) -> None:
        world.pool("k8s")
        flow = world.flow("etl")
        nightly = world.deployment(flow, "nightly", pool="k8s")
        for number in range(160):
            wait = 3600 if 60 <= number < 72 else 2
            world.run(flow, nightly, ended_ago=number * HOUR + 1, wait=wait)

    assert _found(queue_wait_long.check, plant) == []


@pytest.mark.parametrize("limited", ["pool", "queue", "deployment"])
def test_waiting_for_a_limit_is_no_lack_of_workers(limited: str) -> None:
    """Where the full limit explains the waiting, one more worker would not help."""
    with workspace() as world:
        world.pool("k8s", limit=1 if limited == "pool" else None)
        world.queue("k8s", "fast", limit=1 if limited == "queue" else None)
        flow = world.flow("etl")
        limit = 1 if limited == "deployment" else None
        nightly = world.deployment(flow, "nightly", pool="k8s", queue="fast", limit=limit)
        for number in range(50):
            ago = (50 - number) * 3 * HOUR
            world.run(flow, nightly, ended_ago=ago, seconds=1800, wait=1)
            world.run(flow, nightly, ended_ago=ago - 1801, seconds=1800, wait=1800)

        assert list(queue_wait_long.check(world.workspace)) == []
        (found,) = concurrency_limit_tight.check(world.workspace)
        assert found.action.change == _set_limit(limited, str(nightly))


def _set_limit(limited: str, deployment_id: str) -> str:
    return {
        "pool": "prefect work-pool set-concurrency-limit k8s 2",
        "queue": "prefect work-queue set-concurrency-limit fast 2 --pool k8s",
        "deployment": (
            f"prefect global-concurrency-limit update deployment:{deployment_id} --limit 2"
        ),
    }[limited]


def test_long_waits_without_workers_of_ours_have_another_mend() -> None:
    """A pool that a cloud serves has no worker to start."""
    changes = []
    for kind in ("process", "ecs:push"):
        with workspace() as world:
            world.pool("it's", type=kind)
            flow = world.flow("etl")
            nightly = world.deployment(flow, "nightly", pool="it's")
            for number in range(40):
                world.run(flow, nightly, ended_ago=number * 4 * HOUR + 1, wait=1000)
            (found,) = queue_wait_long.check(world.workspace)
        assert found.severity is Severity.HIGH
        assert found.hours == pytest.approx(40 * 940 / 3600)
        changes.append(found.action.change)

    assert "prefect worker start --pool 'it'\"'\"'s' --work-queue default" in changes[0]
    assert "worker start" not in changes[1]


@pytest.mark.parametrize(
    ("retried", "seconds"), [(4, 7200), (20, 60), (2, 36_000)], ids=["few", "short", "two"]
)
def test_cheap_retries_are_no_finding(retried: int, seconds: float) -> None:
    """Retries are there to be used: a few, or short ones, cost nothing worth a change."""

    def plant(world: WorldBuilder) -> None:
        flow = world.flow("etl")
        for number in range(80):
            attempts = 2 if number < retried else 1
            world.run(flow, ended_ago=number * 2 * HOUR, seconds=seconds, attempts=attempts)

    assert _found(retries_costly.check, plant) == []


def test_retries_of_a_task_are_mended_at_the_task() -> None:
    """The dearest task is named, and the hours are of its failed attempts."""

    def plant(world: WorldBuilder) -> None:
        flow = world.flow("etl")
        for number in range(10):
            run = world.run(flow, ended_ago=number * 10 * HOUR + 1, seconds=4000)
            world.task(run, "load_orders", seconds=3600, attempts=2)
            world.task(run, "load", seconds=300, attempts=2)

    (found,) = _found(retries_costly.check, plant)
    assert found.hours == pytest.approx(10 * (1800 + 150) / 3600)
    assert "@task(name='load_orders', retry_delay_seconds=" in found.action.change


@pytest.mark.parametrize(
    "tasks",
    [
        pytest.param([("only", 7000, 0)], id="one-task"),
        pytest.param([("a", 3500, 0), ("b", 3500, 3500)], id="two-alike"),
        pytest.param([("a", 5000, 0), ("b", 900, 5000), ("c", 900, 6000)], id="not-most"),
        pytest.param([("mapped", 7000, n) for n in range(20)], id="mapped-already"),
    ],
)
def test_tasks_that_do_not_stand_out(tasks: list[tuple[str, float, float]]) -> None:
    """A flow of one task, of equal ones, or one that runs its tasks at once, has no finding."""

    def plant(world: WorldBuilder) -> None:
        flow = world.flow("etl")
        for day in range(6):
            run = world.run(flow, ended_ago=(day + 0.5) * DAY, seconds=7200)
            for name, seconds, after in tasks:
                world.task(run, name, seconds=seconds, after=after)

    assert _found(task_dominates.check, plant) == []


def test_loop_is_told_with_what_it_would_save() -> None:
    """Its hours are three quarters of the loop's, of all runs and not of those that were read."""

    def plant(world: WorldBuilder) -> None:
        flow = world.flow("etl")
        for day in range(6):
            run = world.run(flow, ended_ago=(day + 0.5) * DAY, seconds=7200)
            for number in range(10):
                world.task(run, "load", seconds=600, after=number * 700)
        world.run(flow, ended_ago=0.2 * DAY, seconds=7200)  # its tasks were not read

    (found,) = _found(task_dominates.check, plant)
    assert found.evidence[0].numbers["share"] == pytest.approx(6000 / 7200, abs=0.001)
    assert found.hours == pytest.approx(7 * 6000 / 3600 * 0.75)


def test_single_task_that_takes_nearly_all_is_told() -> None:
    """Nine tenths of a dear flow in one of four tasks: the others need not be looked at."""

    def plant(world: WorldBuilder) -> None:
        flow = world.flow("etl")
        for day in range(6):
            run = world.run(flow, ended_ago=(day + 0.5) * DAY, seconds=7200)
            world.task(run, "train model", seconds=6600, after=300)
            for name in ("a", "b", "c"):
                world.task(run, name, seconds=90)

    (found,) = _found(task_dominates.check, plant)
    assert found.title == "The task train model takes 92 % of the time of etl"
    assert found.hours is None


def test_limit_that_is_full_but_holds_nobody_up() -> None:
    """Always full and nobody waits: the limit is just right."""

    def plant(world: WorldBuilder) -> None:
        world.pool("k8s", limit=1)
        flow = world.flow("etl")
        nightly = world.deployment(flow, "nightly", pool="k8s")
        for number in range(100):
            world.run(flow, nightly, ended_ago=number * HOUR, seconds=3590, wait=1)

    assert _found(concurrency_limit_tight.check, plant) == []


@pytest.mark.parametrize(
    ("limit", "runs", "question"),
    [(19, 60, {}), (100, 49, {}), (100, 60, {"tags": ("a",)})],
    ids=["small", "few-runs", "narrowed"],
)
def test_limits_of_which_too_little_is_known(
    limit: int, runs: int, question: dict[str, object]
) -> None:
    """Small limits are cheap; of few runs, or of some of them only, nothing is said."""

    def plant(world: WorldBuilder) -> None:
        world.pool("k8s", limit=limit)
        flow = world.flow("etl")
        nightly = world.deployment(flow, "nightly", pool="k8s")
        for number in range(runs):
            world.run(flow, nightly, ended_ago=number * 2 * HOUR)

    assert _found(concurrency_limit_unused.check, plant, **question) == []


def _crashing(world: World, crashes: tuple[int, int], others: int) -> None:
    """Plant 60 runs of two deployments in one pool, and 60 in another."""
    for pool, crashed in (("bad", crashes), ("good", (others, 0))):
        world.pool(pool)
        flow = world.flow(pool)
        for name, number in zip(("one", "two"), crashed, strict=True):
            deployment = world.deployment(flow, name, pool=pool)
            for run in range(30):
                state = "Crashed" if run < number else "Completed"
                world.run(flow, deployment, ended_ago=run * HOUR + 1, state=state)


@pytest.mark.parametrize(
    ("crashes", "others"),
    [((2, 2), 0), ((12, 0), 0), ((9, 1), 0), ((6, 6), 5), ((4, 4), 1)],
    ids=["few", "one-deployment", "nearly-one", "elsewhere-too", "by-chance"],
)
def test_crashes_that_are_not_the_pools(crashes: tuple[int, int], others: int) -> None:
    """Few crashes, those of one deployment, and as many elsewhere say nothing of the pool."""
    assert _found(pool_crashes.check, lambda world: _crashing(world, crashes, others)) == []


def test_crashes_of_the_pool_are_compared_with_the_others() -> None:
    """The numbers say how many, in how many deployments, and how probable chance is."""
    (found,) = _found(pool_crashes.check, lambda world: _crashing(world, (6, 6), 1))

    numbers = found.evidence[0].numbers
    assert (numbers["crashed"], numbers["runs"], numbers["deployments"]) == (12, 60, 2)
    assert numbers["rate_elsewhere"] == pytest.approx(1 / 60, abs=0.001)
    assert numbers["p"] == pytest.approx(2 * 14 / 2**13)
    assert found.severity is Severity.HIGH
    assert found.failures == 12


def test_single_pool_has_nothing_to_be_compared_with() -> None:
    """Without other pools there is no telling whether it is the pool."""

    def plant(world: WorldBuilder) -> None:
        world.pool("only")
        for name in ("one", "two"):
            flow = world.flow(name)
            deployment = world.deployment(flow, name, pool="only")
            for run in range(30):
                state = "Crashed" if run % 2 else "Completed"
                world.run(flow, deployment, ended_ago=run * HOUR + 1, state=state)

    assert _found(pool_crashes.check, plant) == []
