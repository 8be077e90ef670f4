"""The network as the report has it: nodes with names and numbers, arrows, circles."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from prefect_exporter.report.graph.network import Network, network
from prefect_exporter.report.model import Edge, Graph, Link, Node
from prefect_exporter.report.places import subject_link
from prefect_exporter.report.workspace import Workspace

_MOST_NAMES = 8
_NOTE = (
    "An arrow goes from what starts to what is started; its number is of the runs of the period"
    " whose parent or automation was read."
)


def drawn(workspace: Workspace) -> Graph:
    """Return the graph of dependencies; flows and deployments without any are left out."""
    of_it = network(workspace)
    nodes = tuple(_node(workspace, of_it, each) for each in of_it.nodes)
    # Two arrows from one to another of one kind, of several triggers, are one line.
    runs: dict[tuple[str, str, str], int] = {}
    for each in of_it.arrows:
        key = (each.source, each.target, each.kind)
        runs[key] = runs.get(key, 0) + each.runs
    edges = tuple(Edge(*key, number) for key, number in sorted(runs.items()))
    cycles = tuple(each.nodes for each in of_it.cycles())
    return Graph("dependencies", "Who starts whom", nodes, edges, cycles, _NOTE)


def name_of(workspace: Workspace, of_it: Network, node: str) -> str:
    """Return what people call a node."""
    if subject := of_it.subjects.get(node):
        return workspace.name(subject)
    kind, _, key = node.partition(":")
    if kind == "event":
        return key
    if kind == "flow":
        return workspace.flow_name(UUID(key).bytes)
    known = (each.name for each in workspace.catalog.automations if str(each.id) == key)
    return next(known, "(deleted)")


def circle(names: Sequence[str]) -> str:
    """Return a circle in words, which ends where it began."""
    shown = list(names[:_MOST_NAMES])
    if len(names) > _MOST_NAMES:
        shown.append(f"{len(names) - _MOST_NAMES} more")
    return " > ".join([*shown, names[0]])


def _node(workspace: Workspace, of_it: Network, node: str) -> Node:
    kind = node.partition(":")[0]
    name = name_of(workspace, of_it, node)
    reach = of_it.reach[node]
    subject = of_it.subjects.get(node)
    stats = workspace.stats.get(subject) if subject else None
    link = _link(workspace, of_it, node, name)
    if stats is None:
        return Node(node, name, kind, reach=reach, link=link)
    share = stats.failed / stats.ended if stats.ended else None
    return Node(node, name, kind, stats.ended, share, reach, link)


def _link(workspace: Workspace, of_it: Network, node: str, name: str) -> Link | None:
    if subject := of_it.subjects.get(node):
        return subject_link(workspace, subject)
    kind, _, key = node.partition(":")
    links = workspace.question.links
    pages = {"flow": links.flow, "deployment": links.deployment, "automation": links.automation}
    return Link(name, pages[kind](UUID(key))) if kind in pages else None
