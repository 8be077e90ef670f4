"""In which order all of it is read: what later pieces are cut by comes first."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prefect_exporter.report.reading import flow_runs, task_runs
from prefect_exporter.report.reading.listings import DEPLOYMENTS, LISTINGS, listed
from prefect_exporter.report.reading.logs import logs, more_logs
from prefect_exporter.report.reading.pieces import Piece, Source
from prefect_exporter.report.reading.server import server
from prefect_exporter.report.reading.subflows import parents
from prefect_exporter.report.reading.unlisted import unlisted
from prefect_exporter.report.reading.workers import workers


def _catalogue(source: Source) -> Iterator[Piece]:
    yield from server(source)
    yield from listed(source, LISTINGS)


def _counts(source: Source) -> Iterator[Piece]:
    yield from flow_runs.counts(source)
    yield from task_runs.counts(source)


def _flow_runs(source: Source) -> Iterator[Piece]:
    # The slowest list, one page after the other, while the runs are read beside it.
    yield from listed(source, (DEPLOYMENTS,))
    yield from workers(source)
    yield from flow_runs.unended(source)
    yield from flow_runs.ended(source)


def _tasks_and_logs(source: Source) -> Iterator[Piece]:
    yield from unlisted(source)
    yield from logs(source)
    yield from task_runs.task_runs(source)


def _more(source: Source) -> Iterator[Piece]:
    yield from more_logs(source)
    yield from parents(source)


PHASES: tuple[Callable[[Source], Iterator[Piece]], ...] = (
    _catalogue,
    _counts,
    _flow_runs,
    _tasks_and_logs,
    _more,
)
"""Each is cut into pieces once all before it were read."""
