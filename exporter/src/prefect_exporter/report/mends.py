"""Changes that mend what several checks find; the plan names equal ones once."""

from __future__ import annotations

from prefect_exporter.report.model import Action, Effort

_REPEATS = (
    "What the run had done before it failed is done again: it must bear that. A lasting error"
    " shows as much later as the retries take."
)


def flow_retries(flow: str) -> Action:
    """Return the change by which a flow is tried again."""
    return Action(
        f"@flow(name={flow!r}, retries=2, retry_delay_seconds=60)",
        Effort.MINUTES,
        _REPEATS,
        "Take the two arguments out again.",
    )


def task_retries(task: str) -> Action:
    """Return the change by which a task is tried again, later and later."""
    return Action(
        f"@task(name={task!r}, retries=3, retry_delay_seconds=[10, 60, 300])",
        Effort.MINUTES,
        _REPEATS,
        "Take the two arguments out again.",
    )
