"""Events as pages: read from a time on, oldest first, within a budget."""

from __future__ import annotations

from dataclasses import replace

from prefect_exporter.api import Api, EventFilter, Interval, Page
from prefect_exporter.moments import DAY, HOUR, MINUTE
from prefect_exporter.wire import Event

# How far behind the newest event a reading begins: the server stores what it was sent in batches.
OVERLAP_US = MINUTE
# How far back events are asked for at most. Prefect keeps them for 7 days, and its cloud refuses to
# look back for longer than a plan keeps them (https://docs.prefect.io/v3/concepts/rate-limits).
RETENTION_US = 7 * DAY - 4 * HOUR


async def read_events(api: Api, where: EventFilter, max_pages: int) -> tuple[list[Event], bool]:
    """Return the events, oldest first, and whether the budget of pages cut them off.

    Events on the edge of two pages come twice.

    Raises:
        ApiError: A page could not be read.
    """
    token, events = None, list[Event]()
    for _ in range(max_pages):
        page: Page[Event]
        page = await (api.events(where) if token is None else api.more_events(token))
        events += page.rows
        if not page.full or not page.rows:
            return events, False
        last = page.rows[-1].occurred
        # Pages go on by time; a token is an offset, of use only inside one crowded microsecond.
        token = page.token if last == where.occurred.after else None
        where = replace(where, occurred=Interval(last, where.occurred.before))
    return events, True
