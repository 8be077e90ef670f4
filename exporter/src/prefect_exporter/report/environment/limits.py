"""Concurrency limits: global ones, of tags, and of deployments; those of pools stand there."""

from __future__ import annotations

from collections.abc import Iterator

from prefect_exporter.report.catalog import Catalog
from prefect_exporter.report.model import Column, Kind, Link, Row, Table
from prefect_exporter.report.tables import table
from prefect_exporter.report.wire import ConcurrencyLimit
from prefect_exporter.report.workspace import Subject, Workspace

_COLUMNS = (
    Column("Limit"),
    Column("Of"),
    Column("Slots", Kind.COUNT),
    Column("Slots used", Kind.COUNT),
    Column("Active"),
)


def limits(workspace: Workspace) -> Table:
    """Return the concurrency limits, by kind and name."""
    rows = [*_global(workspace), *_tags(workspace), *_deployments(workspace)]
    return table("Concurrency limits", _COLUMNS, rows)


def global_limits(catalog: Catalog) -> list[ConcurrencyLimit]:
    """Return those that somebody made: Prefect keeps those of tags and deployments there too."""
    every = sorted(catalog.concurrency_limits, key=lambda limit: limit.name)
    return [each for each in every if not each.name.startswith(("tag:", "deployment:"))]


def _global(workspace: Workspace) -> Iterator[Row]:
    for each in global_limits(workspace.catalog):
        used = round(each.active_slots)
        yield Row((each.name, "concurrency()", each.limit, used, "yes" if each.active else "no"))


def _tags(workspace: Workspace) -> Iterator[Row]:
    for each in sorted(workspace.catalog.tag_limits, key=lambda limit: limit.tag):
        yield Row((each.tag, "tag", each.concurrency_limit, len(each.active_slots), "yes"))


def _deployments(workspace: Workspace) -> Iterator[Row]:
    for key, told in workspace.catalog.deployments.items():
        if limit := told.global_concurrency_limit:
            name = workspace.name(Subject(told.flow_id.bytes, key))
            cells = (name, "deployment", limit.limit, round(limit.active_slots))
            link = Link(name, workspace.question.links.deployment(told.id))
            yield Row((*cells, "yes" if limit.active else "no"), {"Limit": link})
