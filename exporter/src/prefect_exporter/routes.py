"""What a route is, and what the routes show: the seam between the exporter and its HTTP side."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from fastapi import Response

from prefect_exporter.exposition import Exposition
from prefect_exporter.health.model import Health
from prefect_exporter.status import Status

METRICS = "/metrics"
PAGE = "/"

Answers: TypeAlias = Mapping[int, tuple[str, ...]]
"""The content types of each status that a route answers with."""


class Front(Protocol):
    """What the routes show; nothing here waits for Prefect."""

    def exposition(self) -> Exposition:
        """Return the last published metrics."""
        ...

    def served(self, version: int) -> None:
        """Learn that a scraper was sent the whole of that publication."""
        ...

    def status(self) -> Status:
        """Return how the exporter is doing now."""
        ...

    async def health(self) -> Health:
        """Return how Prefect is doing, as far as it was known within the last second."""
        ...

    def failures(self, target: str) -> bytes | None:
        """Return the failures of a target as JSON; None while they are not known."""
        ...


@dataclass(frozen=True, slots=True)
class Route:
    """One path: who answers it, with which statuses and content types, as which part.

    Those of a part are guarded; the others are always there.
    """

    path: str
    answer: Callable[..., Awaitable[Response]]
    answers: Answers
    query: tuple[str, ...] = ()
    part: str | None = None
