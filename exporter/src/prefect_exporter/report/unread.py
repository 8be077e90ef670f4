"""What was not read, or not all of it: who says that there is none of something has to ask here."""

from __future__ import annotations

import json

from prefect_exporter.report.store import Store

_KEY = "unread"


def add_unread(store: Store, what: str) -> None:
    """Remember that some of *what* was not read, by the name that its piece has."""
    store.set_meta(_KEY, json.dumps(sorted(unread(store) | {what})))


def unread(store: Store) -> frozenset[str]:
    """Return what was not read whole, for example ``flow runs``; nothing where all was."""
    return frozenset(json.loads(store.meta(_KEY) or "[]"))
