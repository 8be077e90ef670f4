"""The numbers that findings of the sections failures and risks are true by."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from itertools import pairwise

import pytest

from prefect_exporter.report.model import Cell, Finding, Severity
from prefect_exporter.report.question import Period
from report.worlds import NOW_US, WEEK_US, WorldBuilder, workspace

HOUR, DAY = 3600.0, 86_400.0


def _planted(check: str, *, weeks: int = 1) -> Finding:
    period = Period(NOW_US - weeks * WEEK_US, NOW_US)
    with workspace(compare=True, period=period) as world:
        import_module(f"report.planted.{check}").plant(world)
        return next(_check(world, check))


def _check(world: WorldBuilder, check: str) -> Iterator[Finding]:
    found: Iterator[Finding] = import_module(f"prefect_exporter.report.checks.{check}").check(
        world.workspace
    )
    return found


@pytest.mark.parametrize(
    ("check", "numbers", "saved"),
    [
        ("flow_broken", {"streak": 6, "runs": 18, "failed": 6, "seconds": 180.0}, (0.05, 6.0)),
        (
            "flow_flaky",
            {"failed": 6, "runs": 40, "episodes": 6, "retried_to_success": 0, "seconds": 360.0},
            (0.1, 6.0),
        ),
        (
            "retries_mask_failures",
            {"retried_to_success": 10, "succeeded": 30, "seconds_estimated": 100.0},
            (100 / 3600, None),
        ),
        (
            "failures_in_common",
            {
                "flows": 6,
                "failures": 6,
                "common_work_pool": "failures-in-common",
                "common_error": "ConnectionRefusedError",
                "common_host": "warehouse.shop.example",
            },
            (None, 6.0),
        ),
        ("failure_new", {"failures": 4, "category": "user_code"}, (None, 4.0)),
        ("failure_rising", {"failures": 22}, (None, 22.0)),
        (
            "retries_missing",
            {"failures": 4, "recovered": 2, "seconds": 200.0, "retries": 0, "failed_tasks": 1},
            (200 / 3600, 2.0),
        ),
        (
            "runs_without_limit",
            {"runs": 1, "longest_seconds": 7200.0, "p95_seconds": 60.0, "completed": 30},
            (7140 / 3600, None),
        ),
        ("owner_missing", {"deployments": 1}, (None, None)),
        (
            "schedule_denser_than_duration",
            {
                "usual_seconds": 600.0,
                "usual_gap_seconds": 300.0,
                "needed": 2.0,
                "limit": None,
                "overlaps": 29,
            },
            (None, None),
        ),
        (
            "late_chronic",
            {"late": 20, "started": 40, "median_seconds": 451.0, "late_seconds": 18_000.0},
            (5.0, None),
        ),
        ("schedule_never_runs", {"due": 20, "runs": 0}, (None, None)),
        (
            "work_pool_without_worker",
            {"workers_online": 0, "workers_known": 1, "deployments_scheduled": 1, "runs_due": 1},
            (None, None),
        ),
        (
            "concurrency_starved",
            {
                "waiting": 3,
                "longest_seconds": 3721.0,
                "waiting_seconds": 10_983.0,
                "limit": 1,
                "holding": 1,
            },
            (10_983 / 3600, None),
        ),
        (
            "parameters_large",
            {"runs": 2, "largest_bytes": 440_012, "total_bytes": 880_024, "limit_bytes": 524_288},
            (None, None),
        ),
        (
            "runs_stuck",
            {"runs": 1, "longest_seconds": 36_000.0, "p95_seconds": 60.0, "runs_running": 1},
            (None, None),
        ),
        (
            "cache_stopped_hitting",
            {"hits": 18, "runs_before": 22, "misses_since": 26, "seconds_since": 520.0},
            (520 * 18 / 22 / 3600, None),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_numbers_are_those_of_what_was_planted(
    check: str, numbers: dict[str, Cell], saved: tuple[float | None, float | None]
) -> None:
    """They were reckoned by hand from the planted runs, and so was what is saved a week."""
    finding = _planted(check)

    assert numbers.items() <= finding.evidence[0].numbers.items()
    assert saved == (
        pytest.approx(finding.hours) if finding.hours is not None else None,
        pytest.approx(finding.failures) if finding.failures is not None else None,
    )


def test_what_is_saved_is_a_week() -> None:
    """The same failures in two weeks are half as many a week."""
    assert _planted("flow_flaky").failures == 6.0
    assert _planted("flow_flaky", weeks=2).failures == 3.0


def test_schedule_that_its_limit_cannot_follow_is_severe() -> None:
    """The backlog grows for ever."""
    with workspace() as world:
        flow = world.flow("etl")
        deployment = world.deployment(flow, "often", cron="*/5 * * * *", limit=1)
        for number in range(30):
            world.run(flow, deployment, ended_ago=60 + number * 300, seconds=600)
        (finding,) = _check(world, "schedule_denser_than_duration")

        assert finding.severity is Severity.HIGH
        assert finding.evidence[0].numbers["limit"] == 1


def test_many_deployments_without_an_owner_are_one_finding() -> None:
    """Twenty-one lines that say the same help nobody."""
    with workspace() as world:
        flow = world.flow("etl")
        for number in range(60):
            tags = ["team:payments"] if number >= 21 else []
            deployment = world.deployment(flow, f"of-{number}", tags=tags)
            world.run(flow, deployment, ended_ago=HOUR)
        (finding,) = _check(world, "owner_missing")

        assert finding.subject == "the workspace"
        assert finding.evidence[0].numbers == {"deployments": 21}
        assert len(finding.evidence[0].links) == 5


def test_owner_stands_with_the_finding() -> None:
    """So that somebody can be asked."""
    with workspace() as world:
        flow = world.flow("etl", tags=["team:payments"])
        for number in range(3):
            world.run(flow, ended_ago=number * HOUR + 1, state="Failed")
        (finding,) = _check(world, "flow_broken")

        assert finding.owner == "payments"


def test_names_are_quoted_in_commands() -> None:
    """A name may be anything: what is copied into a shell is one word."""
    with workspace() as world:
        world.pool("it's; rm -rf /")
        flow = world.flow("etl")
        world.deployment(flow, "nightly", cron="0 3 * * *", pool="it's; rm -rf /")
        (finding,) = _check(world, "work_pool_without_worker")

        assert finding.action.change == "prefect worker start --pool 'it'\"'\"'s; rm -rf /'"


def test_cancelling_runs_are_deleted_rather_than_cancelled_again() -> None:
    """Cancelling waits for a process that would confirm it."""
    with workspace() as world:
        flow = world.flow("etl")
        for number in range(12):
            world.run(flow, ended_ago=(number + 8) * HOUR, seconds=60)
        world.run(flow, ended_ago=6 * HOUR, state="Cancelling")
        world.run(flow, ended_ago=2 * HOUR, state="Pending")
        (finding,) = _check(world, "runs_stuck")

        assert finding.action.change.startswith("prefect flow-run delete ")
        assert finding.evidence[0].numbers["runs"] == 2


def test_secrets_of_messages_are_not_told() -> None:
    """A password in the message of a failure stands in no finding."""
    text = "Flow run encountered an exception: ValueError: cannot use password=hunter2 for ada"
    with workspace(compare=True) as world:
        flow = world.flow("etl")
        for number in range(40):
            failed = number in (3, 4, 5)
            world.run(
                flow,
                ended_ago=(number + 1) * 8 * HOUR,
                state="Failed" if failed else "Completed",
                message=text if failed else "",
            )
        found = [*_check(world, "failure_new"), *_check(world, "flow_broken")]

        assert found
        assert "hunter2" not in str(found)


def test_evidence_of_several_times_is_bounded() -> None:
    """A workspace that fails together every night gets one finding with the worst of them."""
    with workspace() as world:
        flows = [world.flow(f"etl-{number}") for number in range(8)]
        for place, flow in enumerate(flows):
            for hour in range(160):
                world.run(flow, ended_ago=(hour + 0.2) * HOUR + place * 60)
        for night in range(6):
            for place, flow in enumerate(flows):
                world.run(flow, ended_ago=night * DAY + 7.6 * HOUR + place, state="Failed")
        (finding,) = _check(world, "failures_in_common")

        assert len(finding.evidence) == 5
        assert finding.failures == 48.0
        chances = [each.numbers["p"] for each in finding.evidence]
        assert all(float(str(a)) <= float(str(b)) for a, b in pairwise(chances))
