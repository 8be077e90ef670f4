"""The second source for flow runs: state changes, for what its row no longer shows.

A run that is retried or deleted before a poll has seen its end leaves no row; its event stays. An
event counts only after a whole scan of the rows, begun later than we first saw the event, did not
bring the same completion: so a run that still has its row is counted from it, with its duration.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from prefect_exporter.api import Api, EventFilter, Interval
from prefect_exporter.errors import Waiting
from prefect_exporter.facts import Change, Cursor, Fact
from prefect_exporter.feeds.event_pages import OVERLAP_US, RETENTION_US, read_events
from prefect_exporter.labels import TERMINAL
from prefect_exporter.moments import SECOND, micros, moment
from prefect_exporter.store import Store
from prefect_exporter.wire import Event

PREFIX = "prefect.flow-run."
# State names that no terminal state has: leaving them out cuts the volume threefold. Everything
# else is read, so that a terminal state with a name of the user's own is seen.
NOT_TERMINAL = (
    "AwaitingConcurrencySlot",
    "AwaitingRetry",
    "Cancelling",
    "InfrastructurePending",
    "Late",
    "NotReady",
    "Paused",
    "Pending",
    "Resuming",
    "Retrying",
    "Running",
    "Scheduled",
    "Submitting",
    "Suspended",
    "heartbeat",
)
WITHOUT = tuple(PREFIX + name for name in NOT_TERMINAL)
# The event is written before its transaction commits: the row may show a little later.
COMMIT_LAG_US = 2 * SECOND
# PostgreSQL and SQLite may round the row's time and the event's differently.
TOLERANCE_US = 1000
MOST_STARTS = 1_000_000


@dataclass(frozen=True, slots=True)
class Ended:
    """A flow run's end as its event tells it; *names* are of what it is related to, by role."""

    run_id: UUID
    at_us: int
    state_type: str
    state_name: str | None
    run_count: int
    names: dict[str, str]


@dataclass(slots=True)
class EventFeed:
    """State changes of flow runs.

    Args:
        target: The Prefect server or workspace.
        name: Its own name in the ledger, for its mark.
        rows: The name of the rows' feed, whose keys it shares.
        pages: How many pages one poll may ask for.
        facts: What ends that only events know do to the metrics.
        waiting: When each end was first seen that no scan of the rows has decided on yet.
    """

    target: str
    name: str
    rows: str
    pages: int
    facts: Callable[[Sequence[Ended]], Awaitable[Sequence[Fact]]]
    waiting: dict[tuple[UUID, int], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Followed:
    """What one poll of the events brought.

    Args:
        counted: Completions that only their event told of.
        newest_us: The newest event that was seen; 0 where none was.
        over_budget: Whether events were left for the next poll.
    """

    counted: int
    newest_us: int
    over_budget: bool


async def follow_events(feed: EventFeed, api: Api, store: Store, now_us: int) -> Followed:
    """Count the completions that only events know.

    Raises:
        Waiting: The rows have not been read yet.
        ApiError: Nothing of this poll is kept.
        LedgerError: As above.
    """
    rows = store.ledger.cursor(feed.target, feed.rows)
    if rows is None:
        message = f"waits for the first reading of {feed.rows}"
        raise Waiting(message)
    # Keys older than the rows' origin are forgotten: an event from before it could count again.
    origin_us = rows.origin_us
    cursor = store.ledger.cursor(feed.target, feed.name) or Cursor(origin_us, origin_us)
    since = max(cursor.high_us - OVERLAP_US, origin_us, now_us - RETENTION_US)
    where = EventFilter(PREFIX, Interval(moment(since)), WITHOUT)
    events, over_budget = await read_events(api, where, feed.pages)
    # Whoever may write events may date them ahead: those are read again when their time comes.
    events = [event for event in events if micros(event.occurred) <= now_us + OVERLAP_US]
    ends = [end for event in events if (end := ended(event)) and end.at_us >= origin_us]
    ready = await _without_row(feed, store, ends, now_us)
    facts = await feed.facts(ready) if ready else ()
    newest = max([cursor.newest_us, *(micros(event.occurred) for event in events)])
    waits = min((at_us for _, at_us in feed.waiting), default=newest)
    # Over budget, the overlap is given up: else a burst would be read from its start for ever.
    mark = min(newest, waits, now_us) + (OVERLAP_US if over_budget else 0)
    change = Change(
        feed.target,
        feed.rows,
        tuple(facts),
        tolerance_us=TOLERANCE_US,
        cursors={feed.name: Cursor(origin_us, max(mark, cursor.high_us), newest, now_us)},
    )
    counted = await store.run(store.ledger.commit, change)
    return Followed(counted, newest, over_budget)


async def _without_row(
    feed: EventFeed, store: Store, ends: Sequence[Ended], now_us: int
) -> list[Ended]:
    keys = {(end.run_id, end.at_us): end for end in ends}
    unseen = await store.run(store.ledger.unseen, feed.target, feed.rows, keys, TOLERANCE_US)
    # Whatever this machine's clock did since, it was seen by now.
    first_seen = {key: min(feed.waiting.get(key, now_us), now_us) for key in keys if key in unseen}
    rows = store.ledger.cursor(feed.target, feed.rows)
    scanned_us = rows.scanned_us if rows else 0
    ready = [key for key, at_us in first_seen.items() if scanned_us >= at_us + COMMIT_LAG_US]
    feed.waiting = {key: at for key, at in first_seen.items() if key not in set(ready)}
    return [keys[key] for key in ready]


def ended(event: Event) -> Ended | None:
    """Return the end that an event tells of; None for any other transition.

    A terminal state that replaces a terminal one keeps ``end_time``: it is no second completion.
    """
    before, after = event.payload.initial_state, event.payload.validated_state
    if after is None or after.type not in TERMINAL or (before and before.type in TERMINAL):
        return None
    try:
        run_id = UUID((event.resource["prefect.resource.id"] or "").removeprefix(PREFIX))
        run_count = min(int(event.resource.get("prefect.run-count") or 0), MOST_STARTS)
    except (KeyError, ValueError):
        return None
    names = {
        row.get("prefect.resource.role") or "": row.get("prefect.resource.name") or ""
        for row in event.related
    }
    return Ended(run_id, micros(event.occurred), after.type, after.name, run_count, names)
