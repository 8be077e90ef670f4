"""Flow runs that started: how long after their time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter

from prefect_exporter.api import Interval, Page, RunFilter
from prefect_exporter.collectors.base import Context, Counting
from prefect_exporter.collectors.flow_runs_active import selected_runs
from prefect_exporter.facts import Fact, Observe, Series
from prefect_exporter.feeds.feed import Feed
from prefect_exporter.feeds.rows import follow, forget
from prefect_exporter.labels import clip
from prefect_exporter.metrics import Counted, Family, Kind
from prefect_exporter.moments import HOUR, SECOND, micros, seconds
from prefect_exporter.settings import Settings
from prefect_exporter.wire import FlowRun

# No audit goes back here: a start shows in the same transaction in which it happens.
KEPT_US = HOUR


def start_delay(settings: Settings) -> Counted:
    """Return the delay's family; its buckets are a setting."""
    return Counted(
        "prefect_flow_run_start_delay_seconds",
        Kind.HISTOGRAM,
        "Time from when a deployment's flow run was due to its first start.",
        ("work_pool", "work_queue"),
        settings.start_delay_buckets,
    )


class FlowRunStartCollector:
    """Observe each start once, when it happens: a long run's delay is known before it ends."""

    name = "flow_run_starts"
    required = True
    families: tuple[Family[Counting], ...] = ()

    def __init__(self, settings: Settings) -> None:
        self.interval_seconds = settings.interval(self.name, settings.poll_interval_seconds)
        self.counted = (start_delay(settings),)

    async def poll(self, context: Context, previous: Counting | None) -> Counting:
        """Observe what started since the last poll."""
        starts, now_us = feed(context), context.now_us()
        await follow(starts, context.store, now_us)
        await forget(starts, context.store, now_us, KEPT_US)
        return Counting()


def feed(context: Context) -> Feed[FlowRun]:
    """Return the rows of flow runs by their first start."""

    async def page(started: Interval, offset: int) -> Page[FlowRun]:
        return await context.api.flow_runs(RunFilter(started=started), "START_TIME_DESC", offset)

    async def count(started: Interval) -> int:
        return await context.api.count_flow_runs(RunFilter(started=started))

    async def facts(rows: Sequence[FlowRun]) -> Sequence[Fact]:
        scheduled = [row for row in rows if row.deployment_id and row.expected_start_time]
        selected = {row.id: row for row in await selected_runs(context, scheduled)}
        queues = {_queue(row) for row in selected.values()}
        places = await context.directory.places("work_queue", queues)
        # Those that are not selected are known all the same: what is selected later observes
        # nothing old.
        return [
            Fact(
                row.id,
                micros(_start_time(row)),
                (_delay(context.target, row, places[_queue(row)]),) if row.id in selected else (),
            )
            for row in scheduled
        ]

    overlap_us = round(context.settings.flow_run_overlap_seconds * SECOND)
    return Feed(
        context.target,
        "flow_run_starts",
        overlap_us,
        page,
        count,
        attrgetter("start_time"),
        facts,
    )


def _start_time(row: FlowRun) -> datetime:
    assert row.start_time is not None  # noqa: S101  # the filter is on start_time
    return row.start_time


def _queue(row: FlowRun) -> tuple[str, str]:
    return clip(row.work_pool_name or ""), clip(row.work_queue_name or "")


def _delay(target: str, row: FlowRun, queue: tuple[str, ...]) -> Observe:
    due = row.expected_start_time or _start_time(row)
    delay = seconds(max(micros(_start_time(row)) - micros(due), 0))
    return Observe(Series("prefect_flow_run_start_delay_seconds", (target, *queue)), delay)
