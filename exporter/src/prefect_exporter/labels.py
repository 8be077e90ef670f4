"""Label values: from what Prefect says of a run to a small, bounded set of words. Pure."""

from __future__ import annotations

import hashlib
import re

OUTCOMES = ("completed", "cached", "failed", "timed_out", "crashed", "cancelled")
TERMINAL = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})
OTHER = "other"
MAX_CHARACTERS = 128

_NAMED = {("COMPLETED", "Cached"): "cached", ("FAILED", "TimedOut"): "timed_out"}
# Prefect appends eight hex digits of the code's hash: a new key at every edit of the task.
_CODE_HASH = re.compile(r"-[0-9a-f]{8}$")


def outcome(state_type: str, state_name: str | None) -> str:
    """Return one of ``OUTCOMES`` for a terminal state; custom names go by their type."""
    return _NAMED.get((state_type, state_name or ""), state_type.lower())


def result(outcome: str) -> str | None:
    """Return ``success``, ``failure``, or None for a cancelled run: its duration says nothing."""
    if outcome == "cancelled":
        return None
    return "success" if outcome in ("completed", "cached") else "failure"


def subflow(*, has_parent: bool, has_deployment: bool) -> str:
    """Return how a run came about: inline in its parent, by ``run_deployment``, or on its own."""
    if not has_parent:
        return "false"
    return "deployment" if has_deployment else "true"


def task_name(task_key: str) -> str:
    """Return a task key without the hash of its code."""
    return _CODE_HASH.sub("", task_key)


def clip(name: str) -> str:
    """Return *name*, shortened to ``MAX_CHARACTERS`` so that two long names stay two."""
    if len(name) <= MAX_CHARACTERS:
        return name
    digest = hashlib.blake2s(name.encode(errors="surrogatepass"), digest_size=4).hexdigest()
    return f"{name[: MAX_CHARACTERS - 9]}~{digest}"
