"""All that a dashboard shows at one moment, in one JSON document that a page can draw."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from pictures.asking import Answer, Ask, Window, run_queries, step_seconds
from pictures.boards import Board, panels, queries
from pictures.variables import Choice, Chosen

Recording = Mapping[str, Any]
"""A dashboard with its answers, for ``page/main.jsx``."""


def record(board: Board, sources: Mapping[str, Ask], choice: Choice, window: Window) -> Recording:
    """Ask everything that a dashboard asks, and return it with the answers.

    Args:
        board: As its JSON is.
        sources: Who is asked, by the type of data source; panels of others stay empty.
        choice: What is chosen for its variables.
        window: The span of time to show.
    """
    answers = run_queries(sources, queries(board), choice, window)
    return {
        "board": board,
        "window": {"start": window.start, "end": window.end},
        "choice": {name: _readable(chosen) for name, chosen in choice.items()},
        "answers": _by_panel(board, answers, window),
        "annotations": _annotations(board, answers, window),
        "alerts": _alerts(sources["prometheus"]),
    }


def _readable(chosen: Chosen) -> str:
    if chosen.everything is not None or (chosen.many and len(chosen.values) > 1):
        return "All"
    return ", ".join(chosen.values)


def _by_panel(
    board: Board, answers: Sequence[Answer], window: Window
) -> Mapping[str, Sequence[Any]]:
    targets = {
        (panel["id"], target["refId"]): target
        for panel in panels(board)
        for target in panel.get("targets", ())
    }
    found: dict[str, list[Any]] = defaultdict(list)
    for answer in answers:
        query = answer.query
        if query.panel_id is not None:
            found[str(query.panel_id)].append(
                {
                    "target": targets[query.panel_id, query.ref],
                    "source": query.source,
                    "text": answer.text,
                    "step": step_seconds(query, window),
                    "result": answer.result,
                }
            )
    return found


def _annotations(board: Board, answers: Sequence[Answer], window: Window) -> Sequence[Any]:
    marks = {
        f"annotation {each['name']}": each for each in board.get("annotations", {}).get("list", ())
    }
    return [
        {
            "color": marks[answer.query.panel].get("iconColor", "blue"),
            "value_is_time": bool(marks[answer.query.panel].get("useValueForTime")),
            "step": step_seconds(answer.query, window),
            "result": answer.result,
        }
        for answer in answers
        if answer.query.panel_id is None
    ]


def _alerts(prometheus: Ask) -> Sequence[Any]:
    found: Sequence[Any] = prometheus("/api/v1/alerts", {})["data"]["alerts"]
    return found
