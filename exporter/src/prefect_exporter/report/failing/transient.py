"""Failures that a second try often mends: what was asked did not answer, or not in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prefect_exporter.report.failed import failures
from prefect_exporter.report.remembered import remembered
from prefect_exporter.report.rows import FlowRunRow
from prefect_exporter.report.workspace import Subject, Workspace

CATEGORIES = ("upstream", "timeout")

_SELECT_FAILED = (
    "WHERE state_type = 'FAILED' AND state_name != 'TimedOut' AND ended_us >= ? AND ended_us < ?"
    " ORDER BY ended_us DESC, id"
)
_NEXT = (
    "SELECT state_type = 'COMPLETED' FROM flow_runs WHERE flow_id = ? AND deployment_id = ?"
    " AND ended_us > ? AND started_us > ? ORDER BY ended_us LIMIT 1"
)


@dataclass(frozen=True, slots=True)
class Transient:
    """The transient failures of one subject.

    Args:
        runs: That failed so, the newest first.
        recovered: After how many of them the subject's next run succeeded.
    """

    runs: Sequence[FlowRunRow]
    recovered: int


@remembered
def transient(workspace: Workspace) -> Mapping[Subject, Transient]:
    """Return the failures of categories ``upstream`` and ``timeout`` of the period, by subject.

    A flow that was stopped by its own time limit is none: it would take as long again.
    """
    period = workspace.period
    signatures = failures(workspace, period).signatures
    found: dict[Subject, list[FlowRunRow]] = {}
    for run in workspace.flow_runs(_SELECT_FAILED, (period.since_us, period.until_us)):
        signature = signatures.get(run.id)
        if signature and signature.category in CATEGORIES:
            found.setdefault(Subject(run.flow_id, run.deployment_id), []).append(run)
    return {
        subject: Transient(runs, sum(_recovered(workspace, run) for run in runs))
        for subject, runs in found.items()
    }


def _recovered(workspace: Workspace, run: FlowRunRow) -> bool:
    values = (run.flow_id, run.deployment_id, run.ended_us, run.ended_us)
    row = workspace.database.execute(_NEXT, values).fetchone()
    return bool(row and row[0])
