"""How the exporter is doing, as values: what the status page, /readyz and the self metrics read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class CollectorStatus:
    """One collector of one target.

    Args:
        required: Whether ``/readyz`` waits for it.
        polls: How many polls ended, well or badly, since the start.
        succeeded: Whether the last poll did; None before the first has ended.
        last_success: When the last good poll ended; None where none has.
        duration_seconds: How long the last poll took.
        fresh: Whether the last good poll is younger than the stale limit.
        error_kind: The kind of the last failure, for example ``unreachable``; None after a success.
        error: The last failure in one plain line; None after a success.
        supported: False where Prefect does not have what the collector asks for.
    """

    target: str
    name: str
    required: bool
    polls: int
    succeeded: bool | None
    last_success: datetime | None
    duration_seconds: float
    fresh: bool
    error_kind: str | None
    error: str | None
    supported: bool = True


@dataclass(frozen=True, slots=True)
class TargetStatus:
    """One Prefect server or workspace; *url* holds no credentials."""

    name: str
    url: str
    server_version: str | None


@dataclass(frozen=True, slots=True)
class Configuration:
    """The targets as they are set.

    Args:
        loaded: When they were last read and found good.
        problems: What is wrong with them since, one line each; then the last good ones go on.
    """

    loaded: datetime
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """The whole process as of *at*."""

    at: datetime
    started: datetime
    version: str
    targets: tuple[TargetStatus, ...]
    collectors: tuple[CollectorStatus, ...]
    ledger_path: str
    ledger_bytes: int
    series: int
    held_series: int
    configuration: Configuration

    @property
    def ready(self) -> bool:
        """Whether every required collector has published once and is fresh."""
        return all(row.fresh for row in self.collectors if row.required)
