"""Runs and their ends, as an observer hears of them."""

from __future__ import annotations

from prefect_instrumentation._runs import Run, StateChange

COMPLETED = StateChange("COMPLETED", "Completed", "")
FAILED = StateChange("FAILED", "Failed", "no eggs")
RUNNING = StateChange("RUNNING", "Running", "")
AWAITING_RETRY = StateChange("SCHEDULED", "AwaitingRetry", "")
RETRYING = StateChange("RUNNING", "Retrying", "")


def load(day: str = "") -> str:
    """Stand in for what a user decorates."""
    return day


FLOW = Run(
    kind="flow",
    id="run-1",
    name="crimson-otter",
    function=load,
    flow="etl",
    flow_run_id="run-1",
    flow_run_name="crimson-otter",
    task="",
    tags=(),
    parameters={},
    labels={},
    enclosing_labels=(),
    in_process=False,
    generator=False,
    background=False,
    flow_id="flow-1",
    deployment_id="",
    deployment="",
    work_pool="",
    work_queue="",
    waited=0.0,
)
