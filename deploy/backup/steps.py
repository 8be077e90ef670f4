"""What a long job says while it works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """How far a job has come.

    Args:
        name: A few words for people; a new name means that what came before is done.
        done: Of *total*; None where it cannot be known.
        total: In bytes.
    """

    name: str
    done: int | None = None
    total: int | None = None


Say = Callable[[Step], None]
