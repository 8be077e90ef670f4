"""Flow runs that died unseen: they still run for Prefect, and have stopped to send heartbeats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from prefect_exporter.api import Api, EventFilter, Interval, RunFilter
from prefect_exporter.collectors.base import Context
from prefect_exporter.collectors.flow_runs_active import deployment_places
from prefect_exporter.collectors.folding import sums
from prefect_exporter.directory import pages
from prefect_exporter.errors import Malformed
from prefect_exporter.feeds.event_pages import RETENTION_US
from prefect_exporter.labels import OTHER
from prefect_exporter.metrics import Counted, Family, Kind, Labels, Samples
from prefect_exporter.moments import HOUR, SECOND, micros, moment
from prefect_exporter.paging import flow_runs
from prefect_exporter.settings import Settings
from prefect_exporter.wire import Event, FlowRun

INTERVAL_SECONDS = 60.0
EVENT = "prefect.flow-run.heartbeat"
RESOURCE = "prefect.flow-run."
# As many runs as Prefect gives events at once.
RUNS_PER_REQUEST = 50
# Heartbeats are found by their client's clock, which may be this wrong.
SKEW_US = HOUR
# Events may have been off, or late, when a run was asked for.
ASK_AGAIN_US = HOUR


@dataclass(frozen=True, slots=True)
class Heartbeats:
    """Flow runs without a pulse.

    Args:
        stale: How many, by flow and deployment; 0 where all that send heartbeats do.
        heard: When each run was last heard, in microseconds since 1970.
        unheard: When each run that was never heard was last asked for.
    """

    stale: Mapping[Labels, float]
    heard: Mapping[UUID, int]
    truncated: bool
    folded: int
    unheard: Mapping[UUID, int] = field(default_factory=dict)


def _stale(state: Heartbeats) -> Samples:
    return state.stale.items()


class HeartbeatCollector:
    """Ask for the last heartbeat of each run that was not heard for long, many in one request."""

    name = "heartbeats"
    required = False
    counted: tuple[Counted, ...] = ()
    families = (
        Family(
            "prefect_flow_runs_heartbeat_stale",
            Kind.GAUGE,
            "Running flow runs that have sent heartbeats, and none for too long.",
            ("flow", "deployment"),
            _stale,
        ),
    )

    def __init__(self, settings: Settings) -> None:
        self.interval_seconds = settings.interval(self.name, INTERVAL_SECONDS)
        self._after_us = round(settings.heartbeat_stale_after_seconds * SECOND)
        self._pages = settings.active_pages
        self._requests = settings.events_pages_per_poll

    async def poll(self, context: Context, previous: Heartbeats | None) -> Heartbeats:
        """List the runs that have run for long enough, and listen for those not heard lately."""
        now_us = context.now_us()
        limit_us = now_us - self._after_us
        rows, more = await _running(context.api, limit_us, self._pages)
        places = await deployment_places(context, rows)
        previous = previous or Heartbeats({}, {}, truncated=False, folded=0)
        heard = {key: at for key, at in previous.heard.items() if key in places}
        unheard = {key: at for key, at in previous.unheard.items() if key in places}
        due = _due([key for key in places if key not in unheard], heard, limit_us)
        asked = [*due, *_again(unheard, now_us)]
        reach = self._requests * RUNS_PER_REQUEST
        known = unheard | heard
        for ids in pages(asked[:reach], RUNS_PER_REQUEST):
            heard |= await _listen(context.api, ids, known, now_us)
            unheard |= dict.fromkeys(ids, now_us)
        unheard = {key: at for key, at in unheard.items() if key not in heard}
        stale = sums((places[key], float(at_us < limit_us)) for key, at_us in heard.items())
        folded = sum(place == (OTHER, OTHER) for place in places.values())
        return Heartbeats(dict(stale), heard, more or len(due) > reach, folded, unheard)


async def _running(api: Api, before_us: int, max_pages: int) -> tuple[list[FlowRun], bool]:
    """Return the runs that have been running since then, and whether there are more.

    One that was resumed or retried since may not have sent its first heartbeat yet.
    """
    where = RunFilter(state_types=("RUNNING",), started=Interval(before=moment(before_us)))
    rows, more = await flow_runs(api, where, "ID_DESC", max_pages)
    return [row for row in rows if row.state and micros(row.state.timestamp) <= before_us], more


def _due(running: Iterable[UUID], heard: Mapping[UUID, int], limit_us: int) -> Sequence[UUID]:
    """Return the runs to ask for: those that are new, then those that were silent for long.

    The budget must not leave out a run that lives for those that are dead: they come last.
    """
    new = [key for key in running if key not in heard]
    silent = sorted(((at, key) for key, at in heard.items() if at < limit_us), reverse=True)
    return new + [key for _, key in silent]


def _again(unheard: Mapping[UUID, int], now_us: int) -> Sequence[UUID]:
    """Return the runs never heard that were not asked for lately, longest ago first."""
    lately = now_us - ASK_AGAIN_US
    return [key for at, key in sorted((at, key) for key, at in unheard.items()) if at <= lately]


async def _listen(
    api: Api, ids: Sequence[UUID], known: Mapping[UUID, int], now_us: int
) -> Mapping[UUID, int]:
    """Return when each run was last heard since it was known to be, by the server's clock."""
    since_us = min(known.get(key, now_us - RETENTION_US) for key in ids) - SKEW_US
    # Without an end, Prefect leaves out what a client's clock has put into the future.
    occurred = Interval(moment(since_us), moment(now_us + SKEW_US))
    where = EventFilter(
        "",
        occurred,
        names=(EVENT,),
        resources=tuple(f"{RESOURCE}{key}" for key in ids),
        newest_first=True,
        one_each=True,
    )
    found = {
        event.resource.get("prefect.resource.id"): micros(event.received or event.occurred)
        for event in await _events(api, where)
    }
    return {key: found[name] for key in ids if (name := f"{RESOURCE}{key}") in found}


async def _events(api: Api, where: EventFilter) -> Sequence[Event]:
    """Return one event of each resource.

    Raises:
        Malformed: The server does not know how to give one of each, and gave others.
    """
    page = await api.events(where)
    events = list(page.rows)
    while page.token and page.rows and len(events) < len(where.resources):
        page = await api.more_events(page.token)
        events += page.rows
    if len({event.resource.get("prefect.resource.id") for event in events}) < len(events):
        raise Malformed("events/filter", "the answer holds events that were not asked for")
    return events
