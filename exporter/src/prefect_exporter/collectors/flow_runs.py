"""Flow runs that ended: how, how long they took, how often they were retried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from uuid import UUID

from prefect_exporter.api import Interval, Page, RunFilter
from prefect_exporter.collectors.base import Context, Counting
from prefect_exporter.directory import DELETED
from prefect_exporter.facts import (
    Add,
    Ended,
    Exemplar,
    Fact,
    Latest,
    Observe,
    Retried,
    Series,
)
from prefect_exporter.feeds.events import TOLERANCE_US
from prefect_exporter.feeds.feed import Feed
from prefect_exporter.feeds.rows import follow
from prefect_exporter.labels import TERMINAL, clip, outcome, result, subflow
from prefect_exporter.metrics import Counted, Family, Kind, Labels
from prefect_exporter.moments import SECOND, micros, seconds
from prefect_exporter.settings import Settings
from prefect_exporter.traces import Trace, trace_of
from prefect_exporter.wire import FlowRun

FEED = "flow_runs"

FINISHED = Counted(
    "prefect_flow_runs_finished_total",
    Kind.COUNTER,
    "Flow runs that ended, each end counted once; a manual retry that ends is one more.",
    ("flow", "deployment", "subflow", "outcome"),
)
POOL_FINISHED = Counted(
    "prefect_work_pool_flow_runs_finished_total",
    Kind.COUNTER,
    "Flow runs that ended, by work pool: the same runs again, never to be added to the above.",
    ("work_pool", "work_queue", "outcome"),
)
RETRIES = Counted(
    "prefect_flow_run_retries_total",
    Kind.COUNTER,
    "Starts of ended flow runs beyond their first.",
    ("flow", "deployment"),
)
LAST_FINISHED = Counted(
    "prefect_flow_run_last_finished_timestamp_seconds",
    Kind.GAUGE,
    "When a flow run of no deployment last ended so, since the exporter's first start.",
    ("flow", "deployment", "outcome"),
)
FOLDED = Counted(
    "prefect_exporter_labels_folded_total",
    Kind.COUNTER,
    "Run ends that stand under `other`, since their name came after the limit was reached.",
    ("scope",),
)


def duration(settings: Settings) -> Counted:
    """Return the duration's family; its buckets are a setting."""
    return Counted(
        "prefect_flow_run_duration_seconds",
        Kind.HISTOGRAM,
        "Running time of ended flow runs that had started, all their starts together.",
        ("flow", "deployment", "outcome"),
        settings.flow_run_buckets,
    )


@dataclass(frozen=True, slots=True)
class Completion:
    """One end of a flow run, from its row or from its event.

    Args:
        seconds: The running time; None where it never started, or where only an event tells.
    """

    run_id: UUID
    at_us: int
    flow: str
    deployment: str
    subflow: str
    outcome: str
    run_count: int
    seconds: float | None
    work_pool: str
    work_queue: str
    trace: Trace | None = None

    @property
    def name(self) -> Labels:
        """Flow and deployment: what a deployment is known by."""
        return self.flow, self.deployment

    @property
    def queue(self) -> Labels:
        """Work pool and work queue."""
        return self.work_pool, self.work_queue

    def exemplar(self, value: float, now_us: int) -> Exemplar | None:
        """Return the run as an example of *value*; None where no trace is known.

        A client's clock that runs ahead must not make all later exemplars look old.
        """
        return self.trace and Exemplar(self.trace, value, min(self.at_us, now_us))


class FlowRunCollector:
    """Count the flow runs that ended."""

    name = "flow_runs"
    required = True
    families: tuple[Family[Counting], ...] = ()

    def __init__(self, settings: Settings) -> None:
        self.interval_seconds = settings.interval(self.name, settings.poll_interval_seconds)
        self.counted = (
            FINISHED,
            POOL_FINISHED,
            RETRIES,
            LAST_FINISHED,
            duration(settings),
            FOLDED,
        )

    async def poll(self, context: Context, previous: Counting | None) -> Counting:
        """Count what ended since the last poll."""
        await follow(feed(context), context.store, context.now_us())
        return Counting()


def feed(context: Context) -> Feed[FlowRun]:
    """Return the rows of ended flow runs."""

    async def page(ended: Interval, offset: int) -> Page[FlowRun]:
        return await context.api.flow_runs(RunFilter(ended=ended), "END_TIME_DESC", offset)

    async def count(ended: Interval) -> int:
        return await context.api.count_flow_runs(RunFilter(ended=ended))

    async def facts(rows: Sequence[FlowRun]) -> Sequence[Fact]:
        found = await completed(context, await _completions(context, rows))
        if context.settings.terminal_spans:
            now = context.monotonic()
            due = now + context.settings.terminal_spans_after_seconds
            context.unsent.offer(rows, now, due)
        return found

    overlap_us = round(context.settings.flow_run_overlap_seconds * SECOND)
    # The events share these keys, and tell the time their own way.
    return Feed(
        context.target,
        FEED,
        overlap_us,
        page,
        count,
        attrgetter("end_time"),
        facts,
        tolerance_us=TOLERANCE_US,
    )


def _end_time(row: FlowRun) -> datetime:
    assert row.end_time is not None  # noqa: S101  # the filter is on end_time
    return row.end_time


async def _completions(context: Context, rows: Sequence[FlowRun]) -> list[Completion]:
    ended = [row for row in rows if row.state_type in TERMINAL]
    flows = await context.directory.flows({row.flow_id for row in ended})
    ids = {row.deployment_id for row in ended if row.deployment_id}
    deployments = await context.directory.deployments(ids)
    return [
        Completion(
            run_id=row.id,
            at_us=micros(_end_time(row)),
            flow=flows[row.flow_id],
            deployment=deployments[row.deployment_id].name if row.deployment_id else "",
            subflow=subflow(
                has_parent=row.parent_task_run_id is not None,
                has_deployment=row.deployment_id is not None,
            ),
            outcome=outcome(row.state_type or "", row.state_name),
            run_count=row.run_count,
            seconds=row.total_run_time if row.start_time else None,
            work_pool=clip(row.work_pool_name or ""),
            work_queue=clip(row.work_queue_name or ""),
            trace=trace_of(row.traceparent),
        )
        for row in ended
    ]


async def completed(context: Context, completions: Sequence[Completion]) -> Sequence[Fact]:
    """Return what those that are selected do to the metrics, under the names they may use.

    The others do nothing, and are known all the same: what is selected later counts nothing old.
    """
    takes = context.settings.selection.takes
    selected = {each for each in completions if takes(each.flow, each.deployment, each.work_pool)}
    others = [Fact(each.run_id, each.at_us, ()) for each in completions if each not in selected]
    completions = [each for each in completions if each in selected]
    places = await context.directory.places("deployment", {each.name for each in completions})
    queues = {each.queue for each in completions if each.work_pool}
    queue_places = await context.directory.places("work_queue", queues)
    target, now_us = context.target, context.now_us()
    counted = [
        _fact(target, each, places[each.name], queue_places.get(each.queue), now_us)
        for each in completions
    ]
    return counted + others


def _fact(target: str, end: Completion, name: Labels, queue: Labels | None, now_us: int) -> Fact:
    labels, how = (target, *name), result(end.outcome)
    failure = end.exemplar(1.0, now_us) if how == "failure" else None
    effects: list[Add | Observe | Latest | Retried | Ended] = [
        Add(Series(FINISHED.name, (*labels, end.subflow, end.outcome)), exemplar=failure),
        Retried(Series(RETRIES.name, labels), end.run_count),
    ]
    if how and end.seconds is not None:
        series = Series("prefect_flow_run_duration_seconds", (*labels, how))
        took = max(end.seconds, 0.0)
        effects.append(Observe(series, took, end.exemplar(took, now_us)))
    if name != end.name or end.deployment in ("", DELETED):
        effects.append(
            Latest(Series(LAST_FINISHED.name, (*labels, end.outcome)), seconds(end.at_us))
        )
    elif how:
        effects.append(Ended(labels, how == "success"))
    if queue is not None:
        effects.append(Add(Series(POOL_FINISHED.name, (target, *queue, end.outcome))))
    if name != end.name:
        effects.append(Add(Series(FOLDED.name, (target, "deployment"))))
    if queue not in (None, end.queue):
        effects.append(Add(Series(FOLDED.name, (target, "work_queue"))))
    return Fact(end.run_id, end.at_us, tuple(effects))
