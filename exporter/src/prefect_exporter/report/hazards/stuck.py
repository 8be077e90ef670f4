"""Runs that are under way for far longer than their flow's usually are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from prefect_exporter.moments import HOUR, SECOND
from prefect_exporter.report.performance.waits import QUEUED_US
from prefect_exporter.report.remembered import remembered
from prefect_exporter.report.rows import FlowRunRow
from prefect_exporter.report.statistics import quantile
from prefect_exporter.report.workspace import RunStats, Subject, Workspace

FEWEST_RUNS = 10
"""Completed runs, so that the usual duration is known; without them no running run is stuck."""

LEAST_RATIO = 10.0
"""To the 95th percentile of the completed runs."""

LEAST_US = HOUR
"""Since it began, or was to begin: less is a slow start, or a large day."""

_ACTIVE = (
    "WHERE ended_us IS NULL AND state_type IN ('PENDING', 'RUNNING', 'CANCELLING')"
    " ORDER BY coalesce(started_us, expected_us, created_us)"
)


_LONGEST_WAIT = (
    f"SELECT MAX(MAX(0, started_us - {QUEUED_US})) FROM flow_runs"  # noqa: S608 - a constant
    " WHERE work_pool = ? AND deployment_id != x'' AND started_us >= ?"
)


class Stuck(NamedTuple):
    """One of them: how long it is under way, and how long 95 % of the completed ones took."""

    run: FlowRunRow
    seconds: float
    usual: float | None


def stuck(workspace: Workspace) -> Iterator[Stuck]:
    """Return the runs that are stuck now, the longest under way first."""
    for run in workspace.flow_runs(_ACTIVE):
        since_us = run.started_us if run.started_us is not None else run.queued_us
        if since_us is None:
            continue
        under_way_us = workspace.question.now_us - since_us
        usual = _usual(workspace.stats.get(Subject(run.flow_id, run.deployment_id)))
        least_us = _least_us(workspace, run, usual)
        if least_us is not None and under_way_us > least_us:
            yield Stuck(run, under_way_us / SECOND, usual)


@remembered
def _newest_wait_us(workspace: Workspace, work_pool: str) -> int:
    """Return the longest wait of the runs of a pool that started in the last hour."""
    values = (work_pool, workspace.question.now_us - LEAST_US)
    (longest,) = workspace.database.execute(_LONGEST_WAIT, values).fetchone()
    return int(longest or 0)


def _usual(stats: RunStats | None) -> float | None:
    if stats is None or len(stats.durations) < FEWEST_RUNS:
        return None
    return quantile(stats.durations, 0.95)


def _least_us(workspace: Workspace, run: FlowRunRow, usual: float | None) -> float | None:
    if run.state_type == "PENDING":
        # Nothing of the flow's own has begun: what its runs take says nothing of it. Where runs
        # of its pool have just begun after a long wait, it is a backlog that is worked off.
        return LEAST_US + _newest_wait_us(workspace, run.work_pool)
    if usual is None:
        return None
    return max(LEAST_US, LEAST_RATIO * usual * SECOND)
