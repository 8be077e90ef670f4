"""Performance: how long runs take, wait and take again, and how full everything is."""

from __future__ import annotations

import math
from collections.abc import Iterator

from prefect_exporter.moments import SECOND
from prefect_exporter.report.model import Section, Table
from prefect_exporter.report.performance import tables
from prefect_exporter.report.performance.charts import charts
from prefect_exporter.report.performance.lengths import lengths
from prefect_exporter.report.performance.load import DAYS, load
from prefect_exporter.report.performance.retrying import retrying
from prefect_exporter.report.performance.slots import used
from prefect_exporter.report.performance.slowing import slowing
from prefect_exporter.report.performance.tasks import task_times
from prefect_exporter.report.performance.waits import queue_waits
from prefect_exporter.report.words import count, duration, share
from prefect_exporter.report.workspace import Workspace


def section(workspace: Workspace) -> Section:
    """Return what is slow, what gets slower, what waits, and what is full."""
    return Section(
        "performance",
        "Performance",
        tuple(_paragraphs(workspace)),
        tuple(each for each in _tables(workspace) if each.rows),
        tuple(charts(workspace, lengths(workspace), queue_waits(workspace), load(workspace))),
    )


def _tables(workspace: Workspace) -> Iterator[Table]:
    period_us = workspace.period.until_us - workspace.period.since_us
    yield tables.slowest_table(workspace, lengths(workspace))
    yield tables.slowing_table(workspace, slowing(workspace))
    yield tables.variable_table(workspace, lengths(workspace))
    yield tables.waits_table(workspace, queue_waits(workspace))
    yield tables.slots_table(used(workspace), period_us / SECOND)
    yield tables.retries_table(workspace, retrying(workspace))
    yield tables.tasks_table(workspace, task_times(workspace))
    if (week := tables.week_table(load(workspace), period_us)) and any(load(workspace).scheduled):
        yield week


def _paragraphs(workspace: Workspace) -> Iterator[str]:
    known = lengths(workspace)
    if not known:
        yield "No flow run completed in this time."
        return
    total = math.fsum(each.total for each in known)
    dearest = max(known, key=lambda each: each.total)
    yield (
        f"Flow runs took {duration(total)} in all. {workspace.name(dearest.subject)} took"
        f" {share(dearest.total / total if total else 0)} of it, in"
        f" {count(dearest.runs, 'completed run')}."
    )
    day, hour, runs = load(workspace).busiest
    yield f"Most runs began on {DAYS[day]} from {hour:02} to {hour + 1:02} h UTC: {runs:,}."
    if some := slowing(workspace):
        yield f"{count(len(some), 'flow')} got slower at one point of time and stayed so."
    if lost := math.fsum(each.all_lost for each in retrying(workspace)):
        yield f"Attempts that were retried took about {duration(lost)} for nothing."
    if waits := queue_waits(workspace):
        worst = waits[0]
        yield (
            f"Runs waited longest in the work queue {worst.work_pool}/{worst.work_queue}:"
            f" half of them {duration(worst.p50)} at least, one of twenty {duration(worst.p95)}."
        )
    yield from _full(workspace)


def _full(workspace: Workspace) -> Iterator[str]:
    for each in used(workspace):
        if each.starved:
            yield (
                f"The limit of {each.place.limit} of {each.place.kind} {each.place.name} was used"
                f" up for {duration(each.full)}; runs waited for {duration(each.starved)} of it."
            )
