"""The rows that the benchmark writes into Prefect's tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bench.catalog import Tables, make_catalog
from bench.history import History, Unended

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
END = BEGIN + timedelta(days=7)


def history(seed: int = 1) -> History:
    """Return a source of flow runs with three tasks each."""
    return History(make_catalog(flows=2, deployments=4, seed=seed), tasks=3, seed=seed)


def past(number: int, seed: int = 1) -> list[Tables]:
    """Return the batches of *number* flow runs between BEGIN and END."""
    return [*history(seed).past(number, BEGIN, END)]


def test_a_seed_decides_every_row() -> None:
    """The same seed gives the same rows, ids included; another seed gives others."""
    assert past(5) == past(5)
    assert past(5) != past(5, seed=2)


def test_history_is_as_long_as_asked() -> None:
    """So many flow runs are written, each with its tasks, over as many batches as it takes."""
    batches = past(2001)

    assert [2000, 1] == [len(batch["flow_run"]) for batch in batches]
    assert [6000, 3] == [len(batch["task_run"]) for batch in batches]


@pytest.mark.parametrize("table", ["flow_run", "task_run"])
def test_every_run_points_at_its_state(table: str) -> None:
    """A run's current state has a row of its own, which belongs to the run."""
    (batch,) = past(20)
    owners = {row["id"]: row[f"{table}_id"] for row in batch[f"{table}_state"]}

    assert [row["id"] for row in batch[table]] == [owners[row["state_id"]] for row in batch[table]]


def test_history_ends_within_its_time() -> None:
    """Every flow run ends between the two times given."""
    (batch,) = past(100)

    assert all(BEGIN <= _time(row["end_time"]) <= END for row in batch["flow_run"])


def test_a_live_run_ends_now() -> None:
    """A run of the live load ends at the time given, its tasks hardly before, with one event."""
    tables = history().ended(END)

    assert [END] == [row["end_time"] for row in tables["flow_run"]]
    assert [END] == [row["occurred"] for row in tables["events"]]
    ends = [_time(row["end_time"]) for row in tables["task_run"]]
    assert all(timedelta() <= END - end <= timedelta(milliseconds=50) for end in ends)


def test_unended_runs_have_no_end() -> None:
    """Running, late and scheduled runs are written without an end."""
    tables = history().unended(END, Unended(running=1, late=2, scheduled=3))

    assert [None] * 6 == [row["end_time"] for row in tables["flow_run"]]
    late, scheduled = END - timedelta(hours=1), END + timedelta(days=1)
    due = [row["next_scheduled_start_time"] for row in tables["flow_run"]]
    assert [None, late, late, scheduled, scheduled, scheduled] == due


def test_a_running_run_has_a_running_task_run() -> None:
    """Each running flow run has one task run, which runs too and belongs to it."""
    tables = history().unended(END, Unended(running=2, late=1, scheduled=1))

    running = [row["id"] for row in tables["flow_run"] if row["state_type"] == "RUNNING"]
    assert running == [row["flow_run_id"] for row in tables["task_run"]]
    assert ["RUNNING"] * 2 == [row["state_type"] for row in tables["task_run"]]


def test_beating_runs_beat_in_turns() -> None:
    """Those that send heartbeats send one at first, and then one while thirty other runs end."""
    source = history()
    first = source.unended(END, Unended(running=3, beating=2))["events"]
    rest = [event for _ in range(2) for event in source.ended(END)["events"][1:]]

    assert {"prefect.flow-run.heartbeat"} == {event["event"] for event in [*first, *rest]}
    assert [each["resource_id"] for each in first] == [each["resource_id"] for each in rest]


def _time(value: object) -> datetime:
    assert isinstance(value, datetime)
    return value
