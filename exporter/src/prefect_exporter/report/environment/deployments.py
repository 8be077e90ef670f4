"""Deployments: when they are due, whose they are, where they run, and how that went."""

from __future__ import annotations

from prefect_exporter.moments import moment
from prefect_exporter.report.cadence import active, per_day, words
from prefect_exporter.report.model import Column, Kind, Link, Row, Table
from prefect_exporter.report.phrases import listed
from prefect_exporter.report.tables import MOST_ROWS, table
from prefect_exporter.report.wire import ToldDeployment
from prefect_exporter.report.workspace import RunStats, Subject, Workspace

_NO_RUNS = RunStats()
_COLUMNS = (
    Column("Deployment"),
    Column("Owner"),
    Column("Schedule"),
    Column("Due a day", Kind.COUNT),
    Column("Runs", Kind.COUNT),
    Column("Failed", Kind.SHARE),
    Column("Work pool"),
    Column("Work queue"),
    Column("Version"),
    Column("Paused"),
)


def deployments(workspace: Workspace) -> Table:
    """Return all deployments, those with the most runs first."""
    found = [(Subject(each.flow_id.bytes, key), each) for key, each in _told(workspace)]
    found.sort(key=lambda pair: (-_stats(workspace, pair[0]).ended, workspace.name(pair[0])))
    # What is not shown is not reckoned either: a schedule can take long.
    rows = [_row(workspace, *pair) for pair in found[:MOST_ROWS]]
    note = (
        f"The {MOST_ROWS} of {len(found):,} with the most runs." if len(found) > MOST_ROWS else ""
    )
    return table("Deployments", _COLUMNS, rows, note)


def _told(workspace: Workspace) -> list[tuple[bytes, ToldDeployment]]:
    return list(workspace.catalog.deployments.items())


def _stats(workspace: Workspace, subject: Subject) -> RunStats:
    return workspace.stats.get(subject, _NO_RUNS)


def _row(workspace: Workspace, subject: Subject, told: ToldDeployment) -> Row:
    stats = _stats(workspace, subject)
    name = workspace.name(subject)
    timings = active(told.schedules)
    until = moment(workspace.period.until_us)
    often = [per_day(each, until) for each in timings]
    cells = (
        name,
        workspace.owner(subject),
        listed([words(each) for each in timings]) or _not_due(told),
        sum(each for each in often if each is not None) if timings else None,
        stats.ended,
        stats.failed / stats.ended if stats.ended else None,
        told.work_pool_name or "",
        told.work_queue_name or "",
        told.version or "",
        "yes" if told.paused else "",
    )
    return Row(cells, {"Deployment": Link(name, workspace.question.links.deployment(told.id))})


def _not_due(told: ToldDeployment) -> str:
    return "none active" if told.schedules else "none"
