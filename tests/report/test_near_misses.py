"""What looks like a defect of the sections failures and risks, and is none."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import pytest

from report.worlds import WorldBuilder, workspace

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
CONNECTION = "Flow run encountered an exception: ConnectionError: no answer"
KEY = "Flow run encountered an exception: KeyError: 'amount'"

Plant = Callable[[WorldBuilder], None]
NEAR: dict[str, tuple[str, Plant]] = {}


def near(check: str) -> Callable[[Plant], Plant]:
    """Hold a near miss against a check; its docstring says why it is none."""

    def hold(plant: Plant) -> Plant:
        NEAR[f"{check}: {plant.__name__.replace('_', ' ')}"] = (check, plant)
        return plant

    return hold


@near("flow_flaky")
@near("flow_broken")
def one_incident_that_is_over(world: WorldBuilder) -> None:
    """Six failures in a row, then successes: neither broken nor flaky."""
    flow = world.flow("etl")
    for number in range(30):
        state = "Failed" if 10 <= number < 16 else "Completed"
        world.run(flow, ended_ago=(number + 1) * HOUR, state=state)


@near("flow_broken")
def cancelled_runs_at_the_end(world: WorldBuilder) -> None:
    """Somebody cancelled the last ones: that is no failure."""
    flow = world.flow("etl")
    for number in range(30):
        state = "Cancelled" if number < 6 else "Completed"
        world.run(flow, ended_ago=(number + 1) * HOUR, state=state)


@near("retries_mask_failures")
def few_retries_of_many_runs(world: WorldBuilder) -> None:
    """Five of a hundred: retries do what they are for."""
    flow = world.flow("etl")
    for number in range(100):
        world.run(flow, ended_ago=(number + 1) * HOUR, attempts=2 if number % 20 == 0 else 1)


@near("failure_new")
def failures_of_a_flow_that_is_new(world: WorldBuilder) -> None:
    """All that a new flow does is new."""
    flow = world.flow("etl")
    for number in range(20):
        failed = 8 <= number < 12
        world.run(
            flow,
            ended_ago=(number + 1) * 8 * HOUR,
            state="Failed" if failed else "Completed",
            message=KEY if failed else "",
        )


@near("failure_new")
def failures_that_the_period_before_had(world: WorldBuilder) -> None:
    """The same error, with another number in its message, and read with its traceback only now."""
    flow = world.flow("etl")
    text = "Flow run encountered an exception: TimeoutError: no answer in {} s"
    for number in range(40):
        failed = number in (8, 9, 10, 30, 31)
        run = world.run(
            flow,
            ended_ago=(number + 1) * 8 * HOUR,
            state="Failed" if failed else "Completed",
            message=text.format(number) if failed else "",
        )
        if number in (8, 9, 10):
            world.log(
                run,
                "Encountered exception during execution: TimeoutError('no answer in 8 s')\n"
                "Traceback (most recent call last):\n"
                '  File "/srv/etl.py", line 3, in etl\n    load()\n'
                f"TimeoutError: no answer in {number} s\n",
            )


@near("failure_rising")
def failures_that_rise_with_the_runs(world: WorldBuilder) -> None:
    """Every tenth run fails all the time, but there are ever more runs."""
    flow = world.flow("etl")
    for number in range(240):
        ago = (number / 240) ** 2 * 6.8 * DAY + HOUR
        failed = number % 10 == 5
        world.run(
            flow,
            ended_ago=ago,
            state="Failed" if failed else "Completed",
            message=KEY if failed else "",
        )


@near("failure_rising")
def steady_failures(world: WorldBuilder) -> None:
    """As many in each part of the week."""
    flow = world.flow("etl")
    for number in range(160):
        failed = number % 6 == 5
        world.run(
            flow,
            ended_ago=(number + 1) * HOUR,
            state="Failed" if failed else "Completed",
            message=KEY if failed else "",
        )


@near("failure_rising")
def one_incident_in_the_second_half(world: WorldBuilder) -> None:
    """Ten failures of one afternoon are no trend."""
    flow = world.flow("etl")
    for number in range(160):
        failed = 20 <= number < 30
        world.run(
            flow,
            ended_ago=(number + 1) * HOUR,
            state="Failed" if failed else "Completed",
            message=KEY if failed else "",
        )


@near("failure_new")
@near("failure_rising")
@near("retries_missing")
def flow_that_is_broken(world: WorldBuilder) -> None:
    """It fails in each run since, which is said once, by another check."""
    flow = world.flow("etl")
    for number in range(80):
        failed = number < 18 or number in (30, 40)
        world.run(
            flow,
            ended_ago=(number + 1) * 4 * HOUR,
            state="Failed" if failed else "Completed",
            message=CONNECTION if failed else "",
        )


@near("retries_missing")
def flow_that_ran_into_its_own_time_limit(world: WorldBuilder) -> None:
    """It would take as long the second time."""
    flow = world.flow("etl")
    for number in range(30):
        failed = number in (9, 10, 19, 20)
        world.run(
            flow, ended_ago=(number + 1) * 4 * HOUR, state="TimedOut" if failed else "Completed"
        )


@near("retries_missing")
def service_that_does_not_come_back(world: WorldBuilder) -> None:
    """No run has succeeded after one of the failures: a retry might not have helped."""
    flow = world.flow("etl")
    world.run(flow, ended_ago=8 * HOUR)
    for number in range(3):
        world.run(flow, ended_ago=(number + 1) * HOUR, state="Failed", message=CONNECTION)


def _transient(world: WorldBuilder, *, message: str = CONNECTION, retries: int = 0) -> None:
    flow = world.flow("etl")
    for number in range(30):
        failed = number in (9, 10, 19, 20)
        world.run(
            flow,
            ended_ago=(number + 1) * 4 * HOUR,
            state="Failed" if failed else "Completed",
            message=message if failed else "",
            retries=retries,
        )


@near("retries_missing")
def flow_that_is_tried_again(world: WorldBuilder) -> None:
    """It has retries: they did not help."""
    _transient(world, retries=2)


@near("retries_missing")
def flow_whose_retries_nobody_knows(world: WorldBuilder) -> None:
    """An older Prefect does not tell: nothing is said."""
    _transient(world, retries=-1)


@near("retries_missing")
def failures_that_a_retry_repeats(world: WorldBuilder) -> None:
    """A missing key is missing the second time as well."""
    _transient(world, message=KEY)


@near("retries_missing")
def task_that_is_tried_again(world: WorldBuilder) -> None:
    """The flow has no retries, but the task that failed has had its own."""
    flow = world.flow("etl")
    for number in range(30):
        failed = number in (9, 10, 19, 20)
        run = world.run(
            flow,
            ended_ago=(number + 1) * 4 * HOUR,
            state="Failed" if failed else "Completed",
            message=CONNECTION if failed else "",
        )
        world.task(run, "fetch", state="Failed" if failed else "Completed", retries=3, attempts=4)


@near("runs_without_limit")
def long_run_that_was_stopped(world: WorldBuilder) -> None:
    """Its time limit or somebody ended it."""
    flow = world.flow("etl")
    for number in range(30):
        world.run(flow, ended_ago=(number + 1) * HOUR, seconds=60)
    world.run(flow, ended_ago=40 * HOUR, seconds=7200, state="TimedOut")
    world.run(flow, ended_ago=50 * HOUR, seconds=7200, state="Cancelled")


@near("runs_without_limit")
def flow_that_varies(world: WorldBuilder) -> None:
    """Nine times as long as usual is a large day."""
    flow = world.flow("etl")
    for number in range(30):
        world.run(flow, ended_ago=(number + 1) * HOUR, seconds=5400 if number == 7 else 600)


@near("owner_missing")
def owners_are_no_custom(world: WorldBuilder) -> None:
    """One of five deployments names somebody."""
    flow = world.flow("etl")
    for number in range(5):
        tags = ["team:payments"] if number == 0 else []
        deployment = world.deployment(flow, f"of-{number}", tags=tags)
        world.run(flow, deployment, ended_ago=HOUR)


@near("owner_missing")
def flow_names_the_owner(world: WorldBuilder) -> None:
    """A deployment without a tag is its flow's owner's."""
    flow = world.flow("etl", tags=["team:payments"])
    for number in range(5):
        world.run(flow, world.deployment(flow, f"of-{number}"), ended_ago=HOUR)


@near("owner_missing")
def deployment_that_nobody_uses(world: WorldBuilder) -> None:
    """What neither runs nor is due is another check's."""
    flow = world.flow("etl")
    used = world.deployment(flow, "used", tags=["team:payments"])
    world.run(flow, used, ended_ago=HOUR)
    world.deployment(flow, "unused")


def _dense(world: WorldBuilder, seconds: float, **fields: object) -> None:
    flow = world.flow("etl")
    deployment = world.deployment(flow, "often", **({"cron": "*/5 * * * *"} | fields))  # type: ignore[arg-type]  # a test's own
    for number in range(30):
        world.run(flow, deployment, ended_ago=60 + number * 300, seconds=seconds)


@near("schedule_denser_than_duration")
def runs_that_end_in_time(world: WorldBuilder) -> None:
    """Four minutes of five."""
    _dense(world, 240)


@near("schedule_denser_than_duration")
def limit_that_suffices(world: WorldBuilder) -> None:
    """Two at once keep up, three may run."""
    _dense(world, 600, limit=3)


@near("schedule_denser_than_duration")
def schedule_that_is_switched_off(world: WorldBuilder) -> None:
    """It is not due any more."""
    _dense(world, 600, schedule_active=False)


@near("late_chronic")
def one_bad_night(world: WorldBuilder) -> None:
    """A third of the runs were late, all on one day."""
    flow = world.flow("etl")
    deployment = world.deployment(flow, "often")
    for number in range(39):
        late = 13 <= number < 26
        world.run(flow, deployment, ended_ago=(number + 1) * 4 * HOUR, wait=3600 if late else 1)


@near("late_chronic")
def runs_that_somebody_starts(world: WorldBuilder) -> None:
    """A run by hand is due when it is made, whatever its wait was."""
    flow = world.flow("etl")
    deployment = world.deployment(flow, "often")
    for number in range(39):
        world.run(
            flow,
            deployment,
            ended_ago=(number + 1) * 4 * HOUR,
            wait=3600,
            creator=("USER", "ada"),
        )


@near("schedule_never_runs")
def deployment_of_an_hour_ago(world: WorldBuilder) -> None:
    """It was due but once since it is there."""
    world.deployment(world.flow("etl"), "hourly", cron="0 * * * *", created_ago=HOUR)


@near("schedule_never_runs")
def schedule_that_was_changed_today(world: WorldBuilder) -> None:
    """What it was before nobody knows."""
    flow = world.flow("etl")
    world.deployment(flow, "daily", cron="0 3 * * *", updated_ago=DAY)


@near("schedule_never_runs")
def runs_that_are_only_late(world: WorldBuilder) -> None:
    """The scheduler has made them: the pool is another check's."""
    flow = world.flow("etl")
    deployment = world.deployment(flow, "hourly", cron="0 * * * *")
    world.run(flow, deployment, ended_ago=2 * HOUR, state="Late")


@near("schedule_never_runs")
def paused_deployment(world: WorldBuilder) -> None:
    """Nothing is made for it, as it ought to be."""
    world.deployment(world.flow("etl"), "hourly", cron="0 * * * *", paused=True)


@near("schedule_never_runs")
def weekly_schedule(world: WorldBuilder) -> None:
    """It was due once in the period."""
    world.deployment(world.flow("etl"), "weekly", cron="0 3 * * 1")


def _pool(world: WorldBuilder, **fields: object) -> None:
    world.pool("k8s", **fields)  # type: ignore[arg-type]  # a test's own
    flow = world.flow("etl")
    world.deployment(flow, "nightly", cron="0 3 * * *", pool="k8s")


@near("work_pool_without_worker")
def pool_with_a_worker(world: WorldBuilder) -> None:
    """One of two is online."""
    _pool(world)
    world.worker("k8s", "gone", heard_ago=DAY)
    world.worker("k8s", "here")


@near("work_pool_without_worker")
def pool_that_a_cloud_serves(world: WorldBuilder) -> None:
    """Push pools need no worker."""
    _pool(world, type="ecs:push")


@near("work_pool_without_worker")
def managed_pool(world: WorldBuilder) -> None:
    """Nor do managed ones."""
    _pool(world, type="prefect:managed")


@near("work_pool_without_worker")
def pool_that_is_paused(world: WorldBuilder) -> None:
    """Somebody has stopped it: another check says so if it was forgotten."""
    _pool(world, paused=True)


@near("work_pool_without_worker")
def pool_without_work(world: WorldBuilder) -> None:
    """Nothing is due in it."""
    world.pool("spare")


@near("work_pool_without_worker")
def workers_that_this_key_may_not_read(world: WorldBuilder) -> None:
    """What could not be read is not missing."""
    _pool(world)
    world.server(**{"work_pools/workers": "403"})


@near("concurrency_starved")
def short_wait_for_a_slot(world: WorldBuilder) -> None:
    """Ten minutes are what a limit is for."""
    flow = world.flow("etl")
    deployment = world.deployment(flow, "one", limit=1)
    world.run(flow, deployment, ended_ago=10 * MINUTE, state="AwaitingConcurrencySlot")


@near("parameters_large")
def parameters_of_half_the_limit(world: WorldBuilder) -> None:
    """There is room for as much again."""
    flow = world.flow("etl")
    world.run(flow, ended_ago=HOUR, parameters={"rows": "x" * 262_144})


@near("runs_stuck")
def long_run_of_a_long_flow(world: WorldBuilder) -> None:
    """Its runs take an hour, this one takes five."""
    flow = world.flow("etl")
    for number in range(12):
        world.run(flow, ended_ago=(number + 6) * 2 * HOUR, seconds=3600)
    world.run(flow, ended_ago=5 * HOUR, state="Running")


@near("runs_stuck")
def service_that_runs_for_days(world: WorldBuilder) -> None:
    """A flow of which no run ends has no usual duration."""
    world.run(world.flow("listener"), ended_ago=4 * DAY, state="Running")


@near("runs_stuck")
def run_that_waits_for_a_person(world: WorldBuilder) -> None:
    """It is paused, for as long as it takes."""
    flow = world.flow("etl")
    for number in range(12):
        world.run(flow, ended_ago=(number + 6) * 2 * HOUR, seconds=60)
    world.run(flow, ended_ago=2 * DAY, state="Paused")
    world.run(flow, ended_ago=2 * DAY, state="Suspended")


@near("cache_stopped_hitting")
def cache_that_expires_each_week(world: WorldBuilder) -> None:
    """It hits now and then, also of late."""
    flow = world.flow("etl")
    for number in range(48):
        run = world.run(flow, ended_ago=(number + 1) * 3 * HOUR)
        cached = number >= 30 or number == 4
        world.task(run, "load", state="Cached" if cached else "Completed")


@near("cache_stopped_hitting")
def cache_that_hardly_ever_hit(world: WorldBuilder) -> None:
    """Seven hits of a hundred, then two dozen runs without: that may be chance."""
    flow = world.flow("etl")
    for number in range(140):
        run = world.run(flow, ended_ago=(number + 1) * HOUR)
        world.task(run, "load", state="Cached" if number % 17 == 8 and number > 8 else "Completed")


@pytest.mark.parametrize("case", sorted(NEAR))
def test_near_miss_is_no_finding(case: str) -> None:
    """What only looks like a defect is not called one."""
    check, plant = NEAR[case]
    with workspace(compare=True) as world:
        plant(world)
        module = import_module(f"prefect_exporter.report.checks.{check}")

        assert list(module.check(world.workspace)) == []
