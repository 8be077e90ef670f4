"""Failed runs of the last hours, put into groups by what failed: docs/errors.md, from outside."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from prefect_exporter.api import Interval, RunFilter
from prefect_exporter.collectors.base import Context
from prefect_exporter.errors import Rejected
from prefect_exporter.failures.facts import MAX_MESSAGE
from prefect_exporter.failures.grouping import group
from prefect_exporter.failures.model import Failed, Group, Recent
from prefect_exporter.failures.reading import Read, tracebacks
from prefect_exporter.failures.series import Series, series_of
from prefect_exporter.failures.window import MOST_RECENT, Window
from prefect_exporter.labels import clip
from prefect_exporter.metrics import Counted, Family, Kind, Labels, Samples
from prefect_exporter.moments import MINUTE, SECOND, micros, moment, seconds
from prefect_exporter.settings import Settings
from prefect_exporter.wire import FlowRunRecord

INTERVAL_SECONDS = 60.0
BUCKETS = 24
"""Steps that the window is cut into, for trends and small charts."""

OVERLAP_US = 2 * MINUTE
"""How far each poll goes back behind the last: a run's end may be readable a little later."""

# Prefect's client sends log lines in batches, mostly within two seconds.
LOGS_COMPLETE_US = MINUTE
MOST_LOG_REQUESTS = 20
_FAILED = ("FAILED", "CRASHED")


@dataclass(frozen=True, slots=True)
class FailureGroups:
    """What failed in the window.

    Args:
        groups: The most failures first; a last one may be ``other``.
        recent: The newest failures, the newest first.
        since_us: Where the window begins; *until_us* when it was looked at.
        series: What the metrics show.
        read: How many logs the last poll read, of *wanted*.
    """

    groups: tuple[Group, ...] = ()
    recent: tuple[Recent, ...] = ()
    since_us: int = 0
    until_us: int = 0
    series: Mapping[Labels, Series] = field(default_factory=dict)
    read: int = 0
    wanted: int = 0
    truncated: bool = False
    folded: int = 0
    window: Window = field(default_factory=Window)


def _flow_runs(state: FailureGroups) -> Samples:
    return ((at, float(series.count)) for at, series in state.series.items())


def _first_seen(state: FailureGroups) -> Samples:
    return ((at, seconds(series.first_us)) for at, series in state.series.items())


def _last_seen(state: FailureGroups) -> Samples:
    return ((at, seconds(series.last_us)) for at, series in state.series.items())


class FailureGroupCollector:
    """Read which runs failed since the last poll, and of some of them the traceback."""

    name = "failure_groups"
    required = False
    counted: tuple[Counted, ...] = ()
    families = (
        Family(
            "prefect_failure_group_flow_runs",
            Kind.GAUGE,
            "Flow runs that failed alike and ended in the failure window.",
            ("id", "category", "flow"),
            _flow_runs,
        ),
        Family(
            "prefect_failure_group_first_seen_timestamp_seconds",
            Kind.GAUGE,
            "When the first of these ended, of those in the failure window.",
            ("id", "category", "flow"),
            _first_seen,
        ),
        Family(
            "prefect_failure_group_last_seen_timestamp_seconds",
            Kind.GAUGE,
            "When the last of these ended.",
            ("id", "category", "flow"),
            _last_seen,
        ),
    )

    def __init__(self, settings: Settings) -> None:
        self.interval_seconds = settings.interval(self.name, INTERVAL_SECONDS)
        self._window_us = round(settings.failure_window_seconds * SECOND)
        self._pages = settings.active_pages
        self._most = settings.max_failure_groups
        self._rules = settings.error_rules or ()

    async def poll(self, context: Context, previous: FailureGroups | None) -> FailureGroups:
        """Read what is new, and group all that is in the window now."""
        now_us = context.now_us()
        since_us = now_us - self._window_us
        last = previous or FailureGroups(until_us=since_us)
        rows, cut_us = await _ended(context, max(since_us, last.until_us - OVERLAP_US), self._pages)
        known = last.window.known()
        failures = await _named(context, rows)
        new = [each for each in failures if (each.run_id, each.ended_us) not in known]
        pending = [*last.window.unsettled(), *new]
        read = await _read(context, pending)
        window = Window(last.window.entries, max(last.window.known_since_us, cut_us))
        # Thousands of messages take a second, and nothing else would be served meanwhile.
        return await asyncio.to_thread(self._state, window, (since_us, now_us), pending, read)

    def _state(
        self, window: Window, between_us: tuple[int, int], pending: Sequence[Failed], read: Read
    ) -> FailureGroups:
        since_us, now_us = between_us
        window = window.moved(since_us, pending, read.texts, now_us - LOGS_COMPLETE_US, self._rules)
        pairs = [(entry.failed, entry.signature) for entry in window.entries]
        series, folded = series_of(pairs, self._most)
        return FailureGroups(
            tuple(
                group(pairs, since_us=since_us, until_us=now_us, buckets=BUCKETS, most=self._most)
            ),
            tuple(Recent(*pair) for pair in pairs[:MOST_RECENT]),
            since_us,
            now_us,
            series,
            len(read.texts),
            read.wanted,
            truncated=window.known_since_us > since_us or not read.complete,
            folded=folded,
            window=window,
        )


async def _ended(
    context: Context, since_us: int, max_pages: int
) -> tuple[list[FlowRunRecord], int]:
    """Return the runs that failed since a time, and since when these are all; 0 if from there on.

    Pages are cut by the end time of the last row: what ends meanwhile does not shift them.
    """
    found: dict[UUID, FlowRunRecord] = {}
    before_us: int | None = None
    offset = 0
    for _ in range(max_pages):
        ended = Interval(moment(since_us), None if before_us is None else moment(before_us))
        where = RunFilter(ended=ended, state_types=_FAILED)
        page = await context.api.flow_run_records(where, "END_TIME_DESC", offset)
        found |= {row.id: row for row in page.rows}
        if not page.full:
            return list(found.values()), 0
        last_us = _ended_us(page.rows[-1])
        # Rows that all ended in one microsecond can only be counted through.
        offset = offset + len(page.rows) if last_us == before_us else _level(page.rows, last_us)
        before_us = last_us
    return list(found.values()), before_us or since_us


def _level(rows: Sequence[FlowRunRecord], at_us: int) -> int:
    return sum(_ended_us(row) == at_us for row in rows)


async def _named(context: Context, rows: Sequence[FlowRunRecord]) -> list[Failed]:
    """Return the failures that are selected, with the names of their flows and deployments."""
    flows = await context.directory.flows({row.flow_id for row in rows})
    deployments = await context.directory.deployments(
        {row.deployment_id for row in rows if row.deployment_id}
    )
    takes = context.settings.selection.takes
    found = []
    for row in rows:
        name = deployments[row.deployment_id].name if row.deployment_id else ""
        if takes(flows[row.flow_id], name, row.work_pool_name or ""):
            found.append(_failed(row, flows[row.flow_id], name))
    return found


def _failed(row: FlowRunRecord, flow: str, deployment: str) -> Failed:
    message = (row.state.message if row.state else None) or ""
    return Failed(
        row.id.bytes,
        clip(row.name),
        flow,
        deployment,
        row.state_type or "",
        row.state_name or "",
        message[:MAX_MESSAGE],
        _ended_us(row),
    )


async def _read(context: Context, failures: Sequence[Failed]) -> Read:
    """Read some tracebacks; a key that may not read logs leaves the messages of states."""
    if not failures:
        return Read()
    try:
        return await tracebacks(context.api, failures, most_requests=MOST_LOG_REQUESTS)
    except Rejected:
        return Read()


def _ended_us(row: FlowRunRecord) -> int:
    assert row.end_time is not None  # noqa: S101  # the filter is on end_time
    return micros(row.end_time)
