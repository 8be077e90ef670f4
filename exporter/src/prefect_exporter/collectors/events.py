"""Everything that happens, by the names of its events: counted once, window by window."""

from __future__ import annotations

from uuid import UUID

from prefect_exporter.api import EventFilter, Interval
from prefect_exporter.collectors.base import Context, Counting
from prefect_exporter.collectors.folding import sums
from prefect_exporter.facts import Add, Change, Cursor, Fact, Series
from prefect_exporter.feeds.event_pages import RETENTION_US
from prefect_exporter.labels import clip
from prefect_exporter.metrics import Counted, Family, Kind, Labels
from prefect_exporter.moments import HOUR, MINUTE, moment
from prefect_exporter.settings import Settings

INTERVAL_SECONDS = 60.0
# A window is counted once, when its events are stored; what a client sends later is missed.
SETTLED_US = 2 * MINUTE
# The server reads every event of a window; a day of a busy one takes it seconds.
WINDOW_US = HOUR
FORGET_EVERY_US = HOUR
# With a window's end, the key of its counts: there is one window at a time.
WINDOW = UUID(int=0)

EVENTS = Counted(
    "prefect_events_total",
    Kind.COUNTER,
    "Events that Prefect has stored, by name; those that it stored late are not in it.",
    ("event",),
)


class EventCollector:
    """Ask how many events of each name a window had, in windows that do not overlap."""

    name = "events"
    required = False
    families: tuple[Family[Counting], ...] = ()
    counted = (EVENTS,)

    def __init__(self, settings: Settings) -> None:
        self.interval_seconds = settings.interval(self.name, INTERVAL_SECONDS)

    async def poll(self, context: Context, previous: Counting | None) -> Counting:
        """Count what has settled since the last poll, oldest first; each window is kept at once."""
        stop_us = context.now_us() - SETTLED_US
        begin_us = stop_us - MINUTE
        ledger = context.store.ledger
        cursor = ledger.cursor(context.target, self.name) or Cursor(begin_us, begin_us)
        low_us, folded = max(cursor.high_us, stop_us - RETENTION_US), set[Labels]()
        while low_us < stop_us:
            high_us = min(low_us + WINDOW_US, stop_us)
            folded |= await _count(context, cursor, low_us, high_us)
            low_us = high_us
        if low_us - cursor.origin_us > FORGET_EVERY_US:
            await context.store.run(ledger.prune, context.target, self.name, low_us)
        return Counting(folded=len(folded))


async def _count(context: Context, cursor: Cursor, low_us: int, high_us: int) -> set[Labels]:
    """Count one window, its end not included; return the names that were folded."""
    occurred = Interval(moment(low_us), moment(high_us - 1))
    counts = await context.api.count_events(EventFilter("", occurred))
    # Prefect gives the most frequent ones first: they have the first places.
    named = [((clip(name),), number) for name, number in counts.items()]
    places = await context.directory.places("event", [name for name, _ in named])
    effects = tuple(
        Add(Series(EVENTS.name, (context.target, *place)), number)
        for place, number in sums((places[name], float(number)) for name, number in named)
    )
    feed = EventCollector.name
    change = Change(
        context.target,
        feed,
        (Fact(WINDOW, high_us, effects),),
        cursors={feed: Cursor(cursor.origin_us, high_us)},
    )
    await context.store.run(context.store.ledger.commit, change)
    return {name for name, place in places.items() if name != place}
