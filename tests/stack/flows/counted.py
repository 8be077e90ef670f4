"""A flow that says on its output which of its tasks it has executed."""

from __future__ import annotations

import time

from prefect import flow, runtime, task

MARK = "executed"


@task
def one(number: int) -> int:
    """Take a second, then say which run this was."""
    time.sleep(1)
    print(MARK, runtime.flow_run.id, runtime.task_run.id, flush=True)
    return number


@flow
def counted(tasks: int) -> int:
    """Run *tasks* tasks, one after the other."""
    return sum(one(number) for number in range(tasks))
