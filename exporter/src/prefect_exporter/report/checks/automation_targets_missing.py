"""An automation that starts, pauses or resumes a deployment that is gone."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from prefect_exporter.report.graph.automations import actions
from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Link, Severity
from prefect_exporter.report.phrases import command, listed
from prefect_exporter.report.wire import ToldAutomation
from prefect_exporter.report.workspace import Workspace

SECTION = "dependencies"
NEEDS = ("deployments",)

_KINDS = ("run-deployment", "pause-deployment", "resume-deployment")


def check(workspace: Workspace) -> Iterator[Finding]:
    """Find enabled automations with actions about deployments that do not exist."""
    if not workspace.catalog.deployments:
        # Then they may not have been read: nothing can be called gone.
        return
    for each in workspace.catalog.automations:
        missing = _missing(workspace, each) if each.enabled else []
        if missing:
            yield _finding(workspace, each, missing)


def _missing(workspace: Workspace, automation: ToldAutomation) -> list[UUID]:
    keys = {key for kind in _KINDS for key in actions(automation, kind) if key is not None}
    return sorted(key for key in keys if key.bytes not in workspace.catalog.deployments)


def _finding(workspace: Workspace, automation: ToldAutomation, missing: list[UUID]) -> Finding:
    name, key = automation.name, str(automation.id)
    gone = listed([str(each) for each in missing])
    evidence = Evidence(
        f"There is no deployment with the id that its actions have: {gone}.",
        {"missing": len(missing), "deployment_ids": gone},
        (Link(name, workspace.question.links.automation(automation.id)),),
    )
    return Finding(
        check="automation-targets-missing",
        section=SECTION,
        severity=Severity.HIGH,
        subject=f"automation {name}",
        title=f"Automation {name} is about a deployment that is gone",
        detail="When its event comes nothing starts, and only an event tells of it. A deployment"
        " that was deleted and made again has another id.",
        evidence=(evidence,),
        action=Action(
            command("prefect", "automation", "inspect", "--id", key, "--yaml")
            + " > automation.yaml  # write the new deployment_id into it, then: "
            + command("prefect", "automation", "update", "--id", key, "-f", "automation.yaml"),
            Effort.MINUTES,
            "It starts runs again when its event comes.",
            command("prefect", "automation", "pause", "--id", key),
        ),
    )
