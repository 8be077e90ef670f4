"""What a dashboard asks: the queries of its panels and annotations, as its JSON has them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BOARDS = Path(__file__).resolve().parents[1] / "grafana" / "dashboards"

Board = Mapping[str, Any]
"""A dashboard as Grafana's JSON has it."""

_COLUMNS = 24
_WIDTH_PX = 1600


@dataclass(frozen=True, slots=True)
class Query:
    """One query with its variables still in it.

    Args:
        board: The dashboard's uid.
        panel: The panel's title; of an annotation, ``annotation`` and its name.
        panel_id: None for an annotation.
        ref: The letter that the panel knows it by.
        source: The type of its data source, such as ``prometheus``.
        text: What is asked; of Jaeger the service and, after a blank, the tags.
        instant: Whether it is asked for one moment, not for a span of time.
        points: How many points wide the panel is.
        min_step: The least seconds between two points; 0 for the source's own.
    """

    board: str
    panel: str
    panel_id: int | None
    ref: str
    source: str
    text: str
    instant: bool = False
    points: int = _WIDTH_PX
    min_step: int = 0

    @property
    def name(self) -> str:
        """Tells it apart from all others, and people where it is."""
        return f"{self.board} / {self.panel} / {self.ref}"


def every_board(folder: Path = BOARDS) -> Sequence[Board]:
    """Return the dashboards of a folder, by uid."""
    boards = (json.loads(path.read_text()) for path in folder.glob("*.json"))
    return sorted(boards, key=lambda board: str(board["uid"]))


def panels(board: Board) -> Iterator[Mapping[str, Any]]:
    """Yield every panel, those of folded rows included; rows themselves are none."""
    for panel in board.get("panels", ()):
        if panel["type"] == "row":
            yield from panel.get("panels", ())
        else:
            yield panel


def unfolded(board: Board) -> Board:
    """Return the dashboard with its folded rows open, as if somebody had clicked on each."""
    shown: list[Mapping[str, Any]] = []
    shift = 0
    for panel in board["panels"]:
        within = panel.get("panels") or ()
        shown += [_moved(each, shift) for each in ({**panel, "panels": ()}, *within)]
        if within:
            bottom = max(each["gridPos"]["y"] + each["gridPos"]["h"] for each in within)
            shift += bottom - panel["gridPos"]["y"] - panel["gridPos"]["h"]
    return {**board, "panels": shown}


def _moved(panel: Mapping[str, Any], rows: int) -> Mapping[str, Any]:
    place = panel["gridPos"]
    return {**panel, "gridPos": {**place, "y": place["y"] + rows}}


def queries(board: Board) -> Sequence[Query]:
    """Return what the panels and the annotations of a dashboard ask."""
    asked = [query for panel in panels(board) for query in _of_panel(board, panel)]
    return [*asked, *_of_annotations(board)]


def _of_panel(board: Board, panel: Mapping[str, Any]) -> Iterator[Query]:
    width = panel.get("gridPos", {}).get("w", _COLUMNS)
    for target in panel.get("targets", ()):
        if not target.get("hide"):
            yield Query(
                board=board["uid"],
                panel=panel.get("title", ""),
                panel_id=panel["id"],
                ref=target["refId"],
                source=_source(target, panel),
                text=_text(target),
                instant=bool(target.get("instant")) or target.get("queryType") == "instant",
                points=panel.get("maxDataPoints") or _WIDTH_PX * width // _COLUMNS,
                min_step=seconds(target.get("interval") or panel.get("interval") or "0s"),
            )


def _of_annotations(board: Board) -> Iterator[Query]:
    for annotation in board.get("annotations", {}).get("list", ()):
        target = annotation.get("target") or annotation
        source = annotation.get("datasource", {}).get("type", "")
        if source != "grafana" and target.get("expr"):
            yield Query(
                board=board["uid"],
                panel=f"annotation {annotation['name']}",
                panel_id=None,
                ref=target.get("refId") or "Anno",
                source=source,
                text=target["expr"],
                min_step=seconds(target.get("step") or target.get("interval") or "0s"),
            )


def _source(*holders: Mapping[str, Any]) -> str:
    found = (holder["datasource"]["type"] for holder in holders if holder.get("datasource"))
    return str(next((kind for kind in found if kind), "prometheus"))


def _text(target: Mapping[str, Any]) -> str:
    if "service" in target:
        return f"{target['service']} {target.get('tags', '')}".strip()
    return str(target["expr"])


def seconds(duration: str) -> int:
    """Return how long a duration such as ``30s``, ``5m`` or ``1d`` is; one with ``>`` likewise."""
    text = duration.strip().lstrip(">")
    unit = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
    return int(text[:-1]) * unit[text[-1]]
