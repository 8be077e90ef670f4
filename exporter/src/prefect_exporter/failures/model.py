"""A failed run, what tells it from others, and the group of those that are alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Basis(StrEnum):
    """What a signature is made of, the surest first."""

    TRACEBACK = "traceback"
    EXCEPTION = "exception"
    MESSAGE = "message"


@dataclass(frozen=True, slots=True)
class Failed:
    """One flow run that failed, timed out or crashed.

    Args:
        run_id: 16 bytes of its UUID.
        deployment: "" without one.
        state_type: ``FAILED`` or ``CRASHED``.
        message: Of its state, at most 1,024 characters.
        ended_us: Microseconds since 1970.
    """

    run_id: bytes
    name: str
    flow: str
    deployment: str
    state_type: str
    state_name: str
    message: str
    ended_us: int


@dataclass(frozen=True, slots=True)
class Signature:
    """By what a failure is known again.

    Args:
        id: ``f1-<16 hex digits>`` is the fingerprint of docs/errors.md, version 1; ``m1-<16 hex
            digits>`` that of the exception's type and the normalised message, version 1.
        category: One of the seven of docs/errors.md.
        type: Full name of the error's class; "" where nothing was raised.
        pattern: The message with its variable parts replaced.
        places: ``file:function``, outermost first; empty unless the basis is a traceback.
    """

    id: str
    category: str
    type: str
    pattern: str
    basis: Basis
    places: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """The fingerprint as spans and log lines have it; "" without a traceback."""
        return self.id.partition("-")[2] if self.basis is Basis.TRACEBACK else ""


@dataclass(frozen=True, slots=True)
class Group:
    """Failures that are alike.

    Args:
        count: How many.
        first_us: When the first one of what was looked at ended; *last_us* the last one.
        flows: How many of each ``flow/deployment``, or flow alone, the most first.
        examples: Ids of runs, the newest first, five at most.
        buckets: How many in each step of time, the oldest first.
    """

    signature: Signature
    count: int
    first_us: int
    last_us: int
    flows: Mapping[str, int] = field(default_factory=dict)
    examples: tuple[bytes, ...] = ()
    buckets: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Recent:
    """A failure as the status page lists it."""

    failed: Failed
    signature: Signature
