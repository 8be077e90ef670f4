"""Which tasks take most of their flow's time, and whether they do it one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prefect_exporter.report.remembered import remembered
from prefect_exporter.report.workspace import Subject, Workspace

SEQUENTIAL = 1.1
"""Task runs whose times add up to at most this much of the time that they span did not overlap."""

# Of each flow run that completed: a task's runs, their seconds, and from first start to last end.
_TASKS = """
WITH per_run AS (
    SELECT flow_run_id, task, COUNT(*) AS runs, SUM(seconds) AS seconds,
        (MAX(ended_us) - MIN(started_us)) / 1e6 AS span
    FROM task_runs
    WHERE child_flow_run_id = x'' AND started_us IS NOT NULL AND ended_us IS NOT NULL
    GROUP BY flow_run_id, task
)
SELECT flow_runs.flow_id, flow_runs.deployment_id, per_run.task, COUNT(*), SUM(per_run.runs),
    SUM(per_run.seconds), SUM(per_run.span), SUM(MIN(per_run.seconds, per_run.span))
FROM per_run JOIN flow_runs ON flow_runs.id = per_run.flow_run_id
WHERE flow_runs.ended_us >= ? AND flow_runs.ended_us < ? AND flow_runs.state_type = 'COMPLETED'
GROUP BY 1, 2, 3
"""
_FLOWS = """
SELECT flow_id, deployment_id, COUNT(*), SUM(seconds) FROM flow_runs
WHERE ended_us >= ? AND ended_us < ? AND state_type = 'COMPLETED'
    AND id IN (SELECT flow_run_id FROM task_runs WHERE child_flow_run_id = x'')
GROUP BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class TaskTime:
    """One task in the completed flow runs of one subject that were read; times are seconds.

    Args:
        task_runs: In *flow_runs* flow runs, together.
        seconds: Of all its runs added up; *span* from the first start to the last end.
        wall: Of the flow's time, the part in which it ran at most.
        share: *wall* of the time of all the subject's flow runs that were read.
        tasks: How many different tasks the flow has.
    """

    subject: Subject
    task: str
    flow_runs: int
    task_runs: int
    seconds: float
    span: float
    wall: float
    share: float
    tasks: int

    @property
    def runs_each(self) -> float:
        """How often it runs in one flow run."""
        return self.task_runs / self.flow_runs

    @property
    def one_by_one(self) -> bool:
        """Whether it runs several times in a flow run, and never two of them at once."""
        return self.runs_each > 1 and self.seconds <= self.span * SEQUENTIAL


@remembered
def task_times(workspace: Workspace) -> Sequence[TaskTime]:
    """Return the tasks of all flows, those that take the most time first."""
    within = (workspace.period.since_us, workspace.period.until_us)
    rows = workspace.database.execute(_TASKS, within).fetchall()
    flows = {
        Subject(*row[:2]): row[3] for row in workspace.database.execute(_FLOWS, within).fetchall()
    }
    tasks: dict[Subject, int] = {}
    for flow_id, deployment_id, *_ in rows:
        subject = Subject(flow_id, deployment_id)
        tasks[subject] = tasks.get(subject, 0) + 1
    found = []
    for flow_id, deployment_id, task, flow_runs, task_runs, seconds, span, wall in rows:
        subject = Subject(flow_id, deployment_id)
        total = flows[subject]
        share = min(1.0, wall / total) if total else 0.0
        found.append(
            TaskTime(
                subject, task, flow_runs, task_runs, seconds, span, wall, share, tasks[subject]
            )
        )
    return sorted(found, key=lambda each: each.wall, reverse=True)
