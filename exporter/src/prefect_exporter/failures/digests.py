"""The digest by which the same failure is known again, as docs/errors.md specifies it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from prefect_exporter.failures.facts import ErrorFacts

VERSION = 1
"""Of the specification; in every digest, so that those of two versions are never equal."""


def of_error(error: ErrorFacts) -> str:
    """Return 16 hex digits of an error, of what caused it, and of a group's members."""
    return of_parts(
        VERSION,
        error.types[0].rpartition(".")[2],  # a flow's file is another module wherever it is started
        error.stack.places,
        of_error(error.cause) if error.cause else "",
        sorted({of_error(member) for member in error.members}),
    )


def of_state(name: str, function: str) -> str:
    """Return 16 hex digits of a run that failed without raising.

    Args:
        name: Of the state.
        function: Full name of what the run called.
    """
    return of_parts(VERSION, f"prefect.{name}", (function,), "", ())


def of_parts(*parts: int | str | Sequence[str]) -> str:
    """Return 16 hex digits of what tells a failure from others; the same in every process."""
    written = json.dumps(parts, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(written.encode("ascii")).hexdigest()[:16]
