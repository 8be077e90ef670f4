"""The count audits: each compares one feed with the server's counts and reads late rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from prefect_exporter.collectors import flow_runs, task_runs
from prefect_exporter.collectors.base import Context
from prefect_exporter.feeds.audit import audit
from prefect_exporter.feeds.feed import Feed
from prefect_exporter.feeds.rows import forget
from prefect_exporter.metrics import Counted, Family, Kind, Samples
from prefect_exporter.moments import MINUTE, SECOND
from prefect_exporter.settings import Settings


@dataclass(frozen=True, slots=True)
class Audits:
    """What the audits of one feed have done since the exporter started."""

    feed: str
    corrections: int
    truncated: bool


def _corrections(state: Audits) -> Samples:
    yield (state.feed,), float(state.corrections)


CORRECTIONS = Family(
    "prefect_exporter_audit_corrections_total",
    Kind.COUNTER,
    "Run ends that arrived late and that a count audit found, since the exporter started.",
    ("feed",),
    _corrections,
)


class AuditCollector:
    """Audit one feed, and forget the keys that no scan goes back to.

    Args:
        settings: How often, and how far back.
        name: The value of the ``collector`` label.
        feed: Builds the feed that is audited.
    """

    required = False
    counted: tuple[Counted, ...] = ()

    def __init__(self, settings: Settings, name: str, feed: Callable[[Context], Feed[Any]]) -> None:
        self.name = name
        self.families = (CORRECTIONS,)
        self.interval_seconds = settings.audit_interval_seconds
        self._horizon_us = round(settings.audit_horizon_seconds * SECOND)
        self._feed = feed

    async def poll(self, context: Context, previous: Audits | None) -> Audits:
        """Compare, read again what differs, and prune."""
        feed = self._feed(context)
        now_us = context.now_us()
        audited = await audit(feed, context.store, now_us, self._horizon_us)
        await forget(feed, context.store, now_us, self._horizon_us + MINUTE)
        before = previous.corrections if previous else 0
        return Audits(feed.name, before + audited.corrections, not audited.complete)


def flow_run_audit(settings: Settings) -> AuditCollector:
    """Return the audit of flow runs."""
    return AuditCollector(settings, "flow_run_audit", flow_runs.feed)


def task_run_audit(settings: Settings) -> AuditCollector:
    """Return the audit of task runs."""
    return AuditCollector(settings, "task_run_audit", task_runs.feed)
