"""The golden vectors of docs/errors.md as the values that the specification is about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from prefect_instrumentation._errors.facts import ErrorFacts, Facts, canonical, stack, status_of
from prefect_instrumentation._runs import StateChange

FILE = Path(__file__).parents[1] / "docs" / "errors.vectors.json"
DOCUMENT: dict[str, Any] = json.loads(FILE.read_text())
VECTORS: dict[str, dict[str, Any]] = {each["name"]: each for each in DOCUMENT["vectors"]}


def facts_of(vector: dict[str, Any]) -> Facts:
    """Return a vector's facts."""
    state = vector.get("state")
    error = vector.get("error")
    return Facts(error and error_of(error), state and StateChange(**state))


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
