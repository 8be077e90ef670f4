"""Automations: which are enabled, and how the actions that they took went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prefect_exporter.api import Api, EventFilter, Interval
from prefect_exporter.collectors.base import Context
from prefect_exporter.collectors.folding import folded, highest
from prefect_exporter.facts import Add, Change, Cursor, Fact, Series
from prefect_exporter.feeds.event_pages import OVERLAP_US, RETENTION_US, read_events
from prefect_exporter.labels import clip
from prefect_exporter.metrics import Counted, Family, Kind, Labels, Samples
from prefect_exporter.moments import HOUR, micros, moment
from prefect_exporter.paging import listed
from prefect_exporter.settings import Settings
from prefect_exporter.wire import Event

INTERVAL_SECONDS = 60.0
# Each action ends with one of these; its `.triggered` event is sent along with it, never alone.
OUTCOMES = {
    "prefect.automation.action.executed": "executed",
    "prefect.automation.action.failed": "failed",
}
FORGET_EVERY_US = HOUR

ACTIONS = Counted(
    "prefect_automation_actions_total",
    Kind.COUNTER,
    "Actions that automations took, by how they ended.",
    ("automation", "outcome"),
)


@dataclass(frozen=True, slots=True)
class Automations:
    """Whether an automation is enabled: 1 or 0; of several with one name, whether any is."""

    enabled: Mapping[Labels, float]
    truncated: bool
    folded: int


def _enabled(state: Automations) -> Samples:
    return state.enabled.items()


class AutomationCollector:
    """List automations, and count what their events tell of actions, each event once."""

    name = "automations"
    required = False
    counted = (ACTIONS,)
    families = (
        Family(
            "prefect_automation_enabled",
            Kind.GAUGE,
            "Whether an automation is enabled; of several with one name, whether any is.",
            ("automation",),
            _enabled,
        ),
    )

    def __init__(self, settings: Settings) -> None:
        self.interval_seconds = settings.interval(self.name, INTERVAL_SECONDS)
        self._pages = settings.active_pages
        self._event_pages = settings.events_pages_per_poll

    async def poll(self, context: Context, previous: Automations | None) -> Automations:
        """List all, then count the actions since the last poll."""
        rows, more = await listed(context.api.automations, self._pages)
        named = [((clip(row.name),), row.enabled) for row in rows]
        places = await context.directory.places("automation", [name for name, _ in named])
        enabled = dict(highest((places[name], float(on)) for name, on in named))
        more_events = await _count_actions(context, list(enabled), self._event_pages)
        return Automations(enabled, more or more_events, folded(places))


async def _count_actions(context: Context, places: Sequence[Labels], max_pages: int) -> bool:
    """Count the actions that are new; return whether the budget of pages left some for later."""
    now_us, feed = context.now_us(), AutomationCollector.name
    cursor = context.store.ledger.cursor(context.target, feed) or await _begin(context.api, now_us)
    since_us = max(cursor.high_us - OVERLAP_US, cursor.origin_us, now_us - RETENTION_US)
    where = EventFilter("", Interval(moment(since_us)), names=tuple(OUTCOMES))
    events, over_budget = await read_events(context.api, where, max_pages)
    # Whoever may write events may date them ahead: those are read again when their time comes.
    events = [event for event in events if micros(event.occurred) <= now_us + OVERLAP_US]
    newest_us = min(max([cursor.high_us, *(micros(event.occurred) for event in events)]), now_us)
    # Over budget, the overlap is given up: else a burst would be read from its start for ever.
    mark_us = max(newest_us + (OVERLAP_US if over_budget else 0), cursor.high_us)
    change = Change(
        context.target,
        feed,
        await _facts(context, events),
        cursors={feed: Cursor(cursor.origin_us, mark_us)},
        seeds=tuple(
            _series(context, place, outcome) for place in places for outcome in OUTCOMES.values()
        ),
    )
    await context.store.run(context.store.ledger.commit, change)
    kept_us = mark_us - 2 * OVERLAP_US
    if kept_us - cursor.origin_us > FORGET_EVERY_US:
        await context.store.run(context.store.ledger.prune, context.target, feed, kept_us)
    return over_budget


async def _begin(api: Api, now_us: int) -> Cursor:
    """Return where a new feed begins: just behind the newest action, so history stays out."""
    occurred = Interval(moment(now_us - RETENTION_US))
    page = await api.events(EventFilter("", occurred, names=tuple(OUTCOMES), newest_first=True))
    newest = micros(page.rows[0].occurred) + 1 if page.rows else now_us - RETENTION_US
    return Cursor(newest, newest)


async def _facts(context: Context, events: Sequence[Event]) -> tuple[Fact, ...]:
    named = [
        (event, (clip(event.resource.get("prefect.resource.name") or ""),)) for event in events
    ]
    places = await context.directory.places("automation", [name for _, name in named])
    return tuple(
        Fact(event.id, micros(event.occurred), (Add(_series(context, places[name], outcome)),))
        for event, name in named
        if event.id and (outcome := OUTCOMES.get(event.name))
    )


def _series(context: Context, place: Labels, outcome: str) -> Series:
    return Series(ACTIONS.name, (context.target, *place, outcome))
