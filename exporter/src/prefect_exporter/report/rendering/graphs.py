"""Who depends on whom, as SVG: what starts others on the left, what is started on the right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

import networkx as nx

from prefect_exporter.report.model import Edge, Graph, Kind, Node
from prefect_exporter.report.rendering.charts import element
from prefect_exporter.report.rendering.words import address, clipped, shown, visible

MOST_NODES = 150
"""More cannot be read in one picture; the table beside it has the edges."""

_BOX_WIDTH, _BOX_HEIGHT = 220, 42
_COLUMN, _LINE = 310, 56
_MARGIN = 16
_SWEEPS = 4
"""After so many, an order in which few edges cross seldom gets better."""
_MOST_NAME = 30

Place = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture and what it leaves out.

    Args:
        svg: The element as text; "" where nothing depends on anything.
        alone: How many nodes have no edge; they are not drawn.
        beyond: How many nodes did not fit.
    """

    svg: str
    alone: int
    beyond: int


def draw(graph: Graph) -> Drawing:
    """Return a graph as a picture, with its most connected nodes."""
    known = {node.id: node for node in graph.nodes}
    edges = [each for each in graph.edges if each.source in known and each.target in known]
    degrees = Counter(end for each in edges for end in (each.source, each.target))
    joined = sorted(degrees, key=lambda node: (-degrees[node], -known[node].reach, node))
    kept = {node: known[node] for node in joined[:MOST_NODES]}
    edges = [each for each in edges if each.source in kept and each.target in kept]
    alone, beyond = len(known) - len(joined), len(joined) - len(kept)
    if not kept:
        return Drawing("", alone, beyond)
    places = _places(kept, edges)
    cyclic = {node for cycle in graph.cycles for node in cycle}
    return Drawing(_svg(graph, kept, edges, places, cyclic), alone, beyond)


def _places(nodes: Mapping[str, Node], edges: Sequence[Edge]) -> Mapping[str, Place]:
    """Return the left upper corner of each node's box."""
    net: nx.DiGraph[str] = nx.DiGraph()
    net.add_nodes_from(sorted(nodes))
    net.add_edges_from((each.source, each.target) for each in edges)
    columns = _ordered(net, _layers(net))
    return {
        node: (_MARGIN + _COLUMN * x, _MARGIN + _LINE * y)
        for x, column in enumerate(columns)
        for y, node in enumerate(column)
    }


def _layers(net: nx.DiGraph[str]) -> list[list[str]]:
    """Return the nodes by their distance from what nothing starts; a cycle is in one layer."""
    condensed = nx.condensation(net)
    return [
        sorted(node for each in generation for node in condensed.nodes[each]["members"])
        for generation in nx.topological_generations(condensed)
    ]


def _ordered(net: nx.DiGraph[str], layers: list[list[str]]) -> list[list[str]]:
    """Put each node near the middle of its neighbours, so that few edges cross."""
    for sweep in range(_SWEEPS):
        row = {node: place for layer in layers for place, node in enumerate(layer)}
        near = net.predecessors if sweep % 2 == 0 else net.successors

        def middle(node: str, row: dict[str, int] = row) -> tuple[float, str]:
            rows = [row[each] for each in near(node)]  # noqa: B023 - used within this sweep alone
            return (sum(rows) / len(rows) if rows else row[node], node)

        layers = [sorted(layer, key=middle) for layer in layers]
    return layers


def _svg(
    graph: Graph,
    nodes: Mapping[str, Node],
    edges: Sequence[Edge],
    places: Mapping[str, Place],
    cyclic: set[str],
) -> str:
    width = max(x for x, _ in places.values()) + _BOX_WIDTH + 3 * _MARGIN
    height = max(y for _, y in places.values()) + _BOX_HEIGHT + _MARGIN
    svg = ET.Element("svg", {"class": "graph", "viewBox": f"0 0 {width:.0f} {height:.0f}"})
    arrow = f"arrow-{_css(graph.id)}"
    _arrow(svg, arrow)
    for edge in edges:
        _edge(svg, edge, nodes, places).attrib["marker-end"] = f"url(#{arrow})"
    for key, node in nodes.items():
        _node(svg, node, places[key], in_cycle=key in cyclic)
    text = element(svg, visible(graph.title), "group")
    return text.replace("<svg ", f'<svg width="{width:.0f}" height="{height:.0f}" ', 1)


def _arrow(svg: ET.Element, name: str) -> None:
    marker = ET.SubElement(
        ET.SubElement(svg, "defs"),
        "marker",
        {"id": name, "viewBox": "0 0 8 8", "refX": "8", "refY": "4", "orient": "auto"},
    )
    marker.attrib |= {"markerWidth": "8", "markerHeight": "8", "markerUnits": "userSpaceOnUse"}
    ET.SubElement(marker, "path", {"class": "head", "d": "M0 0 L8 4 L0 8 z"})


def _edge(
    svg: ET.Element, edge: Edge, nodes: Mapping[str, Node], places: Mapping[str, Place]
) -> ET.Element:
    (x, y), (to_x, to_y) = places[edge.source], places[edge.target]
    y, to_y = y + _BOX_HEIGHT / 2, to_y + _BOX_HEIGHT / 2
    x += _BOX_WIDTH
    if to_x > x:
        bend, to_bend = x + 45, to_x - 45
    else:
        # Within a cycle: out on the right, and back in from there.
        to_x += _BOX_WIDTH
        y, to_y = y + 8, to_y - 8
        bend = to_bend = max(x, to_x) + 40
    curve = f"M{x:.0f} {y:.0f} C{bend:.0f} {y:.0f} {to_bend:.0f} {to_y:.0f} {to_x:.0f} {to_y:.0f}"
    path = ET.SubElement(svg, "path", {"class": f"edge {_css(edge.kind)}", "d": curve})
    ends = f"{nodes[edge.source].name} → {nodes[edge.target].name}"
    ET.SubElement(path, "title").text = visible(f"{ends} ({_words(edge.kind)}, {edge.runs} runs)")
    return path


def _node(svg: ET.Element, node: Node, place: Place, *, in_cycle: bool) -> None:
    x, y = place
    failing = " failing" if node.failed_share else ""
    url = address(node.link)
    followed = {"href": url, "rel": "noreferrer"} if url else {}
    css = f"node {_css(node.kind)}{failing}"
    box = ET.SubElement(svg, "a" if url else "g", {"class": css, **followed})
    facts = _facts(node, in_cycle=in_cycle)
    ET.SubElement(box, "title").text = visible(f"{node.name}: {facts}, {node.reach} downstream")
    size = {"width": str(_BOX_WIDTH), "height": str(_BOX_HEIGHT), "rx": "6"}
    ET.SubElement(box, "rect", {"x": f"{x:.0f}", "y": f"{y:.0f}", **size})
    for line, text, css in ((18, clipped(node.name, _MOST_NAME), "name"), (34, facts, "facts")):
        at = {"x": f"{x + 10:.0f}", "y": f"{y + line:.0f}", "class": css}
        ET.SubElement(box, "text", at).text = visible(text)


def _facts(node: Node, *, in_cycle: bool) -> str:
    facts = [_words(node.kind)]
    if node.runs:
        facts.append(f"{node.runs:,} runs")
    if node.failed_share:
        facts.append(f"{shown(node.failed_share, Kind.SHARE)} failed")
    if in_cycle:
        facts.append("cycle")
    return ", ".join(facts)


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def _css(kind: str) -> str:
    """Return a kind as the name of a class; only letters are taken over."""
    return "".join(each for each in kind if each.isascii() and each.isalpha())
