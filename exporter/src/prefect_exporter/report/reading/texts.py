"""Texts of Prefect's, cut to what is kept of them."""

from __future__ import annotations

import json
from collections.abc import Sequence

NAME_LIMIT = 256
MESSAGE_LIMIT = 1_024
LINE_LIMIT = 8_192
TRACEBACK_LIMIT = 65_536
TAGS_LIMIT = 50

_TRACEBACK = "Traceback (most recent call last)"


def name(text: str | None) -> str:
    """Return a name as it is kept."""
    return (text or "")[:NAME_LIMIT]


def message(text: str | None) -> str:
    """Return a state's message as it is kept."""
    return (text or "")[:MESSAGE_LIMIT]


def line(text: str) -> str:
    """Return a log line as it is kept; the error of a traceback stands last."""
    if len(text) <= LINE_LIMIT:
        return text
    return text[: TRACEBACK_LIMIT if _TRACEBACK in text[:TRACEBACK_LIMIT] else LINE_LIMIT]


def tags(known: Sequence[str]) -> str:
    """Return tags as the rows have them."""
    return json.dumps([name(each) for each in known[:TAGS_LIMIT]])
