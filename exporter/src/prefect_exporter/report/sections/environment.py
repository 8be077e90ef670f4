"""Environment: what the workspace is made of."""

from __future__ import annotations

from prefect_exporter.report.environment.deployments import deployments
from prefect_exporter.report.environment.limits import limits
from prefect_exporter.report.environment.overview import overview
from prefect_exporter.report.environment.paused import paused
from prefect_exporter.report.environment.work_pools import work_pools
from prefect_exporter.report.environment.work_queues import work_queues
from prefect_exporter.report.environment.workers import workers
from prefect_exporter.report.model import Section
from prefect_exporter.report.workspace import Workspace

_TABLES = (overview, deployments, work_pools, work_queues, workers, limits, paused)


def section(workspace: Workspace) -> Section:
    """Return flows, deployments, pools, queues, workers and limits as they are now."""
    tables = [each(workspace) for each in _TABLES]
    filled = tuple(each for each in tables if each.rows)
    return Section("environment", "Environment", tuple(_paragraphs(workspace)), filled)


def _paragraphs(workspace: Workspace) -> list[str]:
    server = workspace.catalog.server
    where = "Prefect Cloud" if workspace.question.is_cloud else "a Prefect server"
    version = f", version {server.version}" if server.version else ""
    paragraphs = [f"The workspace is at {workspace.question.api_url}, {where}{version}."]
    if server.refused:
        routes = ", ".join(sorted(server.refused))
        paragraphs.append(f"Prefect did not let us read: {routes}. What these hold is not here.")
    return paragraphs
