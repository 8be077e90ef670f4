"""Grafana's boards: a module for each, and what they share. `python -m dashboards` writes them."""

from __future__ import annotations

from dashboards import (
    backups,
    deployments,
    errors,
    flow,
    kpis,
    overview,
    pipelines,
    server,
    task_runs,
    telemetry,
    work_pools,
)
from dashboards.board import Board

__all__ = ["Board", "all_boards"]

_BOARDS = (
    overview.board,
    deployments.board,
    flow.board,
    work_pools.board,
    task_runs.board,
    server.board,
    telemetry.board,
    backups.board,
    errors.board,
    pipelines.board,
    kpis.board,
)


def all_boards() -> tuple[Board, ...]:
    """Return every board, in the order of the menu."""
    return tuple(board() for board in _BOARDS)
