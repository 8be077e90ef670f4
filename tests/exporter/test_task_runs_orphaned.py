"""Task runs without a flow run to end them."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from fakes import START_US
from prefect_exporter.collectors.task_runs_orphaned import OrphanedTaskRunCollector
from prefect_exporter.moments import MINUTE
from worlds import collecting, ended, poll, prefect_of, put, run_id, task_run, waiting


def test_only_those_of_long_ended_flow_runs_count(tmp_path: Path) -> None:
    """A task run that may still be ended, that has ended, or that stands for a subflow does not."""
    prefect = prefect_of()
    put(
        prefect,
        ended(1, 0, "CRASHED"),
        ended(2, 400),
        waiting(3, "RUNNING", "Running"),
        task_run(11, None, "RUNNING", flow_run_id=run_id(1)),
        task_run(12, 0, "COMPLETED", flow_run_id=run_id(1)),
        task_run(13, None, "PENDING", flow_run_id=run_id(1)),
        task_run(14, None, "RUNNING", flow_run_id=run_id(1)),
        task_run(21, None, "RUNNING", flow_run_id=run_id(2)),
        task_run(31, None, "RUNNING", flow_run_id=run_id(3)),
        task_run(41, None, "RUNNING", flow_run_id=uuid4()),
        task_run(51, None, "RUNNING", flow_run_id=None),
    )
    prefect.placeholders.add(run_id(14))
    prefect.now_us = START_US + 10 * MINUTE
    with collecting(tmp_path, prefect) as context:
        state = poll(OrphanedTaskRunCollector(context.settings), context)

    assert 1 == state.number
    assert ["task_runs/count"] == prefect.asked
