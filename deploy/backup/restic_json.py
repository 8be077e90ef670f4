"""What restic writes as JSON, as values of this program."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from backup.model import Kind, Snapshot


def line_of(text: str) -> dict[str, Any]:
    """Return the object that a line is; an empty one where it is none."""
    try:
        parsed = json.loads(text)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def snapshot_of(found: Mapping[str, Any]) -> Snapshot | None:
    """Return what restic lists as a snapshot; None for one that this program did not make."""
    tags = dict(tag.partition("=")[::2] for tag in found.get("tags", []))
    if tags.get("kind") not in set(Kind):
        return None
    return Snapshot(
        id=found["id"],
        time=datetime.fromisoformat(found["time"]),
        kind=Kind(tags["kind"]),
        size_bytes=found.get("summary", {}).get("total_bytes_processed", 0),
        path=found["paths"][0],
        tags=tags,
    )
