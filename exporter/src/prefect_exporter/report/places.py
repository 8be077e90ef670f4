"""Where in Prefect a subject, a run or a pool is looked at: links for tables and evidence."""

from __future__ import annotations

from uuid import UUID

from prefect_exporter.report.model import Link
from prefect_exporter.report.workspace import Subject, Workspace


def subject_link(workspace: Workspace, subject: Subject) -> Link:
    """Return the page of a deployment, or of a flow that runs without one."""
    links, name = workspace.question.links, workspace.name(subject)
    if subject.deployment_id:
        return Link(name, links.deployment(UUID(bytes=subject.deployment_id)))
    return Link(name, links.flow(UUID(bytes=subject.flow_id)))


def run_link(workspace: Workspace, text: str, run_id: bytes) -> Link:
    """Return the page of a flow run."""
    return Link(text, workspace.run_url(run_id))


def pool_link(workspace: Workspace, name: str) -> Link:
    """Return the page of a work pool."""
    return Link(name, workspace.question.links.work_pool(name))
