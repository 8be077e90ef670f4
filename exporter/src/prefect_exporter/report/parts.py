"""A part of a report that fails is a note of the report, and does not end it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import structlog

ValueT = TypeVar("ValueT")

_LOG = structlog.get_logger(__name__)


def tried(name: str, make: Callable[[], ValueT], said: list[str]) -> ValueT | None:
    """Return what *make* returns, or None and a sentence more in *said*.

    Args:
        name: The module's or the function's that makes it.
        make: Makes it.
        said: What the report tells of its own making.
    """
    part = part_id(name)
    try:
        return make()
    except Exception as error:  # the rest of the report is worth having  # noqa: BLE001
        _LOG.exception("report.part_failed", part=part)
        said.append(f"The part {part} failed ({type(error).__name__}): its results are lacking.")
        return None


def part_id(name: str) -> str:
    """Return the id of a module or a function: its own name with dashes."""
    return name.rpartition(".")[2].replace("_", "-")
