"""Flow runs whose row no longer shows that they ended: their events do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prefect_exporter.collectors.base import Context
from prefect_exporter.collectors.flow_runs import FEED, Completion, completed
from prefect_exporter.facts import Fact
from prefect_exporter.feeds.events import Ended, EventFeed, follow_events
from prefect_exporter.labels import clip, outcome, subflow
from prefect_exporter.metrics import Counted, Family, Kind, Samples
from prefect_exporter.moments import seconds
from prefect_exporter.settings import Settings


@dataclass(frozen=True, slots=True)
class FlowRunEvents:
    """What the events have brought since the exporter started.

    Args:
        feed: The ends that still wait for a scan of the rows.
        event_only: Completions that only their event told of.
        lag_us: How far the newest event is behind the newest end of a flow run.
        truncated: Whether the budget of pages left events for the next poll.
    """

    feed: EventFeed
    event_only: int
    lag_us: int
    truncated: bool
    folded: int = 0


def _event_only(state: FlowRunEvents) -> Samples:
    yield (), float(state.event_only)


def _lag(state: FlowRunEvents) -> Samples:
    yield (), seconds(state.lag_us)


class FlowRunEventCollector:
    """Count the flow runs that were retried or deleted before their row was read."""

    name = "flow_run_events"
    required = False
    counted: tuple[Counted, ...] = ()
    families = (
        Family(
            "prefect_exporter_event_only_completions_total",
            Kind.COUNTER,
            "Flow run ends that only their event told of, since the exporter started.",
            (),
            _event_only,
        ),
        Family(
            "prefect_server_events_lag_seconds",
            Kind.GAUGE,
            "How far the newest stored event is behind the newest end of a flow run.",
            (),
            _lag,
        ),
    )

    def __init__(self, settings: Settings) -> None:
        self.interval_seconds = settings.interval(self.name, settings.poll_interval_seconds)
        self._pages = settings.events_pages_per_poll

    async def poll(self, context: Context, previous: FlowRunEvents | None) -> FlowRunEvents:
        """Read the state changes since the last poll, within the budget of pages."""
        feed = previous.feed if previous else self._feed(context)
        followed = await follow_events(feed, context.api, context.store, context.now_us())
        rows = context.store.ledger.cursor(context.target, FEED)
        ended_us = min(rows.newest_us, context.now_us()) if rows else 0
        behind = ended_us - followed.newest_us if followed.newest_us else 0
        counted = (previous.event_only if previous else 0) + followed.counted
        return FlowRunEvents(feed, counted, max(behind, 0), followed.over_budget)

    def _feed(self, context: Context) -> EventFeed:
        async def facts(ends: Sequence[Ended]) -> Sequence[Fact]:
            return await completed(context, [_completion(end) for end in ends])

        return EventFeed(context.target, self.name, FEED, self._pages, facts)


def _completion(end: Ended) -> Completion:
    deployment = clip(end.names.get("deployment", ""))
    return Completion(
        run_id=end.run_id,
        at_us=end.at_us,
        flow=clip(end.names.get("flow", "")),
        deployment=deployment,
        subflow=subflow(has_parent="task-run" in end.names, has_deployment=bool(deployment)),
        outcome=outcome(end.state_type, end.state_name),
        run_count=end.run_count,
        seconds=None,
        work_pool=clip(end.names.get("work-pool", "")),
        work_queue=clip(end.names.get("work-queue", "")),
    )
