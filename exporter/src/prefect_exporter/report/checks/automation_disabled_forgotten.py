"""An automation that is disabled for so long that somebody may count on it."""

from __future__ import annotations

from collections.abc import Iterator

from prefect_exporter.moments import DAY, micros
from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Link, Severity
from prefect_exporter.report.phrases import command
from prefect_exporter.report.wire import ToldAutomation
from prefect_exporter.report.words import count, time
from prefect_exporter.report.workspace import Workspace

SECTION = "environment"
NEEDS = ()

LONGEST_US = 30 * DAY
"""How long one may be disabled: a month is longer than any maintenance."""


def check(workspace: Workspace) -> Iterator[Finding]:
    """Find automations that are disabled, and that nobody has changed for a month."""
    for each in workspace.catalog.automations:
        if each.enabled or each.updated is None:
            continue
        changed_us = micros(each.updated)
        if workspace.question.now_us - changed_us >= LONGEST_US:
            yield _finding(workspace, each, changed_us)


def _finding(workspace: Workspace, automation: ToldAutomation, changed_us: int) -> Finding:
    days = (workspace.question.now_us - changed_us) // DAY
    name, key = automation.name, str(automation.id)
    evidence = Evidence(
        f"It is disabled, and nobody has changed it for {count(days, 'day')}"
        f" (since {time(changed_us)}).",
        {"days": days, "changed": time(changed_us)},
        (Link(name, workspace.question.links.automation(automation.id)),),
    )
    return Finding(
        check="automation-disabled-forgotten",
        section=SECTION,
        severity=Severity.LOW,
        subject=f"automation {name}",
        title=f"Automation {name} is disabled, perhaps forgotten",
        detail="Who made it may still count on it. Enable it, or delete it:"
        f" {command('prefect', 'automation', 'delete', '--id', key)}",
        evidence=(evidence,),
        action=Action(
            command("prefect", "automation", "resume", "--id", key),
            Effort.MINUTES,
            "It acts on the next event that it waits for.",
            command("prefect", "automation", "pause", "--id", key),
        ),
    )
