"""The arrows of a workspace as a graph: what is downstream, what fails with it, what goes round."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import or_

import networkx as nx

from prefect_exporter.report.graph.arrows import (
    AUTOMATION,
    EVENT,
    RUN_DEPLOYMENT,
    SUBFLOW,
    Arrow,
    arrows,
    node_of,
)
from prefect_exporter.report.remembered import remembered
from prefect_exporter.report.workspace import Subject, Workspace

MOST_CYCLES = 50
_BY_CODE = (SUBFLOW, RUN_DEPLOYMENT)
_BY_ITSELF = (AUTOMATION, EVENT)


@dataclass(frozen=True, slots=True)
class Cycle:
    """Things that start each other.

    Args:
        nodes: In the order in which they do, the first one not again.
        by_itself: No code decides whether it goes on: automations start it after any end.
    """

    nodes: tuple[str, ...]
    arrows: tuple[Arrow, ...]
    by_itself: bool


class Network:
    """Who starts whom.

    Args:
        arrows: All of them.
        subjects: Whose the nodes are that are flows or deployments.
    """

    def __init__(self, arrows: Sequence[Arrow], subjects: Mapping[str, Subject]) -> None:
        self.arrows = arrows
        self.subjects = subjects
        self._all = _digraph(arrows)
        self._hurting = _digraph([each for each in arrows if each.hurts])
        self._code = _digraph([each for each in arrows if each.kind in _BY_CODE])
        self._events = _digraph([each for each in arrows if each.kind == EVENT and each.hurts])

    @property
    def nodes(self) -> list[str]:
        """All nodes that have an arrow, in order."""
        return sorted(self._all)

    @cached_property
    def reach(self) -> Mapping[str, int]:
        """How many flows and deployments start because of a node, however far away."""
        bits = {node: 1 << place for place, node in enumerate(self.subjects)}
        parts = nx.condensation(self._all)
        below: dict[int, int] = {}
        reach: dict[str, int] = {}
        # From the ends up, each part's set as the bits of one number: quick where a set is not.
        for part in reversed(list(nx.topological_sort(parts))):
            members = parts.nodes[part]["members"]
            own = reduce(or_, (bits.get(node, 0) for node in members), 0)
            below[part] = reduce(or_, (below[each] for each in parts.successors(part)), own)
            reach |= {node: (below[part] & ~bits.get(node, 0)).bit_count() for node in members}
        return reach

    def callers(self, node: str) -> frozenset[str]:
        """Return the flows and deployments whose code starts a node, however far away."""
        found = nx.ancestors(self._code, node) if node in self._code else set()
        return self._others(found, node)

    def hurt_by(self, node: str) -> frozenset[str]:
        """Return what fails with a node, or does not start.

        That is what it starts, whose code called it, and what waits for these callers.
        """
        callers = self.callers(node)
        waiting = (each for caller in callers for each in self._waiting_for(caller))
        hurt = set(callers)
        for start in (node, *waiting):
            if start in self._hurting:
                hurt |= nx.descendants(self._hurting, start)
        return self._others(hurt, node)

    def cycles(self) -> list[Cycle]:
        """Return a circle of each knot; those that go round by themselves come first."""
        driving = [each for each in self.arrows if each.kind in _BY_ITSELF and each.hurts]
        found = _cycles(driving, by_itself=True)
        seen = {node for each in found for node in each.nodes}
        found += [
            each
            for each in _cycles(self.arrows, by_itself=False)
            if not seen.intersection(each.nodes)
        ]
        return found[:MOST_CYCLES]

    def _waiting_for(self, node: str) -> Iterable[str]:
        return self._events.successors(node) if node in self._events else ()

    def _others(self, nodes: Iterable[str], node: str) -> frozenset[str]:
        return frozenset(each for each in nodes if each in self.subjects and each != node)


@remembered
def network(workspace: Workspace) -> Network:
    """Return who starts whom in a workspace."""
    told = workspace.catalog.deployments
    known = {Subject(each.flow_id.bytes, key) for key, each in told.items()} | set(workspace.stats)
    return Network(arrows(workspace), {node_of(each): each for each in known})


def _digraph(of: Sequence[Arrow]) -> nx.DiGraph[str]:
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_edges_from((each.source, each.target) for each in of)
    return graph


def _cycles(of: Sequence[Arrow], *, by_itself: bool) -> list[Cycle]:
    """Return one circle of each strongly connected part: there may be endlessly many of them."""
    graph = _digraph(of)
    between = {(each.source, each.target): each for each in of}
    found = []
    for part in nx.strongly_connected_components(graph):
        first = min(part)
        if len(part) > 1 or graph.has_edge(first, first):
            ends = nx.find_cycle(graph.subgraph(part), first)
            nodes = tuple(source for source, _ in ends)
            found.append(Cycle(nodes, tuple(between[end] for end in ends), by_itself))
    return sorted(found, key=lambda cycle: cycle.nodes)
