"""What panels count is what happened: their queries, asked of made-up series by promtool."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from board_numbers import asked, owner, shows

FINISHED = "prefect_flow_runs_finished_total"
NIGHTLY = 'target="default", flow="etl", deployment="nightly"'


def runs(outcome: str, values: str, *, more: str = 'subflow="false"') -> dict[str, str]:
    """Return the series of the nightly deployment's ended runs."""
    return {f'{FINISHED}{{{NIGHTLY}, outcome="{outcome}", {more}}}': values}


@pytest.mark.parametrize(
    ("values", "ended"),
    [
        ("0x20 1x20", 1),
        ("0x8 1x8 2x8 3x16", 3),
        ("0+5x40", 200),
        ("0x4 50x36", 50),
        ("1000x13 1007x27", 7),
        # The exporter's ledger was replaced: what was counted before stays counted.
        ("3x9 5x10 0 2x19", 4),
    ],
    ids=["one", "now and then", "steadily", "at once", "of many", "over a reset"],
)
@pytest.mark.parametrize("uid", ["prefect-overview", "prefect-deployments", "prefect-flow"])
def test_bars_add_up_to_what_ended(uid: str, values: str, ended: int, tmp_path: Path) -> None:
    """Fifty runs are shown as fifty: the bars of ten minutes add up to what was counted in them."""
    bars = asked(uid, "Flow runs by outcome")
    series = {**owner(NIGHTLY), **runs("failed", values)}

    added = f"sum_over_time(({bars})[10m:1m])"

    shows(tmp_path, added, series, [f'{{outcome="failed"}} {ended}'])


def test_outcome_that_no_run_had_is_zero(tmp_path: Path) -> None:
    """That nothing crashed is a number; what has ended long ago does not count again."""
    series = {**owner(NIGHTLY), **runs("crashed", "0x40"), **runs("failed", "7x40")}

    bars = asked("prefect-overview", "Flow runs by outcome")

    shows(tmp_path, bars, series, ['{outcome="crashed"} 0', '{outcome="failed"} 0'])


def test_second_exporter_changes_nothing(tmp_path: Path) -> None:
    """Two exporters of one Prefect tell the same runs, which count once."""
    series = {
        **owner(NIGHTLY),
        **runs("failed", "0x9 4x30", more='subflow="false", instance="a"'),
        **runs("failed", "0x9 4x30", more='subflow="false", instance="b"'),
    }

    added = f"sum_over_time(({asked('prefect-overview', 'Flow runs by outcome')})[10m:1m])"

    shows(tmp_path, added, series, ['{outcome="failed"} 4'])


def test_inline_subflows_are_left_out(tmp_path: Path) -> None:
    """A failed subflow fails its parent, and that is one failure; a child by itself is another."""
    series = {
        **owner(NIGHTLY),
        **runs("failed", "0x9 1x30"),
        **runs("failed", "0x9 5x30", more='subflow="true"'),
        **runs("failed", "0x9 2x30", more='subflow="deployment"'),
    }

    added = f"sum_over_time(({asked('prefect-overview', 'Flow runs by outcome')})[10m:1m])"

    shows(tmp_path, added, series, ['{outcome="failed"} 3'])


def test_day_has_at_least_what_its_last_hour_has(tmp_path: Path) -> None:
    """The recorded day lags behind the hour; the greater of both is shown, for each deployment."""
    name = "target_flow_deployment:prefect_flow_runs_failed:increase"
    weekly = 'target="default", flow="etl", deployment="weekly"'
    series = {
        **owner(NIGHTLY),
        **owner(weekly),
        f"{name}1h{{{NIGHTLY}}}": "5x40",
        f"{name}1d{{{NIGHTLY}}}": "3x40",
        f"{name}1h{{{weekly}}}": "1x40",
        f"{name}1d{{{weekly}}}": "20x40",
    }

    shows(tmp_path, asked("prefect-overview", "Failures, last 24 hours"), series, ["{} 25"])


@pytest.mark.parametrize(
    ("team", "late"), [(".*", 7), ("shop", 2), ("shop|bank", 6)], ids=["all", "one", "two"]
)
def test_team_narrows_and_all_is_all(team: str, late: int, tmp_path: Path) -> None:
    """All shows also what nobody owns; a team shows its own deployments alone."""
    series: dict[str, str] = {}
    for flow, of_team, number in (("a", "shop", 2), ("b", "bank", 4), ("c", "", 1)):
        labels = f'target="default", flow="{flow}", deployment="d"'
        series |= owner(labels, team=of_team)
        series |= {f'prefect_flow_runs_late{{{labels}, work_pool="p"}}': f"{number}x40"}

    expr = asked("prefect-overview", "Late now", team=team)

    shows(tmp_path, expr, series, [f"{{}} {late}"])


def test_nothing_is_zero_only_where_it_was_asked(tmp_path: Path) -> None:
    """No late runs are 0 while the exporter could ask, and no number at all while it could not."""
    success = 'prefect_exporter_collector_success{target="default", collector="flow_runs_late"}'
    expr = asked("prefect-overview", "Late now")

    shows(tmp_path, expr, {success: "1x40"}, ["{} 0"])
    shows(tmp_path, expr, {success: "0x40"}, [])
    shows(tmp_path, expr, {}, [])


@pytest.mark.parametrize(
    ("query", "expected"),
    [(0, {"good": 9, "bad": 6}), (1, {"good": 0, "bad": 2}), (3, {"good": 0, "bad": 0})],
    ids=["runs", "failures", "cached"],
)
def test_tasks_are_counted_by_outcome(
    query: int, expected: Mapping[str, int], tmp_path: Path
) -> None:
    """A task that never failed has 0 failures, whatever else it has."""
    ended = 'prefect_task_runs_finished_total{target="default", flow="etl"'
    series = {
        **owner(NIGHTLY),
        f'{ended}, task="good", outcome="completed"}}': "0x9 9x31",
        f'{ended}, task="bad", outcome="completed"}}': "0x9 4x31",
        f'{ended}, task="bad", outcome="failed"}}': "0x9 2x31",
    }
    rows = [
        f'{{target="default", flow="etl", task="{task}"}} {number}'
        for task, number in expected.items()
    ]

    shows(tmp_path, asked("prefect-task-runs", "Tasks", number=query), series, rows)


@pytest.mark.parametrize(
    ("team", "ended"), [(".*", 7), ("shop", 3), ("bank", 6)], ids=["all", "one", "shared"]
)
def test_tasks_without_a_flow_are_everybodys(team: str, ended: int, tmp_path: Path) -> None:
    """A team sees tasks of flows that it has a deployment of, and background tasks."""
    counter = 'prefect_task_runs_finished_total{target="default", outcome="completed", task="t"'
    series = {
        **owner('target="default", flow="mine", deployment="d"', team="shop"),
        **owner('target="default", flow="theirs", deployment="d"', team="bank"),
        f'{counter}, flow="mine"}}': "0x9 1x31",
        f'{counter}, flow="theirs"}}': "0x9 4x31",
        f'{counter}, flow=""}}': "0x9 2x31",
    }

    expr = asked("prefect-task-runs", "Task runs that ended", team=team)

    shows(tmp_path, expr, series, [f"{{}} {ended}"])


def test_overdue_is_what_was_due_and_did_not_succeed(tmp_path: Path) -> None:
    """A run that was due is given ten minutes; a success from before it was due does not count."""
    due = "prefect_deployment_previous_expected_run_timestamp_seconds"
    success = "prefect_deployment_last_success_timestamp_seconds"
    moments = {"kept": (-700, -600), "just": (-60, -5000), "missed": (-700, -5000)}
    series: dict[str, str] = {}
    for deployment, (expected, succeeded) in moments.items():
        labels = f'target="default", flow="etl", deployment="{deployment}"'
        series |= owner(labels)
        # Ten minutes in, when the query is asked.
        series |= {f"{due}{{{labels}}}": f"{600 + expected}x40"}
        series |= {f"{success}{{{labels}}}": f"{600 + succeeded}x40"}
    never = 'target="default", flow="etl", deployment="never"'
    series |= {**owner(never), f"{due}{{{never}}}": "-100x40"}

    shows(tmp_path, asked("prefect-deployments", "Overdue"), series, ["{} 2"])


def test_failure_groups_are_narrowed_to_a_fingerprint(tmp_path: Path) -> None:
    """A group with a traceback is found by its fingerprint, and nothing else is shown then."""
    named = 'target="default", category="data", flow="etl"'
    series = {
        f'prefect_failure_group_flow_runs{{{named}, id="f1-0a"}}': "3x40",
        f'prefect_failure_group_flow_runs{{{named}, id="m1-0b"}}': "5x40",
    }
    both = [f'{{{named}, id="f1-0a"}} 3', f'{{{named}, id="m1-0b"}} 5']

    shows(tmp_path, asked("prefect-errors", "Failure groups"), series, both)
    narrowed = asked("prefect-errors", "Failure groups", fingerprint="0a")
    shows(tmp_path, narrowed, series, both[:1])


def test_late_runs_by_cause_are_those_of_the_team(tmp_path: Path) -> None:
    """Each cause of a deployment is a row with its owner; other teams' are left out."""
    late = "prefect_flow_runs_late_by_cause"
    hourly = 'target="default", flow="etl", deployment="hourly"'
    series = {
        **owner(NIGHTLY, team="data"),
        **owner(hourly, team="web"),
        f'{late}{{{NIGHTLY}, cause="no-worker"}}': "2x40",
        f'{late}{{{hourly}, cause="pool-limit-full"}}': "7x40",
    }

    expr = asked("prefect-work-pools", "Late runs by cause", team="data")

    shows(tmp_path, expr, series, [f'{{{NIGHTLY}, cause="no-worker", team="data"}} 2'])
