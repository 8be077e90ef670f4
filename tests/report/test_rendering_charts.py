"""Charts and the drawing of dependencies as SVG."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from xml.etree import ElementTree as ET

import pytest

from prefect_exporter.report.model import Chart, Edge, Graph, Kind, Node, Series, Shape
from prefect_exporter.report.rendering import charts, graphs

DAYS = ("Mon", "Tue", "Wed")


def chart(*values: float | None, shape: Shape = Shape.BAR, kind: Kind = Kind.COUNT) -> Chart:
    """Return a chart of one series."""
    return Chart("c", "Runs", shape, DAYS, (Series("completed", values),), kind)


def parsed(svg: str) -> ET.Element:
    """Return a drawing as elements."""
    return ET.fromstring(svg)  # noqa: S314 - our own


def graph(*pairs: str, cycles: Sequence[tuple[str, ...]] = ()) -> Graph:
    """Return a graph whose edges are written as two letters each."""
    nodes = sorted(set("".join(pairs)))
    return Graph(
        "g",
        "Who",
        tuple(Node(each, each, "flow") for each in nodes),
        tuple(Edge(each[0], each[1], "subflow") for each in pairs),
        tuple(cycles),
    )


def columns(drawing: graphs.Drawing) -> dict[str, float]:
    """Return how far on the right each node stands."""
    found = {}
    for node in parsed(drawing.svg).iter("g"):
        box, name = node.find("rect"), node.find("text[@class='name']")
        assert box is not None
        assert name is not None
        found[name.text or ""] = float(box.attrib["x"])
    return found


@pytest.mark.parametrize("shape", Shape)
def test_each_value_can_be_read_off(shape: Shape) -> None:
    """Where the pointer rests on a bar or a dot, it says what it is."""
    svg = parsed(charts.draw(chart(1, 12_345, 3, shape=shape)))

    titles = [each.text for each in svg.iter("title")]
    assert "Tue, completed: 12,345" in titles


def test_values_are_in_the_unit_of_the_chart() -> None:
    """The axis and the marks show seconds as people read them."""
    svg = charts.draw(chart(60.0, 3_600.0, 7_200.0, kind=Kind.SECONDS))

    assert "Tue, completed: 1 h 0 min" in svg


def test_missing_value_is_a_gap() -> None:
    """A line is interrupted where there is no value, and never drawn at zero."""
    svg = parsed(charts.draw(chart(1, None, 3, shape=Shape.LINE)))

    assert 2 == len(list(svg.iter("circle")))


@pytest.mark.parametrize("values", [(), (None, None, None), (float("nan"), float("inf"), None)])
def test_chart_without_values_says_so(values: tuple[float | None, ...]) -> None:
    """Where there is nothing to draw, the chart says that."""
    assert "No data" in charts.draw(chart(*values, shape=Shape.LINE))


def test_chart_is_bounded() -> None:
    """However many points and series there are, only so many are drawn."""
    labels = tuple(str(each) for each in range(5_000))
    series = tuple(Series(f"s{each}", (1.0,) * 5_000) for each in range(30))
    svg = charts.draw(Chart("c", "Runs", Shape.LINE, labels, series))

    assert f"color-{charts.COLOURS - 1}" in svg
    assert f"color-{charts.COLOURS}" not in svg
    assert len(svg) < 2_000_000


@pytest.mark.parametrize("shape", Shape)
def test_chart_brings_no_style_and_no_script(shape: Shape) -> None:
    """A strict policy has nothing to refuse."""
    svg = charts.draw(chart(1, 2, 3, shape=shape))

    assert not re.search(r"style=|<style|<script|<!--|http|\son\w+=|\sid=", svg)


def test_drawing_is_the_same_each_time() -> None:
    """Nothing in it comes from chance or the clock."""
    assert charts.draw(chart(1, 2, 3)) == charts.draw(chart(1, 2, 3))


def test_pygal_leaves_imports_alone() -> None:
    """Its import hook is gone: Python 3.11 warns of it at each import that finds nothing."""
    program = (
        "import prefect_exporter.report.rendering.charts\n"
        "try:\n    import there_is_none\nexcept ModuleNotFoundError:\n    pass\n"
    )
    subprocess.run([sys.executable, "-W", "error::ImportWarning", "-c", program], check=True)


def test_what_starts_others_stands_on_their_left() -> None:
    """A node stands on the right of all that start it."""
    found = columns(graphs.draw(graph("ab", "bc", "ac")))

    assert found["a"] < found["b"] < found["c"]


def test_cycle_stands_in_one_column() -> None:
    """What starts itself in the end has neither left nor right, and says that it is a cycle."""
    drawing = graphs.draw(graph("ab", "bc", "cb", "cd", cycles=[("b", "c")]))

    found = columns(drawing)
    assert found["a"] < found["b"] == found["c"] < found["d"]
    assert 2 == drawing.svg.count(">flow, cycle<")


def test_edges_seldom_cross() -> None:
    """Two chains that were told crosswise are drawn side by side."""
    drawing = graphs.draw(graph("ad", "bc"))
    heights = {
        (node.find("text[@class='name']").text or ""): float(node.find("rect").attrib["y"])  # type: ignore[union-attr]  # each node has both
        for node in parsed(drawing.svg).iter("g")
    }

    assert (heights["a"] < heights["b"]) == (heights["d"] < heights["c"])


def test_what_depends_on_nothing_is_counted_and_not_drawn() -> None:
    """A flow without an edge stands in the tables, not in the picture."""
    alone = Node("z", "alone", "flow")
    drawing = graphs.draw(Graph("g", "Who", (alone, *graph("ab").nodes), graph("ab").edges))

    assert 1 == drawing.alone
    assert "alone" not in drawing.svg
    assert graphs.Drawing("", 1, 0) == graphs.draw(Graph("g", "Who", (alone,), ()))


def test_edge_to_an_unknown_node_is_left_out() -> None:
    """An edge whose end is not told breaks nothing."""
    known = graph("ab")
    drawing = graphs.draw(Graph("g", "Who", known.nodes, (*known.edges, Edge("a", "?", "event"))))

    assert {"a", "b"} == set(columns(drawing))


def test_large_graph_shows_the_most_connected() -> None:
    """Of a thousand nodes the most connected are drawn, and the rest counted."""
    leaves = [Node(f"n{each}", f"n{each}", "flow") for each in range(1_000)]
    hub = Node("hub", "hub", "deployment", reach=1_000)
    edges = tuple(Edge("hub", each.id, "run_deployment", 1) for each in leaves)
    drawing = graphs.draw(Graph("g", "Who", (*leaves, hub), edges))

    assert graphs.MOST_NODES == len(columns(drawing))
    assert 1_001 - graphs.MOST_NODES == drawing.beyond
    assert "hub" in columns(drawing)
