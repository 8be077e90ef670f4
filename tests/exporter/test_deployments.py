"""Deployments: what is shown of them, whose they are, when they are due, how they ended last."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from fakes import START_US, FakePrefect, after_seconds
from prefect_exporter.api import Api, Page
from prefect_exporter.collectors import build
from prefect_exporter.collectors.base import Collector, Context
from prefect_exporter.collectors.deployment_history import DeploymentHistoryCollector
from prefect_exporter.collectors.deployment_schedules import DeploymentScheduleCollector
from prefect_exporter.collectors.deployments import DeploymentCollector
from prefect_exporter.collectors.flow_runs import FINISHED, FlowRunCollector
from prefect_exporter.errors import Unreachable, Waiting
from prefect_exporter.metrics import Labels
from prefect_exporter.moments import HOUR, SECOND
from prefect_exporter.wire import ConcurrencyLimit, Deployment, Schedule, Timing
from worlds import (
    FLOW,
    collecting,
    counts,
    deployment,
    deployment_id,
    ended,
    poll,
    prefect_of,
    put,
)

DAY_SECONDS = 86_400
DAILY: dict[str, Any] = {"deployment_id": deployment_id(1)}
NOON = START_US / SECOND


def samples(collector: Collector[Any], state: object) -> dict[str, dict[Labels, float]]:
    """Return what a collector shows, by metric and labels."""
    return {family.name: dict(family.read(state)) for family in collector.families}


def shown(context: Context) -> dict[str, dict[Labels, float]]:
    """List the deployments, and return what is shown of them."""
    collector = DeploymentCollector(context.settings)
    return samples(collector, poll(collector, context))


@pytest.fixture(name="prefect")
def _prefect() -> FakePrefect:
    return prefect_of()


@pytest.fixture(name="context")
def _context(tmp_path: Path, prefect: FakePrefect) -> Iterator[Context]:
    with collecting(tmp_path, prefect) as context:
        yield context


def test_deployment_is_shown_whole(context: Context, prefect: FakePrefect) -> None:
    """Each property of a deployment has a sample, and what it does not have has none."""
    rare = Schedule(Timing(cron="0 0 * * 0"), active=False)
    daily = Schedule(Timing(cron="0 9 * * *"))
    put(
        prefect,
        deployment(
            1,
            "daily",
            paused=True,
            status="NOT_READY",
            schedules=[daily, rare],
            work_pool_name="k8s",
            work_queue_name="default",
            tags=["slo:fresh=2h", "slo:success=99%", "slo:delay=never"],
            global_concurrency_limit=ConcurrencyLimit("deployment:x", 3, 0.0),
        ),
        deployment(2, "odd", status="ASLEEP"),
    )
    told = shown(context)
    one, two = ("etl", "daily"), ("etl", "odd")

    assert {(*one, "k8s", "default"): 1.0, (*two, "", ""): 1.0} == told["prefect_deployment_info"]
    assert {one: 1.0, two: 0.0} == told["prefect_deployment_paused"]
    assert {one: 3.0} == told["prefect_deployment_concurrency_limit"]
    assert {one: 2.0, two: 0.0} == told["prefect_deployment_schedules"]
    assert {one: 1.0, two: 0.0} == told["prefect_deployment_schedules_active"]
    assert {
        (*one, "fresh"): 7200.0,
        (*one, "success"): 0.99,
    } == told["prefect_deployment_objective"]
    assert {(): 1.0} == told["prefect_exporter_bad_objectives"]
    assert {
        (*one, "READY"): 0.0,
        (*one, "NOT_READY"): 1.0,
        (*two, "READY"): 0.0,
        (*two, "NOT_READY"): 0.0,
        (*two, "other"): 1.0,
    } == told["prefect_deployment_status"]


def test_owner_is_the_deployments_else_its_flows(tmp_path: Path, prefect: FakePrefect) -> None:
    """A deployment's own tag wins over its flow's, and who has neither has an empty label."""
    prefect.flow_tags[FLOW] = ["team:data", "tier=2"]
    put(prefect, deployment(1, "own", tags=["team=core"]), deployment(2, "flows"))
    with collecting(tmp_path, prefect, TAG_LABELS="team,tier,cost-center") as context:
        collector = DeploymentCollector(context.settings)
        state = poll(collector, context)
        info = next(each for each in collector.families if each.name == "prefect_deployment_info")
        owners = {labels[1]: labels[4:] for labels, _ in info.read(state)}

    assert ("label_team", "label_tier", "label_cost_center") == info.labels[4:]
    assert {"own": ("core", "2", ""), "flows": ("data", "2", "")} == owners


def test_new_tag_splits_no_counter(tmp_path: Path, prefect: FakePrefect) -> None:
    """Another owner is another info series, also where the flow's tag changed; no other series."""
    put(prefect, deployment(1, "daily"), ended(1, -5, **DAILY))
    with collecting(tmp_path, prefect, TAG_LABELS="team") as context:
        infos, series = [], []
        for number, team in enumerate(("data", "core")):
            prefect.flow_tags[FLOW] = [f"team:{team}"]
            poll(FlowRunCollector(context.settings), context)
            infos.append(shown(context)["prefect_deployment_info"])
            put(prefect, ended(10 + number, 5 + number, **DAILY))
            poll(FlowRunCollector(context.settings), context)
            series.append(set(counts(context, "prefect_flow_runs_finished_total")))

    assert [["data"], ["core"]] == [[labels[-1] for labels in info] for info in infos]
    assert series[0] == series[1]


def test_folded_deployments_have_no_info(tmp_path: Path, prefect: FakePrefect) -> None:
    """Beyond the limit of names a deployment is counted as folded, and shown nowhere."""
    put(prefect, deployment(1, "a"), deployment(2, "b"))
    with collecting(tmp_path, prefect, MAX_DEPLOYMENTS="30") as context:
        first = poll(DeploymentCollector(context.settings), context)
        put(prefect, *(deployment(number, f"c{number:02}") for number in range(3, 33)))
        collector = DeploymentCollector(context.settings)
        state = poll(collector, context, first)
        info = samples(collector, state)["prefect_deployment_info"]

    assert (30, 2) == (len(info), state.folded)
    assert not any("other" in labels for labels in info)


def test_only_what_is_selected_is_shown_and_seeded(tmp_path: Path, prefect: FakePrefect) -> None:
    """A deployment that a pattern leaves out has no series, and its runs' history is not asked."""
    put(
        prefect,
        deployment(1, "daily"),
        deployment(2, "daily-test"),
        deployment(3, "elsewhere", work_pool_name="gpu"),
    )
    with collecting(tmp_path, prefect, DEPLOYMENTS="!*-test", WORK_POOLS="!gpu") as context:
        told = shown(context)
        seeded = {labels[1] for labels in counts(context, "prefect_flow_run_retries_total")}
        roster = set(context.directory.roster)

    assert {("etl", "daily")} == set(told["prefect_deployment_paused"]) == roster
    assert {"daily"} == seeded
    assert {(): 1.0} == told["prefect_deployments"]


class Stuck(FakePrefect):
    """A Prefect that gives its first page for ever."""

    async def deployment_page(self, offset: int, limit: int) -> Page[Deployment]:
        """Return the first page."""
        return await FakePrefect.deployment_page(self, 0, limit)


def test_listing_that_is_not_whole_keeps_the_rest(context: Context, prefect: FakePrefect) -> None:
    """What a listing did not reach stays as it was; a whole one lets go of what is gone."""
    put(prefect, *(deployment(number, f"d{number:02}") for number in range(30)))
    first = shown(context)["prefect_deployment_paused"]
    stuck = Stuck(flow_names=prefect.flow_names, deployment_rows=prefect.deployment_rows)
    second = shown(replace(context, api=cast("Api", stuck)))["prefect_deployment_paused"]
    del prefect.deployment_rows[deployment_id(29)]
    third = shown(context)["prefect_deployment_paused"]

    assert (30, 30, 29) == (len(first), len(second), len(third))


class Shuffling(FakePrefect):
    """Gives a row of the first page again in place of another one, as PostgreSQL may."""

    async def deployment_page(self, offset: int, limit: int) -> Page[Deployment]:
        """Return a page."""
        page = await FakePrefect.deployment_page(self, offset, limit)
        last = await FakePrefect.deployment_page(self, 0, 1)
        return replace(page, rows=[*last.rows, *page.rows[1:]]) if offset else page


def test_what_a_shuffled_listing_hides_is_not_gone(tmp_path: Path, prefect: FakePrefect) -> None:
    """A listing that shows a deployment twice lets go of none that it did not show."""
    put(prefect, *(deployment(number, f"d{number:02}") for number in range(30)))
    shuffling = Shuffling(flow_names=prefect.flow_names, deployment_rows=prefect.deployment_rows)
    with collecting(tmp_path, prefect, RETIRE_AFTER="1h") as context:
        before = shown(context), counts(context, FINISHED.name)
        for _ in range(2):
            prefect.now_us += 2 * HOUR
            after = shown(replace(context, api=cast("Api", shuffling)))
        counted = counts(context, FINISHED.name)

    missed = before[0]["prefect_deployment_info"].keys() - after["prefect_deployment_info"].keys()
    assert set() == missed
    assert before[1] == counted


def test_deployment_that_is_made_anew_is_one_series(context: Context, prefect: FakePrefect) -> None:
    """Two ids under one name, the old one not yet missed, make no series twice."""
    put(prefect, deployment(1, "daily", paused=True))
    shown(context)
    prefect.deployment_rows.clear()
    put(prefect, deployment(2, "daily"))
    collector = DeploymentCollector(context.settings)
    state = poll(collector, context)

    assert [("etl", "daily")] == [each.name for each in state.listed]
    assert [deployment_id(2)] == [each.id for each in state.listed]


def test_refused_objectives_are_told_when_they_change(
    context: Context, prefect: FakePrefect
) -> None:
    """A bad tag is worth one line that names it, until there is another; of many, five."""
    collector, state, told = DeploymentCollector(context.settings), None, []
    long = "slo:fresh=" + "x" * 500
    worlds: list[list[str]] = [["slo:fresh=soon"], ["slo:fresh=soon"], [], [long]]
    for tags in [*worlds, [f"slo:odd={number}" for number in range(9)]]:
        put(prefect, deployment(1, "daily", tags=tags))
        with capture_logs() as logs:
            state = poll(collector, context, state)
        told.append([(each["number"], each["first"]) for each in logs])

    assert [(1, [["etl", "daily", "slo:fresh=soon"]])] == told[0]
    assert [[], []] == told[1:3]
    assert [128] == [len(tag) for _, first in told[3] for _, _, tag in first]
    assert [(9, 5)] == [(number, len(first)) for number, first in told[4]]


# When deployments are due


def test_nothing_is_told_of_deployments_that_were_not_listed(
    context: Context, prefect: FakePrefect
) -> None:
    """Without a listing neither schedules nor history are known: both wait."""
    put(prefect, deployment(1, "daily"))
    poll(FlowRunCollector(context.settings), context)
    waiting: list[Collector[Any]] = [
        DeploymentScheduleCollector(context.settings),
        DeploymentHistoryCollector(context.settings),
    ]
    for collector in waiting:
        with pytest.raises(Waiting):
            poll(collector, context)
    poll(DeploymentCollector(context.settings), context)

    assert [False, False] == [poll(collector, context).truncated for collector in waiting]


def test_without_listings_nobody_waits_for_them(tmp_path: Path) -> None:
    """Who switches off the listing switches off what is told from it."""
    with collecting(tmp_path, prefect_of(), COLLECTORS="deployments=off") as context:
        names = {each.name for each in build(context.settings)}

    assert not [name for name in names if name.startswith("deployment")]


def due_of(context: Context, previous: Any = None) -> tuple[Any, dict[str, dict[Labels, float]]]:  # noqa: ANN401  # the collector's own state
    """List the deployments, and return when they are due."""
    poll(DeploymentCollector(context.settings), context)
    collector = DeploymentScheduleCollector(context.settings)
    state = poll(collector, context, previous)
    return state, samples(collector, state)


def cron(text: str, *, active: bool = True) -> Schedule:
    """Return a schedule."""
    return Schedule(Timing(cron=text, timezone="UTC"), active=active)


INTERVAL = "prefect_deployment_schedule_interval_seconds"
NEXT = "prefect_deployment_next_run_timestamp_seconds"
PREVIOUS = "prefect_deployment_previous_expected_run_timestamp_seconds"


def test_due_times_of_all_schedules_together(context: Context, prefect: FakePrefect) -> None:
    """Two active schedules are one; inactive ones, paused deployments and bad texts are not due."""
    put(
        prefect,
        deployment(1, "twice", schedules=[cron("0 6 * * *"), cron("0 18 * * *")]),
        deployment(2, "half", schedules=[cron("0 6 * * *"), cron("0 18 * * *", active=False)]),
        deployment(3, "paused", paused=True, schedules=[cron("0 6 * * *")]),
        deployment(4, "bad", schedules=[cron("at noon")]),
        deployment(5, "none"),
    )
    asked = len(prefect.asked)
    _, told = due_of(context)
    listing = {"deployments/filter", "flows/filter"}

    assert {("etl", "twice"): 43_200.0, ("etl", "half"): 86_400.0} == told[INTERVAL]
    assert {
        ("etl", "twice"): NOON + 6 * 3600,
        ("etl", "half"): NOON + 18 * 3600,
    } == told[NEXT]
    assert {
        ("etl", "twice"): NOON - 6 * 3600,
        ("etl", "half"): NOON - 6 * 3600,
    } == told[PREVIOUS]
    assert listing == set(prefect.asked[asked:])


def test_nothing_was_due_before_a_deployment_was_there(
    context: Context, prefect: FakePrefect
) -> None:
    """A new deployment has a next time and an interval, but missed no run."""
    new = deployment(1, "new", created=after_seconds(-60), schedules=[cron("0 6 * * *")])
    put(prefect, new)
    _, told = due_of(context)

    assert ({("etl", "new"): 86_400.0}, {}) == (told[INTERVAL], told[PREVIOUS])
    assert {("etl", "new"): NOON + 18 * 3600} == told[NEXT]


@pytest.mark.parametrize("idle", [{"paused": True}, {"schedules": []}])
def test_nothing_was_due_while_a_deployment_was_paused(
    context: Context, prefect: FakePrefect, idle: dict[str, Any]
) -> None:
    """One that is resumed missed none of the runs that its pause kept from being made."""
    daily = [cron("0 11 * * *")]
    prefect.now_us -= 2 * HOUR
    put(prefect, deployment(1, "daily", **{"schedules": daily} | idle))
    state, _ = due_of(context)
    prefect.now_us = START_US
    state, _ = due_of(context, state)
    put(prefect, deployment(1, "daily", schedules=daily))
    state, resumed = due_of(context, state)
    prefect.now_us += 24 * HOUR
    _, later = due_of(context, state)

    assert ({}, {("etl", "daily"): NOON + 23 * 3600}) == (resumed[PREVIOUS], resumed[NEXT])
    assert {("etl", "daily"): NOON + 23 * 3600} == later[PREVIOUS]


def test_times_move_on_when_they_have_come(context: Context, prefect: FakePrefect) -> None:
    """At a schedule's time that time is the previous one; a clock set back takes it back."""
    put(prefect, deployment(1, "hourly", schedules=[cron("0 * * * *")]))
    state, told = due_of(context)
    times = [told[PREVIOUS]["etl", "hourly"]]
    for hours in (1, 0):
        prefect.now_us = START_US + hours * HOUR
        state, told = due_of(context, state)
        times.append(told[PREVIOUS]["etl", "hourly"])

    assert [NOON, NOON + 3600, NOON] == times


def test_thousand_deployments_cost_little(context: Context, prefect: FakePrefect) -> None:
    """While nothing comes due, a poll reckons nothing again."""
    for number in range(1_000):
        minute, hour = number % 60, number // 60
        put(prefect, deployment(number, f"d{number}", schedules=[cron(f"{minute} {hour} * * *")]))
    state, _ = due_of(context)
    collector = DeploymentScheduleCollector(context.settings)
    prefect.now_us += 15 * SECOND
    began = time.perf_counter()
    again = poll(collector, context, state)
    took = time.perf_counter() - began

    assert state.plans == again.plans
    assert 1_000 == len(again.plans)
    assert took < 0.5


# How their runs ended


SUCCESS = "prefect_deployment_last_success_timestamp_seconds"
FAILURE = "prefect_deployment_last_failure_timestamp_seconds"
STREAK = "prefect_deployment_consecutive_failures"


def history_of(context: Context) -> dict[str, float]:
    """Poll the history, and return what is shown of the one deployment, by metric."""
    collector = DeploymentHistoryCollector(context.settings)
    told = samples(collector, poll(collector, context))
    return {name: value for name, each in told.items() for value in each.values()}


def begun(context: Context) -> None:
    """Let counting begin, and the deployments be listed."""
    poll(FlowRunCollector(context.settings), context)
    poll(DeploymentCollector(context.settings), context)


def test_history_is_known_from_the_start(context: Context, prefect: FakePrefect) -> None:
    """What happened before the first start is told, though it is never counted."""
    put(
        prefect,
        deployment(1, "daily"),
        ended(1, -400, **DAILY),
        ended(2, -300, "FAILED", **DAILY),
        ended(3, -200, "CANCELLED", **DAILY),
        ended(4, -100, "CRASHED", **DAILY),
        ended(5, -50, deployment_id=deployment_id(2)),
    )
    begun(context)

    assert {SUCCESS: NOON - 400, FAILURE: NOON - 100, STREAK: 2.0} == history_of(context)
    assert 0 == sum(counts(context, "prefect_flow_runs_finished_total").values())


def test_history_is_asked_once_ever(tmp_path: Path, prefect: FakePrefect) -> None:
    """Two requests a deployment, none after a restart."""
    put(prefect, deployment(1, "daily"), ended(1, -400, **DAILY))
    for requests in (2, 0):
        with collecting(tmp_path, prefect) as context:
            begun(context)
            prefect.asked.clear()
            history_of(context)
            history_of(context)

            assert requests == prefect.asked.count("flow_runs/filter")


def test_counted_ends_go_on_from_history(context: Context, prefect: FakePrefect) -> None:
    """A failure adds one, a success begins anew, a cancelled run is neither."""
    put(prefect, deployment(1, "daily"), ended(1, -400, "FAILED", **DAILY))
    begun(context)
    streaks = [history_of(context)[STREAK]]
    ends = ("FAILED", "CANCELLED", "CRASHED", "COMPLETED", "FAILED")
    for number, state_type in enumerate(ends):
        put(prefect, ended(10 + number, 5 + number, state_type, **DAILY))
        poll(FlowRunCollector(context.settings), context)
        streaks.append(history_of(context)[STREAK])

    assert [1.0, 2.0, 2.0, 3.0, 0.0, 1.0] == streaks


def test_deployment_that_never_ran_failed_never(context: Context, prefect: FakePrefect) -> None:
    """Without any run there are no times, and no failures."""
    put(prefect, deployment(1, "daily"))
    begun(context)

    assert {STREAK: 0.0} == history_of(context)


def test_twenty_failures_stand_for_more(context: Context, prefect: FakePrefect) -> None:
    """A success that lies behind many failures is found, and they are twenty at least."""
    put(prefect, deployment(1, "daily"), ended(1, -4000, **DAILY))
    put(prefect, *(ended(2 + each, -300 + each, "FAILED", **DAILY) for each in range(50)))
    begun(context)
    told = history_of(context)

    assert (NOON - 4000, 20.0) == (told[SUCCESS], told[STREAK])


def test_nobody_is_asked_before_counting_begins(context: Context, prefect: FakePrefect) -> None:
    """What ends between the question and the first count would be lost: the question waits."""
    put(prefect, deployment(1, "daily"))
    poll(DeploymentCollector(context.settings), context)
    prefect.asked.clear()

    assert {} == history_of(context)
    assert [] == prefect.asked


def test_questions_are_spread_over_polls(context: Context, prefect: FakePrefect) -> None:
    """Many deployments are asked for twenty at a time, and that there are more is told."""
    put(prefect, *(deployment(number, f"d{number:02}") for number in range(30)))
    begun(context)
    collector = DeploymentHistoryCollector(context.settings)
    first = poll(collector, context)
    second = poll(collector, context, first)
    third = poll(collector, context, second)

    assert [(20, True), (30, False)] == [
        (len(each.streaks), each.truncated) for each in (first, second)
    ]
    assert second is third


def test_what_was_learnt_before_an_outage_is_kept(context: Context, prefect: FakePrefect) -> None:
    """Where Prefect stops to answer in the middle, the next poll goes on from there."""
    put(prefect, *(deployment(number, f"d{number}") for number in range(3)))
    begun(context)
    prefect.asked.clear()

    def fail(_route: str) -> None:
        if len(prefect.asked) > 4:
            raise Unreachable("flow_runs/filter", "connection refused")

    prefect.fail = fail
    collector = DeploymentHistoryCollector(context.settings)
    with pytest.raises(Unreachable):
        poll(collector, context)
    prefect.up()
    prefect.asked.clear()
    poll(collector, context)

    assert 2 == prefect.asked.count("flow_runs/filter")


def test_deleted_deployments_history_retires(tmp_path: Path, prefect: FakePrefect) -> None:
    """It goes with the deployment's other series, and is asked for again if that comes back."""
    put(prefect, deployment(1, "daily"), ended(1, -400, **DAILY))
    with collecting(tmp_path, prefect, RETIRE_AFTER="1h") as context:
        begun(context)
        before = history_of(context)
        prefect.deployment_rows.clear()
        for _ in range(2):
            prefect.now_us += 2 * HOUR
            poll(DeploymentCollector(context.settings), context)
        gone = history_of(context)
    with collecting(tmp_path, prefect) as context, pytest.raises(Waiting):
        history_of(context)

    assert (NOON - 400, {}) == (before[SUCCESS], gone)


def test_history_of_what_is_not_there_is_not_shown(tmp_path: Path, prefect: FakePrefect) -> None:
    """What is deleted or no longer selected is gone with the next whole listing; counters stay."""
    put(prefect, deployment(1, "daily"), deployment(2, "test"), deployment(3, "old"))
    put(prefect, *(ended(each, -400, deployment_id=deployment_id(each)) for each in (1, 2, 3)))
    collector_of = DeploymentHistoryCollector
    with collecting(tmp_path, prefect) as context:
        begun(context)
        before = poll(collector_of(context.settings), context)
        del prefect.deployment_rows[deployment_id(3)]
        poll(DeploymentCollector(context.settings), context)
        after = poll(collector_of(context.settings), context)
        counted = {labels[1] for labels in counts(context, "prefect_flow_run_retries_total")}
    with collecting(tmp_path, prefect, DEPLOYMENTS="!test") as context:
        restarted = poll(collector_of(context.settings), context)
        begun(context)
        selected = poll(collector_of(context.settings), context)

    told = [{name for _, name in each.streaks} for each in (before, after, restarted, selected)]
    assert [{"daily", "test", "old"}, {"daily", "test"}] == told[:2]
    assert [{"daily", "test", "old"}, {"daily"}] == told[2:]
    assert {"daily", "test", "old"} == counted
    assert (True, False) == (restarted.truncated, selected.truncated)


def test_listing_that_is_cut_off_hides_no_history(tmp_path: Path, prefect: FakePrefect) -> None:
    """Deployments that a listing did not reach may be there: what is known is shown."""
    put(prefect, *(deployment(number, f"d{number:02}") for number in range(30)))
    with collecting(tmp_path, prefect) as context:
        begun(context)
        state = poll(DeploymentHistoryCollector(context.settings), context)
        known = poll(DeploymentHistoryCollector(context.settings), context, state)
    stuck = Stuck(flow_names=prefect.flow_names, deployment_rows=prefect.deployment_rows)
    with collecting(tmp_path, stuck) as context:
        begun(context)
        again = poll(DeploymentHistoryCollector(context.settings), context)

    assert known.streaks == again.streaks
    assert 30 == len(again.streaks)


def test_runs_without_a_place_of_their_own_have_no_history(
    tmp_path: Path, prefect: FakePrefect
) -> None:
    """Runs without a deployment, of a folded one, and of one nobody can name make no streak."""
    put(prefect, deployment(1, "daily"), deployment(2, "late"))
    with collecting(tmp_path, prefect, MAX_DEPLOYMENTS="1") as context:
        begun(context)
        put(
            prefect,
            ended(1, 5, "FAILED"),
            ended(2, 6, "FAILED", deployment_id=deployment_id(2)),
            ended(3, 7, "FAILED", deployment_id=UUID(int=9)),
        )
        poll(FlowRunCollector(context.settings), context)
        collector = DeploymentHistoryCollector(context.settings)
        state = poll(collector, context)

        assert {("etl", "daily")} == set(state.streaks)
