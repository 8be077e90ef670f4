"""Log lines of failed runs, for their tracebacks: of a few runs of each kind of failure.

Of a kind whose tracebacks are not all the same more runs are read, in a second pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from uuid import UUID

from prefect_exporter.failures.reading import chosen, split
from prefect_exporter.moments import micros
from prefect_exporter.report.failed import failed_runs, tracebacks
from prefect_exporter.report.question import Period
from prefect_exporter.report.reading import texts
from prefect_exporter.report.reading.flow_runs import periods
from prefect_exporter.report.reading.pieces import Piece, Portion, Source
from prefect_exporter.report.rows import LogRow
from prefect_exporter.report.store import Step
from prefect_exporter.report.workspace import Workspace
from prefect_exporter.wire import ToldLog

WHAT = "logs of failed runs"
MOST_RUNS = 2_000
"""Of each pass and period."""
BATCH = 20
MOST_LINES = 1_000
"""Of one batch of runs; the newest come first, and what ended a run is among them."""


def logs(source: Source) -> Iterator[Piece]:
    """Yield the log lines of those failed runs that are to be known by their tracebacks."""
    workspace = Workspace(source.store, source.question)
    for period in periods(source.question):
        yield from _pieces(source, f"logs {period.since_us}", _first(workspace, period))


def more_logs(source: Source) -> Iterator[Piece]:
    """Yield those of more runs, where the first ones look alike and their tracebacks do not."""
    workspace = Workspace(source.store, source.question)
    for period in periods(source.question):
        known = tracebacks(workspace, period)
        # By the first pass alone, so that who was stopped in the second chooses the same again.
        texts = {run: known.get(run, "") for run in _first(workspace, period)}
        runs = split(list(failed_runs(workspace, period)), texts)[:MOST_RUNS]
        yield from _pieces(source, f"more logs {period.since_us}", runs)


def _first(workspace: Workspace, period: Period) -> Sequence[bytes]:
    return chosen(failed_runs(workspace, period))[:MOST_RUNS]


def _pieces(source: Source, name: str, runs: Sequence[bytes]) -> Iterator[Piece]:
    for start in range(0, len(runs), BATCH):
        batch = [UUID(bytes=each) for each in runs[start : start + BATCH]]
        yield Piece(f"{name} {start}", WHAT, partial(_batch, source, batch))


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
