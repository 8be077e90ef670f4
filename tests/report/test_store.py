"""The store: a step's rows and its cursor are written together, or not at all."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from prefect_exporter.report.reading.flow_runs import flow_run_row
from prefect_exporter.report.rows import FlowRunRow, LogRow
from prefect_exporter.report.store import Step, Store
from prefect_exporter.report.wire import ToldFlowRun
from report.worlds import workspace


def row(number: int) -> FlowRunRow:
    """Return a flow run."""
    key = number.to_bytes(16)
    blank = FlowRunRow._make([b""] * len(FlowRunRow._fields))
    return blank._replace(id=key, name=f"run-{number}")


def test_what_was_written_is_there_later(tmp_path: Path) -> None:
    """Rows, cursors, objects and notes survive the file's closing."""
    path = tmp_path / "s.db"
    with Store(path) as store, store.transaction():
        store.add([row(1)])
        store.add([LogRow(b"1", b"", 5, 40, "logger", "line")])
        store.put("flow", "1", b"{}")
        store.set_step("flow_runs", Step("cursor", 1, 9, done=True))
        store.set_meta("key", "value")
    with Store(path) as store:
        assert [("run-1",)] == list(store.database.execute("SELECT name FROM flow_runs"))
        assert [("line",)] == list(store.database.execute("SELECT message FROM logs"))
        assert [b"{}"] == list(store.objects("flow"))
        assert Step("cursor", 1, 9, done=True) == store.step("flow_runs")
        assert "value" == store.meta("key")


def stop_in_the_middle(store: Store) -> None:
    """Write a portion, and be stopped before it is whole."""
    with store.transaction():
        store.add([row(1)])
        store.set_step("flow_runs", Step("cursor", 1))
        raise KeyboardInterrupt


def test_stopped_transaction_leaves_nothing(tmp_path: Path) -> None:
    """Neither the rows nor the cursor of a portion that was not written whole."""
    with Store(tmp_path / "s.db") as store:
        with pytest.raises(KeyboardInterrupt):
            stop_in_the_middle(store)

        assert [] == list(store.database.execute("SELECT * FROM flow_runs"))
        assert Step() == store.step("flow_runs")


def test_run_that_comes_again_is_replaced() -> None:
    """The newer one stays, so that what overlaps is there once."""
    with Store(":memory:") as store:
        store.add([row(1), row(2)])
        store.add([row(1)._replace(name="again")])
        names = store.database.execute("SELECT name FROM flow_runs ORDER BY id")

        assert ["again", "run-2"] == [name for (name,) in names]


def test_columns_are_the_rows_fields() -> None:
    """What is read back from a table is the row that was written."""
    with workspace() as world:
        flow = world.flow("f")
        run = world.run(flow, ended_ago=60, parent=world.run(flow, ended_ago=50))
        world.task(run, "t")
        runs = list(world.workspace.flow_runs("ORDER BY id"))
        tasks = list(world.workspace.task_runs("ORDER BY id"))
        columns = [each[1] for each in world.store.database.execute("PRAGMA table_info(task_runs)")]

    assert {"FlowRunRow"} == {type(each).__name__ for each in runs}
    assert list(type(tasks[0])._fields) == columns


def test_hostile_run_is_kept_bounded() -> None:
    """Names, messages and tags are cut; parameters are measured and never kept."""
    long = "x" * 100_000
    body = {
        "id": "00000000-0000-0000-0000-000000000001",
        "name": long,
        "flow_id": "00000000-0000-0000-0000-000000000002",
        "run_count": 1,
        "total_run_time": -5.0,
        "state_type": "FAILED",
        "state_name": long,
        "state": {
            "type": "FAILED",
            "name": long,
            "timestamp": "2026-11-20T12:00:00Z",
            "message": long + "\u202e<script>",
        },
        "tags": [long] * 500,
        "parameters": {"secret": long},
    }
    kept = flow_run_row(msgspec.json.decode(msgspec.json.encode(body), type=ToldFlowRun))
    size = sum(len(each) for each in kept if isinstance(each, str | bytes))

    assert size < 20_000
    assert 1_024 == len(kept.state_message)
    assert kept.parameters_bytes > 100_000
    assert kept.seconds == 0.0
    assert "secret" not in repr(kept)
