"""The performance section's tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from prefect_exporter.moments import DAY
from prefect_exporter.report.model import Cell, Column, Kind, Row, Table
from prefect_exporter.report.performance.lengths import Lengths
from prefect_exporter.report.performance.load import DAYS, Load
from prefect_exporter.report.performance.retrying import Retrying
from prefect_exporter.report.performance.slots import Used
from prefect_exporter.report.performance.slowing import Slowing
from prefect_exporter.report.performance.tasks import TaskTime
from prefect_exporter.report.performance.waits import QueueWaits
from prefect_exporter.report.places import pool_link, subject_link
from prefect_exporter.report.tables import table
from prefect_exporter.report.words import rfc3339
from prefect_exporter.report.workspace import Subject, Workspace

MOST_ROWS = 20
"""Of a table: the rest costs less than any of them."""

FEWEST_VARIABLE = 20
"""Runs without which a p95 says nothing."""

HOURS_A_COLUMN = 3

_FLOW = Column("Flow")


def slowest_table(workspace: Workspace, lengths: Sequence[Lengths]) -> Table:
    """Return which flows take longest."""
    everything = math.fsum(each.total for each in lengths)
    rows = [
        _row(
            workspace,
            each.subject,
            each.runs,
            each.p50,
            each.p95,
            each.longest,
            each.total / 3600,
            each.total / everything if everything else 0.0,
        )
        for each in lengths
    ]
    columns = (
        _FLOW,
        Column("Completed", Kind.COUNT),
        Column("p50", Kind.SECONDS),
        Column("p95", Kind.SECONDS),
        Column("Longest", Kind.SECONDS),
        Column("Hours", Kind.HOURS),
        Column("Share of all hours", Kind.SHARE),
    )
    note = "A subflow's time is in its parent's too. Hours are those of failed runs as well."
    return table("Slowest", columns, rows, note, MOST_ROWS)


def variable_table(workspace: Workspace, lengths: Iterable[Lengths]) -> Table:
    """Return which flows are least to be relied on to take as long as the last time."""
    some = [each for each in lengths if each.runs >= FEWEST_VARIABLE and each.p50]
    some.sort(key=lambda each: each.spread, reverse=True)
    rows = [
        _row(workspace, each.subject, each.runs, each.p50, each.p95, each.spread, each.variation)
        for each in some
    ]
    columns = (
        _FLOW,
        Column("Completed", Kind.COUNT),
        Column("p50", Kind.SECONDS),
        Column("p95", Kind.SECONDS),
        Column("p95 / p50", Kind.COUNT),
        Column("Coefficient of variation", Kind.COUNT),
    )
    note = f"Flows with at least {FEWEST_VARIABLE} completed runs."
    return table("Most variable", columns, rows, note, MOST_ROWS)


def slowing_table(workspace: Workspace, slowing: Iterable[Slowing]) -> Table:
    """Return which flows got slower, and when."""
    rows = [
        _row(
            workspace,
            each.subject,
            rfc3339(each.changed_us),
            each.before,
            each.after,
            each.growth - 1,
            each.runs_after,
            f"{each.p:.2g}",
        )
        for each in slowing
    ]
    columns = (
        _FLOW,
        Column("Since", Kind.TIME),
        Column("Median before", Kind.SECONDS),
        Column("Median after", Kind.SECONDS),
        Column("Longer by", Kind.SHARE),
        Column("Runs since", Kind.COUNT),
        Column("p"),
    )
    note = "Pettitt's test for a change point; p is how often chance alone would show as much."
    return table("Getting slower", columns, rows, note, MOST_ROWS)


def waits_table(workspace: Workspace, waits: Iterable[QueueWaits]) -> Table:
    """Return how long runs wait, by work queue."""
    rows = [
        Row(
            (each.work_pool, each.work_queue, len(each.waits), each.p50, each.p95, each.longest),
            {"Work pool": pool_link(workspace, each.work_pool)},
        )
        for each in waits
    ]
    columns = (
        Column("Work pool"),
        Column("Work queue"),
        Column("Started", Kind.COUNT),
        Column("p50", Kind.SECONDS),
        Column("p95", Kind.SECONDS),
        Column("Longest", Kind.SECONDS),
    )
    note = "From when a run could have begun to when it did: polling, limits and infrastructure."
    return table("Waiting for a worker", columns, rows, note, MOST_ROWS)


def retries_table(workspace: Workspace, retrying: Iterable[Retrying]) -> Table:
    """Return what retries cost."""
    rows = [
        _row(
            workspace,
            each.subject,
            each.runs,
            each.retried,
            each.retries,
            each.lost / 3600,
            each.task_retries,
            each.task_lost / 3600,
        )
        for each in retrying
    ]
    columns = (
        _FLOW,
        Column("Runs", Kind.COUNT),
        Column("Retried", Kind.COUNT),
        Column("Retries", Kind.COUNT),
        Column("Hours lost", Kind.HOURS),
        Column("Task retries", Kind.COUNT),
        Column("Task hours lost", Kind.HOURS),
    )
    note = (
        "Estimated: Prefect keeps one time for all attempts of a run, so each counts as equally"
        " long. Waiting between attempts is not in it. Tasks: of the task runs that were read, in"
        " flow runs without a retry of their own."
    )
    return table("What retries cost", columns, rows, note, MOST_ROWS)


def slots_table(used: Iterable[Used], period_seconds: float) -> Table:
    """Return how much of the limits is used."""
    some = [each for each in used if each.place.limit is not None or each.runs]
    some.sort(key=lambda each: (-each.starved, -each.full, -each.mean, *each.place[:2]))
    rows = [
        Row(
            (
                each.place.kind,
                each.place.name,
                each.place.limit,
                each.runs,
                each.peak,
                each.mean,
                each.full / period_seconds,
                each.starved / period_seconds,
                each.waited / 3600,
                _hour(each.full_hours),
            )
        )
        for each in some
    ]
    columns = (
        Column("Of"),
        Column("Name"),
        Column("Limit", Kind.COUNT),
        Column("Runs", Kind.COUNT),
        Column("Most at once", Kind.COUNT),
        Column("Mean", Kind.COUNT),
        Column("Full", Kind.SHARE),
        Column("Full, with runs waiting", Kind.SHARE),
        Column("Hours waited while full", Kind.HOURS),
        Column("Mostly full at (UTC)"),
    )
    note = (
        "Flow runs take a slot from their start to their end; the time in which their"
        " infrastructure starts is not in it. A tag's limit is of task runs: of those that were"
        " read, and what waited for it is not known."
    )
    return table("Concurrency used against limits", columns, rows, note, MOST_ROWS)


def tasks_table(workspace: Workspace, times: Iterable[TaskTime]) -> Table:
    """Return which tasks dominate their flows."""
    rows = [
        _row(
            workspace,
            each.subject,
            each.task,
            each.share,
            each.runs_each,
            each.seconds / each.task_runs,
            each.seconds / each.span if each.span else 1.0,
            each.flow_runs,
        )
        for each in times
    ]
    columns = (
        _FLOW,
        Column("Task"),
        Column("Share of the flow's time", Kind.SHARE),
        Column("Task runs a flow run", Kind.COUNT),
        Column("Mean", Kind.SECONDS),
        Column("At once", Kind.COUNT),
        Column("Flow runs read", Kind.COUNT),
    )
    note = "Completed flow runs of which task runs were read."
    return table("Tasks that take the most time", columns, rows, note, MOST_ROWS)


def week_table(load: Load, period_us: int) -> Table | None:
    """Return when in the week runs begin; None for a period of less than two days."""
    if period_us < 2 * DAY:
        return None
    starts = range(0, 24, HOURS_A_COLUMN)
    rows = [
        Row((day, *(sum(hours[at : at + HOURS_A_COLUMN]) for at in starts)))
        for day, hours in zip(DAYS, load.week, strict=True)
    ]
    columns = (
        Column("Day"),
        *(Column(f"{at:02}-{at + HOURS_A_COLUMN:02} h", Kind.COUNT) for at in starts),
    )
    return table("Runs started by day and hour", columns, rows, "In UTC.")


def _hour(seconds: Sequence[float]) -> str | None:
    most = max(seconds)
    return f"{seconds.index(most):02}-{seconds.index(most) + 1:02} h" if most else None


def _row(workspace: Workspace, subject: Subject, *cells: Cell) -> Row:
    return Row((workspace.name(subject), *cells), {"Flow": subject_link(workspace, subject)})
