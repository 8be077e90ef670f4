"""Tables of dependencies: what hangs on what fails, and what automations do."""

from __future__ import annotations

from prefect_exporter.report.graph.arrows import event_name, node_of
from prefect_exporter.report.graph.automations import actions, waits_for
from prefect_exporter.report.graph.drawn import name_of
from prefect_exporter.report.graph.network import Network, network
from prefect_exporter.report.model import Column, Kind, Link, Row, Table
from prefect_exporter.report.phrases import listed
from prefect_exporter.report.places import subject_link
from prefect_exporter.report.tables import table
from prefect_exporter.report.wire import ToldAutomation
from prefect_exporter.report.workspace import Subject, Workspace

_BLAST = (
    Column("Flow or deployment"),
    Column("Runs", Kind.COUNT),
    Column("Failed", Kind.SHARE),
    Column("Starts", Kind.COUNT),
    Column("Called by", Kind.COUNT),
    Column("Hurt by it", Kind.COUNT),
    Column("Blast radius", Kind.COUNT),
)
_LONGEST_KIND = 64
_BLAST_NOTE = (
    "Starts and Called by count flows and deployments near and far. The blast radius is the share"
    " of failed runs times how many others are hurt: they fail too, or do not start."
)
_AUTOMATIONS = (
    Column("Automation"),
    Column("Enabled"),
    Column("Waits for"),
    Column("Does"),
    Column("Runs started", Kind.COUNT),
)


def blast_radius(workspace: Workspace) -> Table:
    """Return what failed and others depend on, the widest blast first."""
    of_it = network(workspace)
    found = []
    for node in of_it.nodes:
        subject = of_it.subjects.get(node)
        stats = workspace.stats.get(subject) if subject else None
        if subject and stats and stats.failed and (hurt := of_it.hurt_by(node)):
            share = stats.failed / stats.ended
            row = _blast_row(workspace, of_it, subject, (stats.ended, share, len(hurt)))
            found.append((-share * len(hurt), row))
    rows = [row for _, row in sorted(found, key=lambda pair: (pair[0], str(pair[1].cells)))]
    return table("What hangs on what fails", _BLAST, rows, _BLAST_NOTE)


def _blast_row(
    workspace: Workspace, of_it: Network, subject: Subject, numbers: tuple[int, float, int]
) -> Row:
    name, node = workspace.name(subject), node_of(subject)
    runs, share, hurt = numbers
    counts = (of_it.reach[node], len(of_it.callers(node)), hurt)
    link = subject_link(workspace, subject)
    return Row((name, runs, share, *counts, round(share * hurt, 2)), {"Flow or deployment": link})


def automations(workspace: Workspace) -> Table:
    """Return the automations that start deployments, or are about flow runs; by name."""
    runs: dict[str, int] = {}
    for each in network(workspace).arrows:
        if each.kind == "automation":
            runs[each.source] = runs.get(each.source, 0) + each.runs
    every = sorted(workspace.catalog.automations, key=lambda each: each.name)
    rows = [_automation_row(workspace, each, runs) for each in every]
    return table("Automations", _AUTOMATIONS, rows)


def _automation_row(workspace: Workspace, told: ToldAutomation, runs: dict[str, int]) -> Row:
    cells = (
        told.name,
        "yes" if told.enabled else "no",
        listed([event_name(each) for each in waits_for(told)]),
        _does(workspace, told),
        runs.get(f"automation:{told.id}", 0),
    )
    links = workspace.question.links
    return Row(cells, {"Automation": Link(told.name, links.automation(told.id))})


def _does(workspace: Workspace, told: ToldAutomation) -> str:
    of_it = network(workspace)
    started = [
        f"runs {name_of(workspace, of_it, f'deployment:{key}')}" if key else "runs the event's own"
        for key in actions(told, "run-deployment")
    ]
    kinds = [str(each.get("type", ""))[:_LONGEST_KIND] for each in told.actions]
    return listed([*started, *(kind for kind in kinds if kind != "run-deployment")])
