"""The status page as JSON, for programs: the same values, and no more of them."""

from __future__ import annotations

import json
from dataclasses import fields

import msgspec

from prefect_exporter.health.model import Health
from prefect_exporter.status import Status

VERSION = 1


def status_document(status: Status, health: Health) -> bytes:
    """Return ``/status.json``: times are RFC 3339, durations and ages seconds."""
    exporter = {
        "version": status.version,
        "started": status.started,
        "ready": status.ready,
        "series": status.series,
        "held_series": status.held_series,
        "ledger_bytes": status.ledger_bytes,
        "problems": status.configuration.problems,
        "collectors": status.collectors,
    }
    parts = {each.name: getattr(health, each.name) for each in fields(health)}
    document = {"format": VERSION, "at": status.at, "exporter": exporter, **parts}
    # ASCII, so that a name may hold anything, even half of a pair of surrogates.
    return json.dumps(msgspec.to_builtins(document)).encode()
