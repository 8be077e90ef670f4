"""Flows and deployments that start each other, round and round."""

from __future__ import annotations

from collections.abc import Iterator

from prefect_exporter.report.graph.drawn import circle, name_of
from prefect_exporter.report.graph.network import Cycle, network
from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Severity
from prefect_exporter.report.phrases import command
from prefect_exporter.report.places import subject_link
from prefect_exporter.report.words import count
from prefect_exporter.report.workspace import Subject, Workspace

SECTION = "dependencies"
NEEDS = ()

_BY_ITSELF = "Each end of a run makes the next one: it goes on until somebody stops it."
_BY_CODE = (
    "Whether it ends is up to the code, or to a run that ends well: a mistake there makes runs"
    " without end."
)
_MOST_LINKS = 5


def check(workspace: Workspace) -> Iterator[Finding]:
    """Find circles; those that no code can end are the dear ones."""
    of_it = network(workspace)
    for cycle in of_it.cycles():
        subjects = [of_it.subjects[each] for each in cycle.nodes if each in of_it.subjects]
        if subjects:
            yield _finding(workspace, cycle, min(subjects, key=workspace.name), subjects)


def _finding(
    workspace: Workspace, cycle: Cycle, subject: Subject, subjects: list[Subject]
) -> Finding:
    of_it = network(workspace)
    names = [name_of(workspace, of_it, each) for each in cycle.nodes]
    runs = sum(each.runs for each in cycle.arrows)
    name = workspace.name(subject)
    evidence = Evidence(
        f"{circle(names)}; {count(runs, 'run')} started along it in the period.",
        {"length": len(names), "runs": runs, "by_itself": cycle.by_itself},
        tuple(subject_link(workspace, each) for each in subjects[:_MOST_LINKS]),
    )
    return Finding(
        check="dependency-cycle",
        section=SECTION,
        severity=Severity.HIGH if cycle.by_itself else Severity.MEDIUM,
        subject=name,
        title=f"{name} starts itself again"
        + (f", by way of {count(len(names) - 1, 'other')}" if len(names) > 1 else ""),
        detail=_BY_ITSELF if cycle.by_itself else _BY_CODE,
        evidence=(evidence,),
        action=_action(workspace, cycle, name),
        owner=workspace.owner(subject),
    )


def _action(workspace: Workspace, cycle: Cycle, name: str) -> Action:
    automations = [each for each in cycle.nodes if each.startswith("automation:")]
    if not automations:
        return Action(
            f"In {name}: give the call a depth, and end where it is reached:"
            " def flow(depth: int = 0) ... if depth < 3: flow(depth + 1)",
            Effort.HOURS,
            "What needs more rounds than that ends early.",
            "Take the condition out again.",
        )
    key = automations[0].partition(":")[2]
    return Action(
        command("prefect", "automation", "pause", "--id", key),
        Effort.MINUTES,
        f"What {name_of(workspace, network(workspace), automations[0])} starts does not start"
        " any more: narrow its trigger to the flows that it is meant for, then resume it.",
        command("prefect", "automation", "resume", "--id", key),
    )
