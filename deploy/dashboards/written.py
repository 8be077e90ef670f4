"""A board as the text of its file."""

from __future__ import annotations

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards.board import Board


def as_json(board: Board) -> str:
    """Return the board as JSON, the same text for the same board."""
    return JSONEncoder(indent=2, sort_keys=True).encode(board.build()) + "\n"
