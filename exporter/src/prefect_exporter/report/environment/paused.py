"""All that is paused or switched off: each was meant to be for a while."""

from __future__ import annotations

from collections.abc import Iterator

from prefect_exporter.moments import micros
from prefect_exporter.report.cadence import active
from prefect_exporter.report.model import Column, Kind, Link, Row, Table
from prefect_exporter.report.tables import table
from prefect_exporter.report.wire import ToldDeployment
from prefect_exporter.report.words import rfc3339
from prefect_exporter.report.workspace import Subject, Workspace

_COLUMNS = (Column("What"), Column("Kind"), Column("How"), Column("Last changed", Kind.TIME))


def paused(workspace: Workspace) -> Table:
    """Return what is paused, pools first since most hangs on them."""
    rows = [
        *_pools(workspace),
        *_queues(workspace),
        *_deployments(workspace),
        *_automations(workspace),
    ]
    return table("Paused or switched off", _COLUMNS, rows)


def _pools(workspace: Workspace) -> Iterator[Row]:
    for name, pool in sorted(workspace.catalog.work_pools.items()):
        if pool.is_paused:
            link = Link(name, workspace.question.links.work_pool(name))
            yield Row((name, "work pool", "paused", None), {"What": link})


def _queues(workspace: Workspace) -> Iterator[Row]:
    for queue in workspace.catalog.work_queues:
        if queue.is_paused:
            yield Row((f"{queue.work_pool_name}/{queue.name}", "work queue", "paused", None))


def _deployments(workspace: Workspace) -> Iterator[Row]:
    for key, told in workspace.catalog.deployments.items():
        if how := _how(told):
            name = workspace.name(Subject(told.flow_id.bytes, key))
            at = rfc3339(micros(told.updated)) if told.updated else None
            link = Link(name, workspace.question.links.deployment(told.id))
            yield Row((name, "deployment", how, at), {"What": link})


def _how(told: ToldDeployment) -> str:
    if told.paused:
        return "paused"
    return "no schedule is active" if told.schedules and not active(told.schedules) else ""


def _automations(workspace: Workspace) -> Iterator[Row]:
    for each in workspace.catalog.automations:
        if not each.enabled:
            at = rfc3339(micros(each.updated)) if each.updated else None
            link = Link(each.name, workspace.question.links.automation(each.id))
            yield Row((each.name, "automation", "disabled", at), {"What": link})
