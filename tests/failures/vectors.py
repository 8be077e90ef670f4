"""The golden vectors of docs/errors.md as the exporter's values."""

from __future__ import annotations

from typing import Any

from error_vectors import DOCUMENT, VECTORS
from prefect_exporter.failures.facts import (
    ErrorFacts,
    Facts,
    StateFacts,
    canonical,
    stack,
    status_of,
)

__all__ = ["DOCUMENT", "VECTORS", "error_of", "facts_of", "state_of"]


def facts_of(vector: dict[str, Any]) -> Facts:
    """Return a vector's facts."""
    error = vector.get("error")
    return Facts(error and error_of(error), state_of(vector))


def state_of(vector: dict[str, Any]) -> StateFacts | None:
    """Return the state of a vector's run."""
    state = vector.get("state")
    return state and StateFacts(**state)


def error_of(plain: dict[str, Any]) -> ErrorFacts:
    """Return the facts of one error of a vector."""
    message = plain.get("message", "")
    cause = plain.get("cause")
    return ErrorFacts(
        tuple(canonical(name) for name in plain["types"]),
        message,
        plain.get("status") or status_of(message),
        stack((path, function) for path, function in plain.get("frames", ())),
        cause and error_of(cause),
        tuple(error_of(member) for member in plain.get("members", ())),
    )
