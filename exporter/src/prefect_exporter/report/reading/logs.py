"""Log lines of failed runs, for their tracebacks: of a few runs of each kind of failure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from uuid import UUID

from prefect_exporter.failures.reading import chosen
from prefect_exporter.moments import micros
from prefect_exporter.report.failed import failed_runs
from prefect_exporter.report.reading import texts
from prefect_exporter.report.reading.flow_runs import periods
from prefect_exporter.report.reading.pieces import Piece, Portion, Source
from prefect_exporter.report.rows import LogRow
from prefect_exporter.report.store import Step
from prefect_exporter.report.workspace import Workspace
from prefect_exporter.wire import ToldLog

WHAT = "logs of failed runs"
MOST_RUNS = 2_000
BATCH = 20
MOST_LINES = 1_000
"""Of one batch of runs; the newest come first, and what ended a run is among them."""


def logs(source: Source) -> Iterator[Piece]:
    """Yield the log lines of those failed runs that are to be known by their tracebacks."""
    workspace = Workspace(source.store, source.question)
    for period in periods(source.question):
        runs = chosen(failed_runs(workspace, period))[:MOST_RUNS]
        for start in range(0, len(runs), BATCH):
            batch = [UUID(bytes=each) for each in runs[start : start + BATCH]]
            name = f"logs {period.since_us} {start}"
            yield Piece(name, WHAT, partial(_batch, source, batch))


async def _batch(source: Source, batch: list[UUID], step: Step) -> Portion:
    page = await source.client.logs(batch, offset=step.rows)
    rows = step.rows + len(page.rows)
    after = replace(step, rows=rows, done=not page.full or rows >= MOST_LINES)
    return Portion(after, [log_row(each) for each in page.rows])


def log_row(told: ToldLog) -> LogRow:
    """Return what is kept of a log line."""
    return LogRow(
        flow_run_id=told.flow_run_id.bytes if told.flow_run_id else b"",
        task_run_id=told.task_run_id.bytes if told.task_run_id else b"",
        at_us=micros(told.timestamp),
        level=told.level,
        logger=texts.name(told.name),
        message=texts.line(told.message),
    )
