"""What findings must not say: of a workspace in order, of a rhythm, of what is over or is gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module

import pytest

from prefect_exporter.report.build import build
from prefect_exporter.report.checks import CHECKS
from prefect_exporter.report.comparison import changes
from prefect_exporter.report.model import Finding, Severity
from prefect_exporter.report.question import Period
from prefect_exporter.report.sections import plan, summary
from report.healthy import plant as healthy
from report.worlds import NOW_US, WorldBuilder, workspace

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
CONNECTION = "Flow run encountered an exception: ConnectionError: no answer"
KEY = "Flow run encountered an exception: KeyError: 'amount'"
SEEDS = range(20)


def _period(days: float) -> Period:
    return Period(NOW_US - round(days * 86_400_000_000), NOW_US)


def _found(world: WorldBuilder, check: str) -> list[Finding]:
    return list(import_module(f"prefect_exporter.report.checks.{check}").check(world.workspace))


@pytest.mark.parametrize("seed", SEEDS)
def test_healthy_workspace_raises_no_alarm(seed: int) -> None:
    """Thirty deployments with noise, a rhythm and 1 % of failures: nothing above low.

    Some are looked at over four weeks, some over one that is held against the one before.
    """
    weeks = 4 if seed % 4 == 0 else 1
    compare = seed % 4 in (1, 2)
    with workspace(period=_period(7 * weeks), compare=compare) as world:
        healthy(world, seed, 7 * weeks * (2 if compare else 1))
        look = world.workspace
        found = [each for module in CHECKS for each in module.check(look)]

    assert [(each.check, each.subject) for each in found if each.severity != "low"] == []


def _busy(world: WorldBuilder, seconds: Callable[[int, int], float], days: int) -> None:
    """Plant a run an hour; *seconds* by the day of the week, Monday first, and the hour."""
    flow = world.flow("etl")
    for number in range(days * 24):
        at_us = NOW_US - round((number * HOUR + 1) * 1_000_000)
        day, hour = (at_us // 86_400_000_000 + 3) % 7, at_us % 86_400_000_000 // 3_600_000_000
        world.run(flow, ended_ago=number * HOUR + 1, seconds=seconds(day, hour) + number % 7)


@pytest.mark.parametrize(
    ("days", "seconds"),
    [
        (7, lambda day, _: 100.0 if day >= 5 else 300.0),
        (14, lambda day, _: 100.0 if day >= 5 else 300.0),
        (1, lambda _, hour: 300.0 if 6 <= hour < 18 else 100.0),
    ],
    ids=["week-without-one-before", "weekends", "nights"],
)
def test_rhythm_is_no_change(days: int, seconds: Callable[[int, int], float]) -> None:
    """Who has less to do on the weekend, or at night, is not slower on Monday morning."""
    with workspace(period=_period(min(days, 7)), compare=days > 7) as world:
        _busy(world, seconds, days)

        assert _found(world, "duration_regression") == []


def test_change_is_seen_through_the_rhythm() -> None:
    """Twice as long since Saturday, on the weekend and on working days alike."""
    with workspace(compare=True) as world:
        flow = world.flow("etl")
        for number in range(14 * 24):
            at_us = NOW_US - round((number * HOUR + 1) * 1_000_000)
            usual = 100.0 if (at_us // 86_400_000_000 + 3) % 7 >= 5 else 300.0
            slow = 2 if number < 6 * 24 else 1
            world.run(flow, ended_ago=number * HOUR + 1, seconds=usual * slow + number % 7)
        (found,) = _found(world, "duration_regression")

        assert found.evidence[0].numbers["runs_after"] == pytest.approx(6 * 24, abs=12)


def _failing(world: WorldBuilder, runs: int, failed: int) -> None:
    name = world.flow("etl")
    deployment = world.deployment(name, "often")
    for number in range(runs):
        fails = number % (runs // failed) == 3
        world.run(
            name,
            deployment,
            ended_ago=number * 160 * HOUR / runs + HOUR,
            state="Failed" if fails else "Completed",
            message=CONNECTION if fails else "",
        )


@pytest.mark.parametrize(
    ("runs", "failed", "flaky", "missing"),
    [
        (2000, 20, None, Severity.LOW),
        (1000, 40, Severity.LOW, Severity.LOW),
        (40, 6, Severity.MEDIUM, Severity.MEDIUM),
    ],
    ids=["1-percent", "4-percent", "15-percent"],
)
def test_few_failures_of_many_runs_are_no_alarm(
    runs: int, failed: int, flaky: Severity | None, missing: Severity
) -> None:
    """One of a hundred is nothing, one of twenty-five a nuisance, one of seven an alarm."""
    with workspace() as world:
        _failing(world, runs, failed)

        assert [each.severity for each in _found(world, "flow_flaky")] == [flaky] * bool(flaky)
        assert [each.severity for each in _found(world, "retries_missing")] == [missing]


def _broken(world: WorldBuilder, runs: int, *, deployed: bool, paused: bool = False) -> None:
    flow = world.flow("etl")
    deployment = world.deployment(flow, "nightly", paused=paused) if deployed else None
    for number in range(runs):
        world.run(flow, deployment, ended_ago=(number + 1) * HOUR, state="Failed", message=KEY)


@pytest.mark.parametrize(
    ("runs", "deployed", "paused", "severity"),
    [
        (3, True, False, Severity.HIGH),
        (3, True, True, Severity.LOW),
        (3, False, False, Severity.LOW),
        (30, False, False, Severity.MEDIUM),
    ],
    ids=["deployed", "paused", "by-hand", "without-deployment"],
)
def test_trials_by_hand_are_no_alarm(
    runs: int, *, deployed: bool, paused: bool, severity: Severity
) -> None:
    """Three failures of somebody's new code do not stop a pipeline; those of a deployment do."""
    with workspace() as world:
        _broken(world, runs, deployed=deployed, paused=paused)
        (found,) = _found(world, "flow_broken")

        assert found.severity is severity


def test_what_was_deleted_has_no_finding() -> None:
    """Nobody can mend a deployment that is gone; nor is there a command with its name."""
    with workspace() as world:
        _broken(world, 5, deployed=True)
        before = build(world.workspace)
        world.store.database.execute("DELETE FROM objects WHERE kind = 'ToldDeployment'")
        world.store.database.execute("DELETE FROM objects WHERE kind LIKE '%eployment%'")
        after = build(world.workspace)

        assert [each.check for each in before.findings] == ["flow-broken"]
        assert after.findings == ()


@pytest.mark.parametrize(
    ("failed", "severity"), [(3, Severity.LOW), (12, Severity.MEDIUM)], ids=["few", "many"]
)
def test_few_new_failures_are_a_hint(failed: int, severity: Severity) -> None:
    """Three failures now and none before may be luck; twelve are not."""
    with workspace(compare=True) as world:
        flow = world.flow("etl")
        for number in range(80):
            fails = number % 3 == 1 and number < 3 * failed
            world.run(
                flow,
                ended_ago=number * 4 * HOUR + 1,
                state="Failed" if fails else "Completed",
                message=KEY if fails else "",
            )
        (found,) = _found(world, "failure_new")

        assert found.severity is severity


def test_failures_rise_with_the_runs_of_all_flows_that_they_hit() -> None:
    """A group is held against the runs of every flow in it, not against those of one alone."""
    with workspace() as world:
        steady, growing = world.flow("steady"), world.flow("growing")
        for number in range(160):
            _one(world, steady, number * HOUR, fails=number % 4 == 1)
        for number in range(140):
            # All in the second half of the week, and ever more of them.
            _one(world, growing, (number / 140) ** 2 * 3.4 * DAY, fails=number % 4 == 1)

        assert _found(world, "failure_rising") == []


def _one(world: WorldBuilder, flow: object, ago: float, *, fails: bool) -> None:
    state, message = ("Failed", KEY) if fails else ("Completed", "")
    world.run(flow, ended_ago=ago + 60, state=state, message=message)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ago", "severity"),
    [(5 * DAY, Severity.MEDIUM), (3 * HOUR, Severity.HIGH)],
    ids=["over", "new"],
)
def test_outage_that_is_over_does_not_stop_a_pipeline(ago: float, severity: Severity) -> None:
    """A bad hour five days ago is worth a look; one of this morning may go on."""
    with workspace() as world:
        for place in range(6):
            flow = world.flow(f"etl-{place}")
            for number in range(30):
                world.run(flow, ended_ago=0.31 * HOUR + place * 420 + number * 5 * HOUR)
            world.run(flow, ended_ago=ago + place * 20, state="Failed", message=KEY)
        (found,) = _found(world, "failures_in_common")

        assert found.severity is severity


def test_backlog_that_is_worked_off_is_not_stuck() -> None:
    """A run that waited for hours and begins just now is pending for seconds, as its neighbours."""
    for newest, stuck in (([], 1), ([5 * HOUR], 0)):
        with workspace() as world:
            world.pool("k8s")
            flow = world.flow("etl")
            nightly = world.deployment(flow, "nightly", pool="k8s")
            for wait in newest:
                world.run(flow, nightly, ended_ago=2 * MINUTE, seconds=60, wait=wait)
            world.run(flow, nightly, ended_ago=0.0, state="Pending", wait=5 * HOUR)

            assert len(_found(world, "runs_stuck")) == stuck


def test_waiting_of_before_the_period_is_none_of_it() -> None:
    """Of a run that waits for a month a report of a week tells a week."""
    with workspace() as world:
        flow = world.flow("etl")
        deployment = world.deployment(flow, "one", limit=1)
        world.run(flow, deployment, ended_ago=30 * DAY, state="AwaitingConcurrencySlot")
        (found,) = _found(world, "concurrency_starved")

        assert found.hours == 7 * 24


def _bursts(world: WorldBuilder, **fields: object) -> None:
    """Plant four runs a night that are due a minute apart, and take ten each."""
    flow = world.flow("etl")
    deployment = world.deployment(flow, "nightly", cron="0-3 3 * * *", **fields)  # type: ignore[arg-type]
    for day in range(6):
        for place in range(4):
            ago = (day + 0.3) * DAY - place * MINUTE
            world.run(flow, deployment, ended_ago=ago, seconds=600, wait=1)


def test_burst_that_a_limit_works_off_is_no_growing_backlog() -> None:
    """Four runs at three o'clock are done by four: nothing grows until the next night."""
    with workspace() as world:
        _bursts(world, limit=1)

        assert _found(world, "schedule_denser_than_duration") == []


def _dense(world: WorldBuilder, *, apart: float = 300.0, **fields: object) -> None:
    flow = world.flow("etl")
    deployment = world.deployment(flow, "often", **fields)  # type: ignore[arg-type]
    for number in range(30):
        wait = 1.0 + number * (apart - 300.0)
        world.run(flow, deployment, ended_ago=60 + (30 - number) * apart, seconds=600, wait=wait)


_EVERY = {"cron": "*/5 * * * *", "timezone": "UTC"}


@pytest.mark.parametrize(
    "fields",
    [
        {
            "schedules": [
                {"schedule": _EVERY, "active": True, "parameters": {"shop": shop}}
                for shop in ("a", "b")
            ]
        },
        {
            "cron": "*/5 * * * *",
            "limit": 1,
            "concurrency_options": {"collision_strategy": "CANCEL_NEW"},
        },
        {"cron": "*/5 * * * *", "apart": 601.0},
    ],
    ids=["two-shops", "new-ones-are-cancelled", "its-pool-has-a-limit"],
)
def test_dense_schedules_that_are_meant(fields: dict[str, object]) -> None:
    """Runs of different work, runs that are left out, and such that never overlap."""
    with workspace() as world:
        _dense(world, **fields)  # type: ignore[arg-type]

        assert _found(world, "schedule_denser_than_duration") == []


def test_schedule_that_was_just_switched_on_has_not_missed_anything() -> None:
    """Prefect updates the schedule then, and not its deployment."""
    for updated, found in (("2026-11-20T11:59:00Z", 0), ("2026-08-20T11:59:00Z", 1)):
        with workspace() as world:
            told = {
                "id": "00000000-0000-0000-0000-00000000000a",
                "schedule": {"cron": "0 * * * *", "timezone": "UTC"},
                "active": True,
                "updated": updated,
            }
            world.deployment(world.flow("etl"), "hourly", schedules=[told])

            assert len(_found(world, "schedule_never_runs")) == found


@pytest.mark.parametrize(
    ("heard_ago", "late", "severity"),
    [
        (5 * MINUTE, False, None),
        (DAY, False, Severity.MEDIUM),
        (5 * MINUTE, True, Severity.HIGH),
    ],
    ids=["restart", "nothing-due", "due"],
)
def test_worker_that_nothing_waits_for(
    heard_ago: float, *, late: bool, severity: Severity | None
) -> None:
    """A worker that is being replaced is no alarm; a run that waits for it is."""
    with workspace() as world:
        world.pool("k8s")
        world.worker("k8s", "k8s-1", heard_ago=heard_ago)
        flow = world.flow("etl")
        nightly = world.deployment(flow, "nightly", cron="0 3 * * *", pool="k8s")
        if late:
            world.run(flow, nightly, ended_ago=4 * MINUTE, state="Late")
        found = _found(world, "work_pool_without_worker")

        assert [each.severity for each in found] == ([severity] if severity else [])


def test_paused_pool_has_missed_nothing_of_before_its_deployments() -> None:
    """A deployment of three hours ago was due three times, not for a week."""
    with workspace() as world:
        world.pool("k8s", paused=True)
        flow = world.flow("etl")
        world.deployment(flow, "hourly", cron="0 * * * *", pool="k8s", created_ago=3.5 * HOUR)
        (found,) = _found(world, "work_pool_paused_forgotten")

        assert found.evidence[0].numbers["missed"] in (3, 4)


def test_schedule_that_is_off_is_resumed_by_its_id() -> None:
    """The command is whole: nothing in it is left to fill in."""
    with workspace() as world:
        told = {
            "id": "00000000-0000-0000-0000-00000000000a",
            "schedule": {"cron": "0 * * * *", "timezone": "UTC"},
            "active": False,
        }
        world.deployment(world.flow("etl"), "hourly", schedules=[told])
        (found,) = _found(world, "deployment_paused_forgotten")

        assert found.action.change == (
            "prefect deployment schedule resume etl/hourly 00000000-0000-0000-0000-00000000000a"
        )


def test_retries_of_tasks_at_once_cost_no_more_than_the_flow() -> None:
    """Ten tasks at once that are all tried again: no more than all of its time is lost."""
    with workspace() as world:
        flow = world.flow("etl")
        for number in range(10):
            run = world.run(flow, ended_ago=number * 10 * HOUR + 1, seconds=3600)
            for _ in range(10):
                world.task(run, "load", seconds=3000, attempts=3)
        (found,) = _found(world, "retries_costly")

        assert found.title == "Retries take 100 % of the time of etl"
        assert found.hours == pytest.approx(10.0)


def test_broken_flow_is_not_to_be_tried_again() -> None:
    """What fails each time fails the next time too: retries are no mend of it."""
    with workspace() as world:
        flow = world.flow("etl")
        parents = [world.flow(f"parent-{place}") for place in range(3)]
        for number in range(9):
            parent = world.run(parents[number % 3], ended_ago=(number + 1) * HOUR)
            world.run(
                flow, ended_ago=(number + 1) * HOUR, state="Failed", message=KEY, parent=parent
            )
        (found,) = _found(world, "blast_radius")

        assert "retries=" not in found.action.change


def _told(findings: Sequence[Finding], world: WorldBuilder) -> str:
    (paragraph,) = plan.section(world.workspace, findings).paragraphs
    return paragraph


def test_plan_adds_up_what_is_saved_but_once() -> None:
    """Four findings of the same eight failures are eight failures, and their hours likewise."""
    with workspace() as world:
        world.pool("k8s")
        flow = world.flow("etl")
        nightly = world.deployment(flow, "nightly", pool="k8s")
        for number in range(48):
            fails = number % 6 == 3
            world.run(
                flow,
                nightly,
                ended_ago=number * 3 * HOUR + 1,
                seconds=HOUR,
                state="Failed" if fails else "Completed",
                message=CONNECTION if fails else "",
            )
        flaky, missing = (*_found(world, "flow_flaky"), *_found(world, "retries_missing"))

        assert flaky.failures == missing.failures == 8.0
        assert " 8 failed runs a week" in _told([flaky, missing], world)
        assert " 8 h of running" in _told([flaky, missing], world)


def test_summary_leaves_commands_to_its_table() -> None:
    """Its paragraphs name what is wrong; how to mend it stands in the table below."""
    with workspace() as world:
        _broken(world, 5, deployed=True)
        findings = _found(world, "flow_broken")
        told = summary.section(world.workspace, findings)

        assert findings[0].action.change in str(told.tables[0].rows)
        assert not any("prefect deployment run" in each for each in told.paragraphs)


def test_period_of_which_the_runs_were_deleted_is_not_compared() -> None:
    """Prefect keeps ten days: three days before cannot be held against seven."""
    with workspace(compare=True) as world:
        flow = world.flow("etl")
        for number in range(10 * 24):
            world.run(flow, ended_ago=number * HOUR + 1)
        told = summary.section(world.workspace, [])

        assert all(each.before is None for each in changes(world.workspace))
        assert any("no run is known until 2026-11-10" in each for each in told.paragraphs)
