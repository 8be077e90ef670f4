"""Of what a report may say that it did not run: what it is narrowed to hides the other runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prefect_exporter.report.question import Question
from prefect_exporter.report.wire import ToldDeployment
from prefect_exporter.report.workspace import Subject, Workspace


def is_narrowed(workspace: Workspace) -> bool:
    """Return whether runs were left out, so that no pool, queue or limit can be called unused."""
    return bool(workspace.question.flows or workspace.question.tags)


def deployments(workspace: Workspace) -> Iterator[tuple[Subject, ToldDeployment]]:
    """Return the deployments whose runs were all read, by name."""
    found = [
        (Subject(each.flow_id.bytes, key), each)
        for key, each in workspace.catalog.deployments.items()
        if _is_read(workspace, each)
    ]
    yield from sorted(found, key=lambda pair: workspace.name(pair[0]))


def _is_read(workspace: Workspace, deployment: ToldDeployment) -> bool:
    question = workspace.question
    flow = workspace.catalog.flows.get(deployment.flow_id.bytes)
    if question.flows and (flow is None or flow.name not in question.flows):
        return False
    return not question.tags or _has_tag(question, deployment.tags, flow.tags if flow else ())


def _has_tag(question: Question, *tags: Iterable[str]) -> bool:
    return any(tag in question.tags for each in tags for tag in each)
