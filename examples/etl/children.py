"""Whether a run that another one waits for is still at work: facts in, a verdict out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Verdict(StrEnum):
    """What is to be done about a run."""

    WAIT = "wait"
    """It works, or waits for a worker."""

    ENDED = "ended"
    """It has ended, and has said how."""

    CRASHED = "crashed"
    """Prefect knows that its process has gone."""

    SILENT = "silent"
    """Its process sends no heartbeats any more."""

    SLOW = "slow"
    """It has been running for longer than anybody wants to wait."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to wait.

    Args:
        patience: For the end of a run, from its start.
        silence: For its next heartbeat.
    """

    patience: timedelta
    silence: timedelta


@dataclass(frozen=True, slots=True)
class Seen:
    """What Prefect knows of a run at a moment.

    Args:
        state: The type of its state, such as `RUNNING`.
        since: When it came into that state.
        heartbeat: Its last one; None where there was none.
    """

    state: str
    since: datetime
    heartbeat: datetime | None = None

    @property
    def sign(self) -> datetime:
        """When it last showed a sign of life."""
        return max(self.since, self.heartbeat or self.since)


_FINAL = frozenset({"COMPLETED", "FAILED", "CANCELLED"})


def judge(seen: Seen, limits: Limits, now: datetime) -> Verdict:
    """Tell what is to be done about a run.

    The time in which a run waits for a worker counts for nothing: a full queue is no fault of its.
    """
    if seen.state in _FINAL:
        return Verdict.ENDED
    if seen.state == "CRASHED":
        return Verdict.CRASHED
    if seen.state == "RUNNING" and now - seen.since > limits.patience:
        return Verdict.SLOW
    if seen.state in {"PENDING", "RUNNING"} and now - seen.sign > limits.silence:
        return Verdict.SILENT
    return Verdict.WAIT
