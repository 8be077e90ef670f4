"""What a board asks of which source, to be asked by tests as Grafana would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from dashboards.board import Board
from dashboards.written import as_json

Kind = Literal["panel", "variable", "annotation"]


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a board.

    Args:
        kind: Who asks it.
        panel_id: The panel's number; 0 for variables and annotations.
        title: The panel's title, or the name of the variable or annotation.
        source: The type of the data source: prometheus, loki, jaeger or alertmanager.
        expr: PromQL, LogQL, `label_values(...)` of a variable, or the tags of a search in Jaeger.
        instant: Whether it is asked for one moment, and not for each of the time range.
    """

    kind: Kind
    panel_id: int
    title: str
    source: str
    expr: str
    instant: bool


def queries(board: Board) -> tuple[Query, ...]:
    """Return all that the board asks: panels first, then variables, then annotations."""
    written = json.loads(as_json(board))
    panels = [query for panel in _every(written) for query in _of_panel(panel)]
    return (*panels, *_of_variables(written), *_of_annotations(written))


def _every(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in board["panels"]:
        yield panel
        yield from panel.get("panels", ())


def _of_panel(panel: dict[str, Any]) -> Iterator[Query]:
    for target in panel.get("targets", ()):
        source = target["datasource"]["type"]
        expr = target["tags"] if source == "jaeger" else target["expr"]
        instant = target.get("instant", False) or target.get("queryType") == "instant"
        yield Query("panel", panel["id"], panel["title"], source, expr, instant)


def _of_variables(board: dict[str, Any]) -> Iterator[Query]:
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            source, expr = variable["datasource"]["type"], variable["query"]["query"]
            yield Query("variable", 0, variable["name"], source, expr, instant=True)


def _of_annotations(board: dict[str, Any]) -> Iterator[Query]:
    for mark in board["annotations"]["list"]:
        source = mark["datasource"]["type"]
        yield Query("annotation", 0, mark["name"], source, mark["expr"], instant=False)
