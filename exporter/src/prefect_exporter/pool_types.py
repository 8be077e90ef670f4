"""What the type of a work pool says of who runs its flows. Pure."""

from __future__ import annotations

# As Prefect tells them apart: WorkPool.is_push_pool and is_managed_pool of its client.
_WITHOUT_WORKERS = (":push", ":managed")
# What an upgrade from Prefect 2 leaves behind: no worker serves it, and it has no status.
_AGENTS = "prefect-agent"


def needs_worker(kind: str) -> bool:
    """Return whether pools of a type are served by workers, and not by a cloud or by agents."""
    return not kind.endswith(_WITHOUT_WORKERS) and kind != _AGENTS
