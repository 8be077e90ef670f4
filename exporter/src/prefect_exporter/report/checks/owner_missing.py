"""Deployments that name no owner, where most others do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prefect_exporter.report.hazards.owners import without_owner
from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Severity
from prefect_exporter.report.phrases import listed
from prefect_exporter.report.places import subject_link
from prefect_exporter.report.words import count
from prefect_exporter.report.workspace import Subject, Workspace

SECTION = "risks"
NEEDS = ("flows", "deployments")

MOST = 20
"""Findings of their own; more become one."""


def check(workspace: Workspace) -> Iterator[Finding]:
    """Return the deployments without an owner; nothing where owners are no custom."""
    missing = without_owner(workspace)
    if len(missing) > MOST:
        yield _summary(workspace, missing)
        return
    for subject in missing:
        yield _finding(workspace, workspace.name(subject), [subject])


def _summary(workspace: Workspace, missing: Sequence[Subject]) -> Finding:
    return _finding(workspace, "the workspace", missing)


def _finding(workspace: Workspace, name: str, missing: Sequence[Subject]) -> Finding:
    key = workspace.question.owner_tags[0]
    names = [workspace.name(each) for each in missing]
    what = name if len(names) == 1 else count(len(names), "deployment")
    return Finding(
        check="owner-missing",
        section=SECTION,
        severity=Severity.LOW,
        subject=name,
        title=f"{what} {'names' if len(names) == 1 else 'name'} no owner",
        detail="When it fails, nobody knows whose it is. Most deployments beside it have a tag.",
        evidence=(
            Evidence(
                f"No tag {' or '.join(f'{each}:...' for each in workspace.question.owner_tags)} on"
                f" the deployment or its flow: {listed(names, 10)}.",
                {"deployments": len(names)},
                tuple(subject_link(workspace, each) for each in missing[:5]),
            ),
        ),
        action=Action(
            f'tags=["{key}:<who>"]  # in flow.deploy(...) or prefect.yaml of {listed(names, 10)}',
            Effort.MINUTES,
            "None: a tag changes no run, unless a concurrency limit has its name.",
            "Take the tag out again.",
        ),
    )
