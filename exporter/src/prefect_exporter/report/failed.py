"""The failed runs of a period, what each is known by, and the groups of those that are alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from prefect_exporter.failures.grouping import group
from prefect_exporter.failures.model import Failed, Group, Signature
from prefect_exporter.failures.reading import Line, traceback_of
from prefect_exporter.failures.signatures import assigned
from prefect_exporter.report.question import Period
from prefect_exporter.report.remembered import remembered
from prefect_exporter.report.workspace import Subject, Workspace

BUCKETS = 28
"""Parts of a period in which a group's failures are counted: quarters of a day of a week."""

_WHERE = "WHERE state_type IN ('FAILED', 'CRASHED') AND ended_us >= ? AND ended_us < ?"
_SELECT_LOGS = (
    "SELECT l.flow_run_id, l.logger, l.task_run_id != x'', l.message FROM logs l"
    " JOIN flow_runs r ON r.id = l.flow_run_id WHERE r.ended_us >= ? AND r.ended_us < ?"
    " ORDER BY l.flow_run_id, l.at_us DESC"
)
_SELECT_SECONDS = f"SELECT id, seconds FROM flow_runs {_WHERE}"  # noqa: S608 - a constant


@dataclass(frozen=True, slots=True)
class Failures:
    """All failures of a period.

    Args:
        groups: The most failures first; ``buckets`` are ``BUCKETS`` equal parts of the period.
        signatures: By what each failed run is known, by the run's id.
        seconds: How long the runs of each group ran, by the group's id.
    """

    groups: Sequence[Group]
    signatures: Mapping[bytes, Signature]
    seconds: Mapping[str, float]


def failed_runs(workspace: Workspace, period: Period) -> Iterator[Failed]:
    """Return the flow runs that failed, timed out or crashed, in the order of their ends."""
    values = (period.since_us, period.until_us)
    for run in workspace.flow_runs(f"{_WHERE} ORDER BY ended_us, id", values):
        flow = workspace.flow_name(run.flow_id)
        named = workspace.name(Subject(run.flow_id, run.deployment_id))
        yield Failed(
            run.id,
            run.name,
            flow,
            named[len(flow) + 1 :],
            run.state_type,
            run.state_name,
            run.state_message,
            run.ended_us or 0,
        )


def groups(workspace: Workspace, period: Period) -> Sequence[Group]:
    """Return the groups of failures that are alike, the most failures first."""
    return failures(workspace, period).groups


@remembered
def failures(workspace: Workspace, period: Period) -> Failures:
    """Return the failures of a period; what is kept of each run is its id alone."""
    known = assigned(
        list(failed_runs(workspace, period)),
        tracebacks(workspace, period),
        workspace.question.error_rules,
    )
    signatures = {each.failed.run_id: each.signature for each in known}
    found = group(
        ((each.failed, each.signature) for each in known),
        since_us=period.since_us,
        until_us=period.until_us,
        buckets=BUCKETS,
    )
    return Failures(found, signatures, _seconds(workspace, period, signatures))


def tracebacks(workspace: Workspace, period: Period) -> Mapping[bytes, str]:
    """Return the tracebacks of the runs whose logs were read; "" where they have none."""
    rows = workspace.database.execute(_SELECT_LOGS, (period.since_us, period.until_us))
    return {
        run_id: traceback_of(
            Line(logger, bool(of_task), said) for _, logger, of_task, said in of_run
        )
        or ""
        for run_id, of_run in groupby(rows, key=lambda row: row[0])
    }


def _seconds(
    workspace: Workspace, period: Period, signatures: Mapping[bytes, Signature]
) -> Mapping[str, float]:
    """Return the run time of each group: only what is in the groups' signatures counts."""
    lost: dict[str, float] = {}
    rows = workspace.database.execute(_SELECT_SECONDS, (period.since_us, period.until_us))
    for run_id, seconds in rows:
        if signature := signatures.get(run_id):
            lost[signature.id] = lost.get(signature.id, 0.0) + seconds
    return lost
