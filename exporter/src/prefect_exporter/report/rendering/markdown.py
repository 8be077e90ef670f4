"""A report as Markdown: for a terminal, a pull request, a chat, or as an artifact in Prefect.

It is shorter than the other two formats: tables are cut, and a chart is a line of bars.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence

from prefect_exporter.report.model import (
    Chart,
    Finding,
    Graph,
    Kind,
    Link,
    Node,
    Report,
    Row,
    Section,
    Severity,
    Table,
)
from prefect_exporter.report.rendering import words
from prefect_exporter.report.rendering.chapters import Chapter, chapters
from prefect_exporter.report.rendering.savings import saves

_MOST_ROWS = 15
_MOST_FINDINGS = 10
"""So many findings of a section are told in full; the rest are a line each, or a name."""
_MOST_LINES = 40
_MOST_CELL = 120
_MOST_TEXT = 2_000
_BARS = "▁▂▃▄▅▆▇█"
_MOST_BARS = 60
_MOST_SERIES = 8
_MOST_NAME = 40
# What Markdown, or HTML within it, would take for a mark. An underscore within a word is none.
_MARK = re.compile(r"[\\`*\[\]|~$]|(?<![^\W_])_|_(?![^\W_])")
_AT_LINE_START = re.compile(r"^(\s*(?:\d+(?=[.)]))?)([#+=.)-])(?=\s|[#+=-]|$)")
_FENCE = re.compile("`{3,}")


def render(report: Report) -> str:
    """Return the report as Markdown (CommonMark with GitHub's tables)."""
    return "\n".join(_lines(report)).rstrip() + "\n"


def _lines(report: Report) -> Iterator[str]:
    scope = report.scope
    yield f"# {escaped(scope.target)}: what to fix first"
    yield ""
    yield f"{words.moment(scope.since)} to {words.moment(scope.until)} UTC. " + _counted(report)
    yield ""
    for chapter in chapters(report):
        yield from _chapter(chapter)
    yield from _about(report)


def _counted(report: Report) -> str:
    found = [
        f"{sum(each.severity is severity for each in report.findings)} {severity.value}"
        for severity in Severity
    ]
    return f"Findings: {', '.join(found)}."


def _chapter(chapter: Chapter) -> Iterator[str]:
    section = chapter.section
    yield f"## {escaped(section.title)}"
    yield ""
    yield from _section(section)
    if not chapter.findings:
        return
    yield "### What to mend here"
    yield ""
    for number, finding in chapter.told[:_MOST_FINDINGS]:
        yield from _finding(number, finding)
    rest = chapter.told[_MOST_FINDINGS:]
    for number, finding in rest:
        yield f"- {number}. {finding.severity.value}: {escaped(finding.title)}"
    for check, findings in chapter.beyond.items():
        subjects = [escaped(each.subject, _MOST_CELL) for _, each in findings[:_MOST_LINES]]
        more = ", …" if len(findings) > _MOST_LINES else ""
        yield (
            f"- and {len(findings):,} more of `{check}`: {', '.join(subjects)}{more}."
            " The JSON has all of them."
        )
    if rest or chapter.beyond:
        yield ""


def _section(section: Section) -> Iterator[str]:
    for paragraph in section.paragraphs:
        yield _prose(paragraph)
        yield ""
    for graph in section.graphs:
        yield from _graph(graph)
    for chart in section.charts:
        yield from _chart(chart)
    for table in section.tables:
        yield f"### {escaped(table.title)}"
        yield ""
        if table.note:
            yield _prose(table.note)
            yield ""
        yield from _table(table)


def _table(table: Table) -> Iterator[str]:
    if not table.rows:
        yield "There is nothing to list."
        yield ""
        return
    yield _row([escaped(each.title, _MOST_CELL) for each in table.columns])
    yield _row(["---" if _is_text(each.kind) else "---:" for each in table.columns])
    for row in table.rows[:_MOST_ROWS]:
        yield _row(_cells(table, row))
    if len(table.rows) > _MOST_ROWS:
        yield ""
        yield f"And {len(table.rows) - _MOST_ROWS:,} more, in the HTML and in the JSON."
    yield ""


def _cells(table: Table, row: Row) -> list[str]:
    cells = []
    for column, cell in zip(table.columns, row.cells, strict=True):
        link = row.links.get(column.title)
        if column.kind is Kind.LINK and link is None:
            link = row.links.get(str(cell))
        cells.append(_linked(words.shown(cell, column.kind), link))
    return cells


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _is_text(kind: Kind) -> bool:
    return kind in {Kind.TEXT, Kind.TIME, Kind.LINK}


def _chart(chart: Chart) -> Iterator[str]:
    """Draw each series as a line of bars, from 0 to the highest of all."""
    yield f"### {escaped(chart.title)}"
    yield ""
    if chart.note:
        yield _prose(chart.note)
        yield ""
    series = [(each.name, _narrowed(each.values)) for each in chart.series[:_MOST_SERIES]]
    highest = _highest(each for _, values in series for each in values) or 0
    width = max((len(_short(name)) for name, _ in series), default=0)
    lines = [
        f"{_short(name):{width}}  {_bars(values, highest)}  "
        f"highest {words.shown(_highest(values), chart.kind)}"
        for name, values in series
    ]
    if chart.labels:
        ends = [_plain(each, 24) for each in (chart.labels[0], chart.labels[-1])]
        lines.append(f"{'':{width}}  {' to '.join(ends)}")
    yield from _fenced("\n".join(lines), "text")


def _short(name: str) -> str:
    """Return a name without its middle: names that begin alike still differ."""
    text = _plain(name, _MOST_CELL)
    return text if len(text) <= _MOST_NAME else f"{text[:24]}…{text[25 - _MOST_NAME :]}"


def _highest(values: Iterable[float | None]) -> float | None:
    return max((each for each in values if each is not None), default=None)


def _narrowed(values: Sequence[float | None]) -> list[float | None]:
    """Return at most as many values as there are bars, the highest of each step."""
    known = [each if each is not None and math.isfinite(each) else None for each in values]
    step = math.ceil(len(known) / _MOST_BARS) or 1
    slices = (known[place : place + step] for place in range(0, len(known), step))
    return [_highest(part) for part in slices]


def _bars(values: Sequence[float | None], highest: float) -> str:
    def bar(value: float | None) -> str:
        if value is None:
            return " "
        share = value / highest if highest > 0 else 0
        return _BARS[min(len(_BARS) - 1, max(0, math.ceil(share * len(_BARS)) - 1))]

    return "".join(map(bar, values))


def _graph(graph: Graph) -> Iterator[str]:
    yield f"### {escaped(graph.title)}"
    yield ""
    if graph.note:
        yield _prose(graph.note)
        yield ""
    nodes = {each.id: each for each in graph.nodes}
    for edge in graph.edges[:_MOST_LINES]:
        ends = [_end(nodes.get(each), each) for each in (edge.source, edge.target)]
        runs = f", {edge.runs:,} runs" if edge.runs else ""
        yield f"- {' → '.join(ends)} ({escaped(edge.kind.replace('_', ' '))}{runs})"
    if len(graph.edges) > _MOST_LINES:
        yield f"- and {len(graph.edges) - _MOST_LINES:,} more, in the HTML and in the JSON"
    if graph.edges:
        yield ""


def _end(node: Node | None, key: str) -> str:
    if node is None:
        return _prose(key, _MOST_CELL)
    return (
        _linked(node.name, node.link) if words.address(node.link) else _prose(node.name, _MOST_CELL)
    )


def _finding(number: int, finding: Finding) -> Iterator[str]:
    yield f"#### {number}. {finding.severity.value.capitalize()}: {escaped(finding.title)}"
    yield ""
    about = [_prose(finding.subject)]
    about += [f"owner {escaped(finding.owner)}"] if finding.owner else []
    about += [f"check `{finding.check}`"]
    about += [f"saves {saves(finding)}"] if saves(finding) else []
    yield " · ".join(about)
    yield ""
    yield _prose(finding.detail)
    yield ""
    for evidence in finding.evidence:
        source = f" ({escaped(evidence.source)})" if evidence.source else ""
        links = "".join(f" {_linked(each.text, each)}" for each in evidence.links)
        yield f"- {_prose(evidence.text)}{source}{links}"
    yield ""
    action = finding.action
    yield from _fenced(action.change, "")
    yield (
        f"Effort: {action.effort.value}. Risk: {_prose(action.risk)} "
        f"To take it back: {_prose(action.rollback)}"
    )
    yield ""


def _about(report: Report) -> Iterator[str]:
    scope = report.scope
    yield "## How this was made"
    yield ""
    narrowed = [f"flow {escaped(each)}" for each in scope.flows]
    narrowed += [f"tag {escaped(each)}" for each in scope.tags]
    yield (
        f"By prefect-exporter {report.exporter_version} at {words.moment(report.generated)} UTC, "
        f"from {scope.flow_runs:,} flow runs and {scope.task_runs:,} task runs"
        f"{' (' + ', '.join(narrowed) + ')' if narrowed else ''}, "
        f"with {scope.requests:,} requests to {escaped(scope.url)}."
    )
    yield ""
    for note in scope.notes:
        yield f"- {_prose(note)}"


def escaped(text: str, most: int = 300) -> str:
    """Return a text of one line in which nothing is a mark of Markdown, HTML or a chat."""
    text = _plain(text, most)
    text = _MARK.sub(r"\\\g<0>", text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("@", "&#64;").replace("://", "&#58;//")


def _prose(text: str, most: int = _MOST_TEXT) -> str:
    """Return an escaped text that can begin a line."""
    return _AT_LINE_START.sub(r"\1\\\2", escaped(text, most))


def _plain(text: str, most: int) -> str:
    return words.visible(words.clipped(text, most)).strip()


def _linked(text: str, link: Link | None) -> str:
    url = words.address(link)
    inside = escaped(text, _MOST_CELL)
    return f"[{inside}]({url})" if url else inside


def _fenced(text: str, language: str) -> Iterator[str]:
    """Yield a block of code that no backtick in it can end."""
    text = words.visible(words.clipped(text, _MOST_TEXT), lines=True)
    fence = max([*_FENCE.findall(text), "``"], key=len) + "`"
    yield f"{fence}{language}"
    yield text
    yield fence
    yield ""
