"""The trace that a run is part of, from what anybody may have written beside the run. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

# Version 00 alone: of a later one, nobody knows what else it may hold.
# https://www.w3.org/TR/trace-context/#traceparent-header
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}")


class Trace(NamedTuple):
    """A span of a trace: 32 and 16 hexadecimal digits, neither of them all 0."""

    trace_id: str
    span_id: str


def trace_of(traceparent: str | None) -> Trace | None:
    """Return what a W3C ``traceparent`` names; None where there is none, or not a valid one."""
    found = _TRACEPARENT.fullmatch(traceparent or "")
    return Trace(*found.groups()) if found else None
