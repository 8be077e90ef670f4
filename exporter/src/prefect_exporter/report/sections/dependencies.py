"""Dependencies: who starts whom, and what hangs on what fails."""

from __future__ import annotations

from collections import Counter

from prefect_exporter.report.graph.drawn import circle, drawn
from prefect_exporter.report.graph.tables import automations, blast_radius
from prefect_exporter.report.model import Graph, Section
from prefect_exporter.report.phrases import listed
from prefect_exporter.report.words import count
from prefect_exporter.report.workspace import Workspace

_KINDS = ("flow", "deployment", "automation", "event")
_NONE = "No flow or deployment was seen to start another one, and no automation starts any."


def section(workspace: Workspace) -> Section:
    """Return the graph of subflows, runs of deployments, automations and events."""
    graph = drawn(workspace)
    tables = (blast_radius(workspace), automations(workspace))
    return Section(
        "dependencies",
        "Dependencies",
        tuple(_paragraphs(workspace, graph)),
        tuple(each for each in tables if each.rows),
        graphs=(graph,) if graph.nodes else (),
    )


def _paragraphs(workspace: Workspace, graph: Graph) -> list[str]:
    paragraphs = [_summary(graph) if graph.nodes else _NONE]
    names = {each.id: each.name for each in graph.nodes}
    if graph.cycles:
        circles = [circle([names[each] for each in cycle]) for cycle in graph.cycles]
        paragraphs.append(f"Circles: {listed(circles)}.")
    if refused := [route for route in workspace.catalog.server.refused if "automation" in route]:
        paragraphs.append(f"Automations are missing: Prefect did not let us read {refused[0]}.")
    return paragraphs


def _summary(graph: Graph) -> str:
    kinds = Counter(each.kind for each in graph.nodes)
    parts = [count(kinds[kind], kind) for kind in _KINDS if kinds[kind]]
    return (
        f"{listed(parts, len(parts))} start or are started, by {count(len(graph.edges), 'arrow')}."
    )
