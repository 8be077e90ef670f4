"""Runs whose parameters are near the size that Prefect refuses."""

from __future__ import annotations

from collections.abc import Iterator

from prefect_exporter.report.evidence import run_links
from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Severity
from prefect_exporter.report.words import count, share, size
from prefect_exporter.report.workspace import Subject, Workspace

SECTION = "risks"
NEEDS = ()

LIMIT_BYTES = 524_288
"""Prefect's default: ``PREFECT_SERVER_API_MAX_PARAMETER_SIZE``; a larger run is refused."""

LEAST_SHARE = 0.75
"""Of the limit: what grows by a third fails."""

_LARGE = (
    "SELECT flow_id, deployment_id, COUNT(*), MAX(parameters_bytes), SUM(parameters_bytes)"
    " FROM flow_runs WHERE parameters_bytes >= ?"
    " AND coalesce(ended_us, expected_us, created_us) >= ?"
    " AND coalesce(ended_us, expected_us, created_us) < ? GROUP BY flow_id, deployment_id"
)
_LARGEST = (
    "WHERE flow_id = ? AND deployment_id = ? AND parameters_bytes >= ?"
    " ORDER BY parameters_bytes DESC LIMIT 5"
)


def check(workspace: Workspace) -> Iterator[Finding]:
    """Return the flows with such runs."""
    period, least = workspace.period, int(LEAST_SHARE * LIMIT_BYTES)
    rows = workspace.database.execute(_LARGE, (least, period.since_us, period.until_us)).fetchall()
    for flow_id, deployment_id, runs, largest, total in rows:
        yield _finding(workspace, Subject(flow_id, deployment_id), runs, largest, total)


def _finding(
    workspace: Workspace, subject: Subject, runs: int, largest: int, total: int
) -> Finding:
    name = workspace.name(subject)
    least = int(LEAST_SHARE * LIMIT_BYTES)
    found = workspace.flow_runs(_LARGEST, (*subject, least))
    return Finding(
        check="parameters-large",
        section=SECTION,
        severity=Severity.MEDIUM,
        subject=name,
        title=f"{name} is called with parameters of up to {size(largest)}",
        detail=(
            f"Prefect refuses to make a run whose parameters are larger than {size(LIMIT_BYTES)}"
            " (its default). They are also kept in the database, and sent with each list of runs."
        ),
        evidence=(
            Evidence(
                f"{count(runs, 'run')} with parameters of at least {size(least)}; the largest has"
                f" {size(largest)}, {share(largest / LIMIT_BYTES)} of the limit; together"
                f" {size(total)}.",
                {
                    "runs": runs,
                    "largest_bytes": largest,
                    "total_bytes": total,
                    "limit_bytes": LIMIT_BYTES,
                },
                run_links(workspace, (run.id for run in found)),
            ),
        ),
        action=Action(
            "Write the data to storage and pass its address, for example"
            f" {workspace.flow_name(subject.flow_id)}(path='s3://bucket/key')",
            Effort.HOURS,
            "Who calls the flow has to change with it.",
            "Take the old parameter back.",
        ),
        owner=workspace.owner(subject),
    )
