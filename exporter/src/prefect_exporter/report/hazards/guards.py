"""What guards each flow: its owner, retries, usual and longest runs, lateness, parameters."""

from __future__ import annotations

from typing import NamedTuple

from prefect_exporter.report.hazards.punctuality import LATE_SECONDS, punctuality
from prefect_exporter.report.model import Column, Kind, Row, Table
from prefect_exporter.report.places import subject_link
from prefect_exporter.report.statistics import quantile
from prefect_exporter.report.tables import table
from prefect_exporter.report.words import duration
from prefect_exporter.report.workspace import RunStats, Subject, Workspace

_COLUMNS = (
    Column("Subject"),
    Column("Owner"),
    Column("Failed share", Kind.SHARE),
    Column("Flow retries"),
    Column("Tasks with retries", Kind.SHARE),
    Column("95 % of runs within", Kind.SECONDS),
    Column("Longest run", Kind.SECONDS),
    Column("Late starts", Kind.SHARE),
    Column("Overlapping runs", Kind.COUNT),
    Column("Largest parameters", Kind.BYTES),
)
_FLOWS = (
    "SELECT flow_id, deployment_id, MIN(CASE WHEN retries >= 0 THEN retries END), MAX(retries),"
    " MAX(parameters_bytes), MAX(seconds) FROM flow_runs WHERE ended_us >= ? AND ended_us < ?"
    " GROUP BY flow_id, deployment_id"
)
_TASKS = (
    "SELECT r.flow_id, r.deployment_id, AVG(t.retries > 0) FROM task_runs t"
    " JOIN flow_runs r ON r.id = t.flow_run_id WHERE t.retries >= 0 AND t.child_flow_run_id = x''"
    " GROUP BY r.flow_id, r.deployment_id"
)


class _Guards(NamedTuple):
    """Of one subject: retries that its runs allow, the largest of its runs."""

    least_retries: int | None
    most_retries: int
    parameters_bytes: int
    longest: float

    @property
    def retries(self) -> str:
        """In words."""
        if self.least_retries is None:
            return "not known"
        if self.least_retries == self.most_retries:
            return str(self.most_retries)
        return f"{self.least_retries} to {self.most_retries}"


def guards_table(workspace: Workspace) -> Table:
    """Return the guards of each flow with runs, those that fail most first."""
    period = workspace.period
    found = {
        Subject(flow_id, deployment_id): _Guards(*more)
        for flow_id, deployment_id, *more in workspace.database.execute(
            _FLOWS, (period.since_us, period.until_us)
        )
    }
    tasks = {
        Subject(flow_id, deployment_id): part
        for flow_id, deployment_id, part in workspace.database.execute(_TASKS)
    }
    subjects = sorted(found, key=lambda each: (-_failed(workspace, each), workspace.name(each)))
    return table(
        "What guards each flow",
        _COLUMNS,
        [_row(workspace, each, found[each], tasks.get(each)) for each in subjects],
        f"Late: more than {duration(LATE_SECONDS)} after a scheduled run was due. Prefect's API"
        " tells retries but no time limits: the longest run is what it shows of them. Tasks are of"
        " the runs that were read.",
    )


def _failed(workspace: Workspace, subject: Subject) -> float:
    stats = workspace.stats.get(subject)
    return stats.failed / stats.ended if stats and stats.ended else 0.0


def _row(workspace: Workspace, subject: Subject, guards: _Guards, tasks: float | None) -> Row:
    stats = workspace.stats.get(subject, RunStats())
    due = punctuality(workspace).get(subject)
    cells = (
        workspace.name(subject),
        workspace.owner(subject),
        _failed(workspace, subject),
        guards.retries,
        tasks,
        quantile(stats.durations, 0.95) if stats.durations else None,
        guards.longest,
        sum(due.late) / len(due.waits) if due and due.waits else None,
        due.overlaps if due else None,
        guards.parameters_bytes,
    )
    return Row(cells, {"Subject": subject_link(workspace, subject)})
