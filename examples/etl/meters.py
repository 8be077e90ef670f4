"""What the pipeline counts of its own; everything else `prefect_instrumentation` counts."""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext
from prefect.tasks import Task

from prefect_instrumentation import counter

ROWS = counter(
    "etl_rows_total", unit="{row}", description="Rows committed, by client and what became of them."
)
"""Labels: `client`; `outcome`, one of `accepted`, `rejected` and `replayed`."""

RECOVERIES = counter(
    "etl_recoveries_total",
    unit="{recovery}",
    description="Attempts to go on after a fault, by step and how they ended.",
)
"""Labels: `step`; `outcome`, `recovered` or `failed`."""


STEPS = (
    "settle", "newest", "plan", "rates", "extract", "load", "replay", "letters", "lease", "breaker",
    "client",
)  # fmt: skip
"""What can recover: steps that are tried again, then what others than the same run finish."""


def start_counting(client: str) -> None:
    """Have every series of a client there from 0: `increase()` does not see what begins at 1."""
    for outcome in ("accepted", "rejected", "replayed"):
        ROWS.add(0, client=client, outcome=outcome)
    for step in STEPS:
        for outcome in ("recovered", "failed"):
            RECOVERIES.add(0, step=step, outcome=outcome)


def count_success() -> None:
    """Count the task run that is about to end well, where it needed more than one attempt."""
    context = TaskRunContext.get()
    if context and context.task_run.run_count > 1:
        RECOVERIES.add(step=context.task.name, outcome="recovered")


def count_failure(task: Task[Any, Any], run: TaskRun, _state: State[Any]) -> None:
    """Count a task run that failed after more than one attempt; a hook of `@task`."""
    if run.run_count > 1:
        RECOVERIES.add(step=task.name, outcome="failed")


def count_takeover(attempt: int, outcome: str) -> None:
    """Count a chunk that another worker had had before."""
    if attempt > 1:
        RECOVERIES.add(step="lease", outcome=outcome)
