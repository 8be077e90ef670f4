"""A job of another system, in words that are the same for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

MAX_SAID = 500


class Phase(StrEnum):
    """How far a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        """Whether it stays so."""
        return self not in {Phase.QUEUED, Phase.RUNNING}


class Blame(StrEnum):
    """Where a failed job says that the cause is."""

    SYSTEM = "system"
    SETTINGS = "settings"
    CODE = "code"
    DATA = "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as its system last told of it.

    Args:
        cause: What it was started with, where the system keeps that.
        said: What it says of its end; `MAX_SAID` characters at most.
        records: How many it has moved, where it says so.
        bytes: Likewise.
    """

    id: str
    phase: Phase
    cause: str | None = None
    said: str = ""
    blame: Blame = Blame.SYSTEM
    records: int | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for what, in seconds.

    Args:
        total: For the job, from the first request to its end.
        first: Before the second look; each pause is up to twice the one before.
        longest: What no pause exceeds, but for one that the system asks for.
        settle: How long to look for a job after the answer to its start was lost.
        cancel: For the cancellation: a worker kills a run some time after it has asked it to end.
    """

    total: float = 3600.0
    first: float = 1.0
    longest: float = 30.0
    settle: float = 30.0
    cancel: float = 10.0


class System(Protocol):
    """A system that runs jobs, as far as one kind of job needs it.

    Every method raises `Unavailable` where it is worth asking again, else `Refused`.
    """

    @property
    def name(self) -> str:
        """What people call it, such as ``airbyte``."""

    @property
    def page(self) -> str:
        """Where its jobs are looked at, without credentials."""

    def newest(self, cause: str) -> Job | None:
        """Return the newest job that may have that cause."""

    def start(self, cause: str) -> Job:
        """Start a job."""

    def look(self, job_id: str) -> Job:
        """Return a job as it is now."""

    def cancel(self, job_id: str) -> None:
        """Have a job stopped; one that has ended stays as it is."""
