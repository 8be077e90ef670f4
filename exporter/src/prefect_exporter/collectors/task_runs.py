"""Task runs that ended: how, how long they took, how often they were retried."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter

from prefect_exporter.api import Interval, Page, RunFilter
from prefect_exporter.collectors.base import Context, Counting
from prefect_exporter.collectors.flow_runs import FOLDED
from prefect_exporter.facts import Add, Fact, Latest, Observe, Retried, Series
from prefect_exporter.feeds.feed import Feed
from prefect_exporter.feeds.rows import follow
from prefect_exporter.labels import TERMINAL, clip, outcome, result, task_name
from prefect_exporter.metrics import Counted, Family, Kind, Labels
from prefect_exporter.moments import SECOND, micros
from prefect_exporter.settings import Settings
from prefect_exporter.wire import TaskRun

FINISHED = Counted(
    "prefect_task_runs_finished_total",
    Kind.COUNTER,
    "Task runs that ended, each end counted once; the rows that stand for subflows are left out.",
    ("flow", "task", "outcome"),
)
RETRIES = Counted(
    "prefect_task_run_retries_total",
    Kind.COUNTER,
    "Starts of ended task runs beyond their first.",
    ("flow", "task"),
)


def duration(settings: Settings) -> Counted:
    """Return the duration's family; its buckets are a setting."""
    return Counted(
        "prefect_task_run_duration_seconds",
        Kind.HISTOGRAM,
        "Running time of ended task runs that had started.",
        ("flow", "task", "outcome"),
        settings.task_run_buckets,
    )


class TaskRunCollector:
    """Count the task runs that ended."""

    name = "task_runs"
    required = True
    families: tuple[Family[Counting], ...] = ()

    def __init__(self, settings: Settings) -> None:
        self.interval_seconds = settings.interval(self.name, settings.poll_interval_seconds)
        self.counted = (FINISHED, RETRIES, duration(settings))

    async def poll(self, context: Context, previous: Counting | None) -> Counting:
        """Count what ended since the last poll."""
        await follow(feed(context), context.store, context.now_us())
        return Counting()


def feed(context: Context) -> Feed[TaskRun]:
    """Return the rows of ended task runs, without those that only stand for a subflow."""

    async def page(ended: Interval, offset: int) -> Page[TaskRun]:
        where = RunFilter(ended=ended, placeholders=False)
        return await context.api.task_runs(where, "END_TIME_DESC", offset)

    async def count(ended: Interval) -> int:
        return await context.api.count_task_runs(RunFilter(ended=ended, placeholders=False))

    async def facts(rows: Sequence[TaskRun]) -> Sequence[Fact]:
        ended = [row for row in rows if row.state_type in TERMINAL and not _placeholder(row)]
        return await _facts(context, ended)

    overlap_us = round(context.settings.task_run_overlap_seconds * SECOND)
    return Feed(context.target, "task_runs", overlap_us, page, count, attrgetter("end_time"), facts)


def _end_time(row: TaskRun) -> datetime:
    assert row.end_time is not None  # noqa: S101  # the filter is on end_time
    return row.end_time


def _placeholder(row: TaskRun) -> bool:
    """Tell whether a row stands for a subflow: the filter knows it only until that is deleted."""
    return row.state is not None and row.state.state_details.child_flow_run_id is not None


async def _facts(context: Context, rows: Sequence[TaskRun]) -> list[Fact]:
    runs = {row.flow_run_id for row in rows if row.flow_run_id}
    flows = await context.directory.flows_of_runs(runs)
    # A background task belongs to no flow.
    names = {
        row.id: (flows[row.flow_run_id] if row.flow_run_id else "", clip(task_name(row.task_key)))
        for row in rows
    }
    takes = context.settings.selection.takes
    # The others do nothing, and are known all the same: what is selected later counts nothing old.
    others = [
        Fact(row.id, micros(_end_time(row)), ()) for row in rows if not takes(names[row.id][0])
    ]
    rows = [row for row in rows if takes(names[row.id][0])]
    places = await context.directory.places("task", {names[row.id] for row in rows})
    counted = [_fact(context.target, row, names[row.id], places[names[row.id]]) for row in rows]
    return counted + others


def _fact(target: str, row: TaskRun, name: Labels, place: Labels) -> Fact:
    labels = (target, *place)
    ending = outcome(row.state_type or "", row.state_name)
    effects: list[Add | Observe | Latest | Retried] = [
        Add(Series(FINISHED.name, (*labels, ending))),
        Retried(Series(RETRIES.name, labels), row.run_count),
    ]
    if (how := result(ending)) and row.start_time:
        series = Series("prefect_task_run_duration_seconds", (*labels, how))
        # By the clock of the task's machine, which may have been set back meanwhile.
        effects.append(Observe(series, max(row.total_run_time, 0.0)))
    if place != name:
        effects.append(Add(Series(FOLDED.name, (target, "task"))))
    return Fact(row.id, micros(_end_time(row)), tuple(effects))
