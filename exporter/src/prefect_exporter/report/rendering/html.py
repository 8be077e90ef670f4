"""A report as one HTML file: it needs no script, no network and no other file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from prefect_exporter.report.model import (
    Cell,
    Chart,
    Column,
    Edge,
    Finding,
    Graph,
    Kind,
    Link,
    Node,
    Report,
    Row,
    Severity,
    Table,
)
from prefect_exporter.report.rendering import charts, graphs, words
from prefect_exporter.report.rendering.chapters import chapters
from prefect_exporter.report.rendering.policy import policy_for
from prefect_exporter.report.rendering.savings import saves

_MOST_OPEN = 10
"""So many findings of a section are shown at once; the rest can be unfolded."""
_MOST_ROWS = 1_000
"""Of the findings of one check that are not told in full."""
_MOST_NAME = 400
_MOST_TEXT = 4_000
_TEXTS = {Kind.TEXT, Kind.LINK}
_WIDTHS = ((20, "short"), (60, "text"))


def render(report: Report) -> str:
    """Return the report as HTML."""
    return _TEMPLATE.render(
        report=report,
        chapters=chapters(report),
        severities=[(each, _count(report.findings, each)) for each in Severity],
        policy=Markup(policy_for(_STYLE, _SCRIPT)),  # noqa: S704 - base64 of our own
        style=_STYLE,
        script=_SCRIPT,
        most_open=_MOST_OPEN,
    )


def _count(findings: Iterable[Finding], severity: Severity) -> int:
    return sum(each.severity is severity for each in findings)


def _tabled(chart: Chart) -> Table:
    """Return the numbers of a chart as a table."""
    columns = [Column("Label")] + [Column(each.name, chart.kind) for each in chart.series]
    rows = [
        Row(
            (
                label,
                *(
                    each.values[place] if place < len(each.values) else None
                    for each in chart.series
                ),
            )
        )
        for place, label in enumerate(chart.labels)
    ]
    return Table(chart.id, chart.title, tuple(columns), tuple(rows))


def _edged(graph: Graph) -> Table:
    """Return the edges of a graph as a table."""
    nodes = {each.id: each for each in graph.nodes}

    def row(edge: Edge) -> Row:
        ends = [nodes.get(end) or Node(end, end, "") for end in (edge.source, edge.target)]
        links = {"Starts": ends[0].link, "Is started": ends[1].link}
        cells = (ends[0].name, ends[1].name, edge.kind.replace("_", " "), edge.runs)
        return Row(cells, {title: link for title, link in links.items() if link})

    columns = (Column("Starts"), Column("Is started"), Column("How"), Column("Runs", Kind.COUNT))
    return Table(graph.id, graph.title, columns, tuple(map(row, graph.edges)))


def _listed(findings: Sequence[tuple[int, Finding]]) -> Table:
    """Return findings as a table: what each is about, and what mending it saves."""
    columns = (
        Column("Number", Kind.COUNT),
        Column("Severity"),
        Column("What is wrong"),
        Column("Hours saved a week", Kind.HOURS),
        Column("Failures saved a week", Kind.COUNT),
        Column("Owner"),
    )
    rows = [
        Row(
            (number, each.severity.value, each.title, each.hours, each.failures, each.owner),
            {"What is wrong": link} if (link := _first_link(each)) else {},
        )
        for number, each in findings[:_MOST_ROWS]
    ]
    beyond = len(findings) - len(rows)
    note = f"And {beyond:,} more, which the JSON has." if beyond else ""
    return Table("more", "More", columns, tuple(rows), note)


def _first_link(finding: Finding) -> Link | None:
    return next((link for each in finding.evidence for link in each.links), None)


def _sorts(value: Cell) -> str:
    """Return what a cell is sorted by: plain numbers as such, texts and times as they are."""
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, bool) else str(value)[:_MOST_NAME]


def _css(kind: Kind, text: str = "") -> str:
    """Return the class of a cell: how wide it has to be depends on how long its text is."""
    if kind is Kind.TIME:
        return "time"
    if kind not in _TEXTS:
        return "number"
    return next((css for most, css in _WIDTHS if len(text) <= most), "long")


def _code(text: str) -> Markup:
    return Markup.escape(words.visible(words.clipped(text, _MOST_TEXT), lines=True))


def _finalize(value: object) -> object:
    """Make any text fit to be seen; what was made here stays as it is."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return words.visible(words.clipped(value, _MOST_TEXT))


def _text(name: str) -> Markup:
    return Markup((_FILES / name).read_text(encoding="utf-8"))  # noqa: S704 - a file of this package


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("prefect_exporter.report.rendering"),
        autoescape=True,
        finalize=_finalize,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {
        "address": words.address,
        "clipped": words.clipped,
        "code": _code,
        "css": lambda kind, text="": _css(Kind(kind), text),
        "drawn": lambda chart: Markup(charts.draw(chart)),  # noqa: S704 - ElementTree has escaped it
        "edged": _edged,
        "layered": graphs.draw,
        "listed": _listed,
        "moment": words.moment,
        "saves": saves,
        "shown": lambda value, kind: words.shown(value, Kind(kind)),
        "sorts": _sorts,
        "svg": Markup,
        "tabled": _tabled,
    }
    environment.filters |= filters
    return environment


_FILES = resources.files("prefect_exporter.report.rendering") / "templates"
_BASE = (resources.files("prefect_exporter") / "templates" / "base.css").read_text(encoding="utf-8")
_STYLE = Markup(_BASE) + _text("report.css")  # noqa: S704 - as above
_SCRIPT = _text("report.js")
_TEMPLATE = _environment().get_template("report.html")
