"""Charts as SVG inside a page: drawn by pygal, coloured by the page's style sheet.

Neither style, script nor outside address is in them, so that a strict policy lets them through, and
they follow the reader's choice of dark or light.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from xml.etree import ElementTree as ET

import pygal
from pygal.style import Style

from prefect_exporter.report.model import Chart, Series, Shape
from prefect_exporter.report.rendering.words import clipped, shown, visible

# pygal looks for maps in every import of the process that finds nothing, by a hook that Python 3.11
# warns of each time. There are no maps here.
sys.meta_path[:] = [each for each in sys.meta_path if type(each).__module__ != "pygal"]

COLOURS = 8
"""The style sheet has so many; a chart with more series shows the first ones."""

_WIDTH, _HEIGHT = 860, 300
_MOST_POINTS = 400
_MOST_LABELS = 12
_MOST_NAME = 40
_MOST_LABEL = 24
_MOST_LETTERS = 125
"""Of the labels side by side, in the width of a chart."""
_SHAPES = {Shape.LINE: pygal.Line, Shape.BAR: pygal.Bar, Shape.STACKED: pygal.StackedBar}
_FONT = "system-ui, sans-serif"
_STYLE = Style(font_family=_FONT, label_font_size=12, major_label_font_size=12, legend_font_size=13)


def draw(chart: Chart) -> str:
    """Return a chart as an ``svg`` element, as text."""
    drawn = _SHAPES[chart.shape](
        style=_STYLE,
        width=_WIDTH,
        height=_HEIGHT,
        js=[],
        legend_at_bottom=True,
        legend_at_bottom_columns=2 if any(map(_is_long, chart.series)) else 4,
        show_legend=len(chart.series) > 1,
        truncate_legend=_MOST_NAME,
        truncate_label=_MOST_LABEL,
        dots_size=2.5,
        include_x_axis=True,
        allow_interruptions=True,
        max_scale=6,
        no_data_text="No data",
        value_formatter=lambda value: shown(value, chart.kind),
    )
    labels = [clipped(visible(each), _MOST_LABEL) for each in chart.labels[:_MOST_POINTS]]
    drawn.x_labels = labels
    every = math.ceil(len(labels) / _MOST_LABELS) or 1
    if every > 1:
        drawn.show_minor_x_labels = False
        drawn.x_labels_major_every = every
    if sum(map(len, labels[::every])) > _MOST_LETTERS:
        drawn.x_label_rotation = 20
    for series in chart.series[:COLOURS]:
        drawn.add(_name(series), _numbers(series, len(labels)))
    svg = drawn.render_tree()
    _strip(svg)
    _name_values(svg, [_name(each) for each in chart.series])
    return element(svg, visible(chart.title))


def element(svg: ET.Element, title: str, role: str = "img") -> str:
    """Return an ``svg`` element as text that HTML can hold, with a name.

    Args:
        svg: The element.
        title: Its name.
        role: ``img`` for one picture, ``group`` for one whose parts can be followed.
    """
    svg.attrib = {
        "viewBox": svg.attrib["viewBox"],
        "class": svg.attrib["class"],
        "role": role,
        "aria-label": title,
    }
    return ET.tostring(svg, encoding="unicode", short_empty_elements=False)


def _name(series: Series) -> str:
    return clipped(visible(series.name), _MOST_NAME)


def _is_long(series: Series) -> bool:
    return len(series.name) > _MOST_NAME / 2


def _numbers(series: Series, most: int) -> Sequence[float | None]:
    return [
        each if each is not None and math.isfinite(each) else None for each in series.values[:most]
    ]


def _strip(svg: ET.Element) -> None:
    """Take out what pygal puts in for its own style and script, and what names it by chance."""
    for parent in list(svg.iter()):
        for child in list(parent):
            # A comment's tag is a function.
            foreign = not isinstance(child.tag, str) or child.tag in {"defs", "title"}
            if foreign or "tooltip-overlay" in child.attrib.get("class", ""):
                parent.remove(child)
        for name in ("id", "xmlns"):
            parent.attrib.pop(name, None)


def _name_values(svg: ET.Element, names: Sequence[str]) -> None:
    """Let each bar and each dot say its value where the pointer rests on it."""
    for number, name in enumerate(names):
        for series in svg.iter("g"):
            if f"serie-{number}" in series.attrib.get("class", "").split():
                for mark in series.iter("g"):
                    _name_value(mark, name)


def _name_value(mark: ET.Element, name: str) -> None:
    told = {each.attrib["class"]: each.text or "" for each in mark.findall("desc")}
    for each in mark.findall("desc"):
        mark.remove(each)
    if "value" in told:
        ET.SubElement(mark, "title").text = f"{told.get('x_label', '')}, {name}: {told['value']}"
