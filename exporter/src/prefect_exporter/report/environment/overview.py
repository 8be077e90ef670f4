"""How many there are of each thing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from prefect_exporter.report.cadence import active
from prefect_exporter.report.environment.limits import global_limits
from prefect_exporter.report.model import Column, Kind, Row, Table
from prefect_exporter.report.phrases import listed
from prefect_exporter.report.tables import table
from prefect_exporter.report.workspace import Subject, Workspace

_COLUMNS = (Column("Thing"), Column("Number", Kind.COUNT), Column("Of these"))
_MOST_KINDS = 8


def overview(workspace: Workspace) -> Table:
    """Return how many flows, deployments, pools and so on there are."""
    catalog = workspace.catalog
    pools = catalog.work_pools.values()
    queues = sum(each.is_paused for each in catalog.work_queues)
    online = sum(each.status == "ONLINE" for each in catalog.workers)
    disabled = sum(not each.enabled for each in catalog.automations)
    rows = (
        ("Flows", len(catalog.flows), ""),
        ("Deployments", len(catalog.deployments), _deployments(workspace)),
        ("Work pools", len(pools), _kinds(each.type for each in pools)),
        ("Work queues", len(catalog.work_queues), f"{queues} paused"),
        ("Workers", len(catalog.workers), f"{online} online"),
        ("Global concurrency limits", len(global_limits(catalog)), ""),
        ("Concurrency limits of tags", len(catalog.tag_limits), ""),
        ("Automations", len(catalog.automations), f"{disabled} disabled"),
        ("Blocks", len(catalog.blocks), _kinds(each.block_type.slug for each in catalog.blocks)),
        ("Variables", len(catalog.variables), ""),
    )
    return table("What there is", _COLUMNS, [Row(each) for each in rows])


def _deployments(workspace: Workspace) -> str:
    told = workspace.catalog.deployments
    scheduled = sum(bool(active(each.schedules)) for each in told.values())
    paused = sum(each.paused for each in told.values())
    subjects = [Subject(each.flow_id.bytes, key) for key, each in told.items()]
    owned = sum(bool(workspace.owner(each)) for each in subjects)
    return f"{scheduled} with an active schedule, {paused} paused, {owned} with an owner"


def _kinds(names: Iterable[str]) -> str:
    most = Counter(names).most_common()
    return listed([f"{number} {name}" for name, number in most], _MOST_KINDS)
