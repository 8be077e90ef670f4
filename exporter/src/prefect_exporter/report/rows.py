"""What a report knows of runs: one frozen row of each, small enough to be kept by the 100,000.

Times are microseconds since 1970, durations seconds. The catalogue (deployments, pools and the
like) is kept as Prefect told it: ``report.catalog``.
"""

from __future__ import annotations

from typing import NamedTuple


class FlowRunRow(NamedTuple):
    """One flow run.

    Args:
        deployment_id: b"" without one; ids are the 16 bytes of the UUID.
        parent_task_run_id: Of the task run that stands for it in its parent; b"" without a parent.
        state_message: What the state says, at most 1,024 characters; "" unless it failed or waits.
        expected_us: When it was due.
        seconds: How long it ran, all its attempts together.
        attempts: How often it was started.
        creator_type: ``DEPLOYMENT``, ``AUTOMATION``, ``USER`` and so on; "" for unknown.
        creator_id: As text.
        parameters_bytes: As JSON.
        retries: That the flow allows; -1 where Prefect does not know.
        tags: JSON list.
    """

    id: bytes
    name: str
    flow_id: bytes
    deployment_id: bytes
    parent_task_run_id: bytes
    state_type: str
    state_name: str
    state_message: str
    expected_us: int | None
    created_us: int | None
    started_us: int | None
    ended_us: int | None
    seconds: float
    attempts: int
    work_pool: str
    work_queue: str
    auto_scheduled: bool
    creator_type: str
    creator_id: str
    parameters_bytes: int
    retries: int
    tags: str

    @property
    def queued_us(self) -> int | None:
        """From when on it could have begun: the later of due and made."""
        known = [each for each in (self.expected_us, self.created_us) if each is not None]
        return max(known, default=None)


class TaskRunRow(NamedTuple):
    """One task run.

    Args:
        task: Its task key without the hash of the code.
        name: As Prefect shows it.
        retries: That the task allows; -1 where Prefect does not know.
        child_flow_run_id: Of the subflow that it stands for; b"" for a real task.
        cache_key: Whether it has one.
    """

    id: bytes
    flow_run_id: bytes
    task: str
    name: str
    state_type: str
    state_name: str
    state_message: str
    started_us: int | None
    ended_us: int | None
    seconds: float
    attempts: int
    retries: int
    child_flow_run_id: bytes
    cache_key: bool
    tags: str


class LogRow(NamedTuple):
    """One log line of level error or above of a failed run.

    At most 8,192 characters of it; 65,536 where it holds a traceback, whose error stands last.
    """

    flow_run_id: bytes
    task_run_id: bytes
    at_us: int
    level: int
    logger: str
    message: str
