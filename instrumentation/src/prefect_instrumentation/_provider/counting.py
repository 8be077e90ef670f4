"""What arrives is counted, whatever kind of thing it is."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Generic, Protocol, TypeVar

from prefect_instrumentation._provider.exporters import Factory
from prefect_instrumentation._variables import warn

_POSITIVE = re.compile(r"0*[1-9][0-9]{0,8}")

ItemT_contra = TypeVar("ItemT_contra", contravariant=True)
ResultT_co = TypeVar("ResultT_co", bound=Enum, covariant=True)


class Exporter(Protocol[ItemT_contra, ResultT_co]):
    """What the SDK's exporters of spans and of log records have in common."""

    def export(self, batch: Sequence[ItemT_contra], /) -> ResultT_co:
        """Send a batch; return `SUCCESS` or `FAILURE`."""

    def shutdown(self) -> None:
        """Let go of connections."""


class Counting(Generic[ItemT_contra, ResultT_co]):
    """Has an exporter of this very process; the SDK lets one thread at a time export.

    Args:
        factory: makes the exporter, anew in a forked child: a child must not share connections.
    """

    def __init__(self, factory: Factory[Exporter[ItemT_contra, ResultT_co]]) -> None:
        self._factory = factory
        self._exporter: Exporter[ItemT_contra, ResultT_co] | None = factory()
        self.delivered = 0

    def send(self, batch: Sequence[ItemT_contra]) -> ResultT_co:
        """Export a batch, and count it if it has arrived."""
        if self._exporter is None:
            self._exporter = self._factory()
        result = self._exporter.export(batch)
        if result.name == "SUCCESS":
            self.delivered += len(batch)
        return result

    def shutdown(self) -> None:
        """Let go of connections."""
        if self._exporter is not None:
            self._exporter.shutdown()

    def renew(self) -> None:
        """Start anew in a forked child."""
        self._exporter = None
        self.delivered = 0


class Tally:
    """How many have come, counted by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.count = 0

    def add(self) -> None:
        """Count one more."""
        with self._lock:
            self.count += 1

    def renew(self) -> None:
        """Start anew in a forked child."""
        self._lock = threading.Lock()
        self.count = 0


def positive(environ: Mapping[str, str], name: str, default: int) -> int:
    """Return a variable's positive whole number; another value is told of."""
    text = environ.get(name, "").strip()
    if not text:
        return default
    if _POSITIVE.fullmatch(text):
        return int(text)
    warn(name, text, "a positive whole number", str(default))
    return default
