"""Shows a person at a terminal how far a job is; elsewhere the log does."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from backup.steps import Say, Step

_log = structlog.get_logger(__name__)


@contextmanager
def shown() -> Iterator[Say]:
    """Yield what shows each step: with a bar on a terminal, as a log line elsewhere."""
    if not sys.stderr.isatty():
        yield _Logged()
        return
    columns = (
        SpinnerColumn(finished_text="done"),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield _Drawn(progress)


class _Logged:
    def __init__(self) -> None:
        self._name = ""

    def __call__(self, step: Step) -> None:
        if step.name != self._name:
            self._name = step.name
            _log.info("job.step", step=step.name)


class _Drawn:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._name = ""

    def __call__(self, step: Step) -> None:
        if step.name != self._name:
            self._finish()
            self._name = step.name
            self._task = self._progress.add_task(step.name, total=step.total)
        self._progress.update(self._task, completed=step.done, total=step.total)

    def _finish(self) -> None:
        if self._name:
            task = self._progress.tasks[self._task]
            total = task.total or task.completed or 1
            self._progress.update(self._task, completed=total, total=total)
