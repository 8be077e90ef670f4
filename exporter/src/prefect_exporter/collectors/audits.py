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
    folded: int = 0


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
    """Audit one feed, and forget the keys that no scan goes back to."""

    name: str
    feed: Callable[[Context], Feed[Any]]
    required = False
    families = (CORRECTIONS,)
    counted: tuple[Counted, ...] = ()

    def __init__(self, settings: Settings) -> None:
        self.interval_seconds = settings.interval(self.name, settings.audit_interval_seconds)
        self._horizon_us = round(settings.audit_horizon_seconds * SECOND)

    async def poll(self, context: Context, previous: Audits | None) -> Audits:
        """Compare, read again what differs, and prune."""
        feed = self.feed(context)
        now_us = context.now_us()
        audited = await audit(feed, context.store, now_us, self._horizon_us)
        await forget(feed, context.store, now_us, self._horizon_us + MINUTE)
        before = previous.corrections if previous else 0
        return Audits(feed.name, before + audited.corrections, not audited.complete)


class FlowRunAudit(AuditCollector):
    """Audit flow runs."""

    name = "flow_run_audit"
    feed = staticmethod(flow_runs.feed)


class TaskRunAudit(AuditCollector):
    """Audit task runs."""

    name = "task_run_audit"
    feed = staticmethod(task_runs.feed)
