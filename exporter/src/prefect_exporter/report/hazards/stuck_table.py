"""Runs that are under way, or wait, for far too long, as a table."""

from __future__ import annotations

from prefect_exporter.report.hazards.stuck import Stuck, stuck
from prefect_exporter.report.model import Column, Kind, Row, Table
from prefect_exporter.report.places import run_link, subject_link
from prefect_exporter.report.tables import table
from prefect_exporter.report.workspace import Subject, Workspace

_COLUMNS = (
    Column("Subject"),
    Column("Run", Kind.LINK),
    Column("State"),
    Column("Work pool"),
    Column("For", Kind.SECONDS),
    Column("95 % of runs within", Kind.SECONDS),
)


def stuck_table(workspace: Workspace) -> Table:
    """Return the runs that are stuck now, the longest first."""
    return table("Stuck runs", _COLUMNS, [_row(workspace, each) for each in stuck(workspace)])


def _row(workspace: Workspace, each: Stuck) -> Row:
    run = each.run
    subject = Subject(run.flow_id, run.deployment_id)
    cells = (
        workspace.name(subject),
        run.name,
        run.state_name,
        run.work_pool,
        each.seconds,
        each.usual,
    )
    links = {
        "Subject": subject_link(workspace, subject),
        "Run": run_link(workspace, run.name, run.id),
    }
    return Row(cells, links)
