"""What retries cost: the time of attempts that were for nothing.

Prefect keeps one time for all attempts of a run. If they took equally long, all but the last share
of it was lost; an attempt that failed early lost less, so these are estimates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from prefect_exporter.report.remembered import remembered
from prefect_exporter.report.workspace import Subject, Workspace

_FLOW_RUNS = """
SELECT flow_id, deployment_id, COUNT(*), SUM(attempts > 1), SUM(MAX(attempts - 1, 0)),
    SUM(seconds), SUM(CASE WHEN attempts > 1 THEN seconds * (attempts - 1) / attempts ELSE 0 END),
    SUM(attempts > 1 AND state_type = 'COMPLETED')
FROM flow_runs WHERE ended_us >= ? AND ended_us < ?
GROUP BY flow_id, deployment_id
"""
# A flow's retry runs its tasks again: those of a flow run that was retried are in its own time.
_TASK_RUNS = """
SELECT flow_runs.flow_id, flow_runs.deployment_id, SUM(task_runs.attempts - 1),
    SUM(task_runs.seconds * (task_runs.attempts - 1) / task_runs.attempts)
FROM task_runs JOIN flow_runs ON flow_runs.id = task_runs.flow_run_id
WHERE flow_runs.ended_us >= ? AND flow_runs.ended_us < ? AND flow_runs.attempts <= 1
    AND task_runs.attempts > 1 AND task_runs.child_flow_run_id = x''
GROUP BY flow_runs.flow_id, flow_runs.deployment_id
"""


@dataclass(frozen=True, slots=True)
class Retrying:
    """The retries of one subject in the period.

    Args:
        runs: Flow runs that ended.
        retried: Of them, those with more than one attempt; *saved* of those, that completed.
        retries: Attempts beyond the first.
        total: Seconds of all its flow runs.
        lost: Of them, in attempts that were for nothing; an estimate.
        task_retries: Of the tasks that were read, in flow runs without a retry of their own.
        task_lost: Their seconds, likewise.
    """

    subject: Subject
    runs: int
    retried: int
    retries: int
    total: float
    lost: float
    saved: int
    task_retries: int = 0
    task_lost: float = 0.0

    @property
    def all_lost(self) -> float:
        """Seconds of flow runs' and tasks' attempts that were for nothing.

        Tasks that run at once take more seconds than their flow, which has lost all at most.
        """
        return min(self.lost + self.task_lost, self.total)


@remembered
def retrying(workspace: Workspace) -> Sequence[Retrying]:
    """Return the subjects with retries, the dearest first."""
    within = (workspace.period.since_us, workspace.period.until_us)
    found = {
        (each := Retrying(Subject(*row[:2]), *row[2:])).subject: each
        for row in workspace.database.execute(_FLOW_RUNS, within)
    }
    for flow_id, deployment_id, retries, lost in workspace.database.execute(_TASK_RUNS, within):
        subject = Subject(flow_id, deployment_id)
        found[subject] = replace(found[subject], task_retries=retries, task_lost=lost)
    some = (each for each in found.values() if each.retries or each.task_retries)
    return sorted(some, key=lambda each: each.all_lost, reverse=True)


_WORST_TASK = """
SELECT task_runs.task FROM task_runs JOIN flow_runs ON flow_runs.id = task_runs.flow_run_id
WHERE flow_runs.flow_id = ? AND flow_runs.deployment_id = ? AND flow_runs.attempts <= 1
    AND flow_runs.ended_us >= ? AND flow_runs.ended_us < ?
    AND task_runs.attempts > 1 AND task_runs.child_flow_run_id = x''
GROUP BY task_runs.task
ORDER BY SUM(task_runs.seconds * (task_runs.attempts - 1) / task_runs.attempts) DESC, task_runs.task
LIMIT 1
"""


def worst_task(workspace: Workspace, subject: Subject) -> str | None:
    """Return the task of a subject whose retries took the longest; None where none was retried."""
    values = (*subject, workspace.period.since_us, workspace.period.until_us)
    row = workspace.database.execute(_WORST_TASK, values).fetchone()
    return row[0] if row else None
