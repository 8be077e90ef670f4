"""How far the reading is, on stderr: a bar for people who watch, lines for everything else."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import click

LINE_SECONDS = 10.0


class Progress(Protocol):
    """Is told how far it is."""

    def tell(self, what: str, rows: int, total: int) -> None:
        """Show what is read now, and how many rows of how many are read; 0 for unknown."""
        ...

    def pause(self, seconds: float) -> None:
        """Show that Prefect wants a pause."""
        ...


class Silent:
    """Shows nothing."""

    def tell(self, what: str, rows: int, total: int) -> None:
        """Show nothing."""

    def pause(self, seconds: float) -> None:
        """Show nothing."""


class Lines:
    """A line now and then, for logs.

    Args:
        write: Takes a line.
        clock: Seconds that only rise.
    """

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._write = write
        self._clock = clock
        self._due = clock() + LINE_SECONDS

    def tell(self, what: str, rows: int, total: int) -> None:
        """Write how far it is, unless that was written just now."""
        if self._clock() >= self._due:
            self._due = self._clock() + LINE_SECONDS
            of = f" of {max(rows, total):,}" if total else ""
            self._write(f"reading {what}: {rows:,}{of} rows")

    def pause(self, seconds: float) -> None:
        """Write that Prefect wants a pause."""
        self._write(f"Prefect wants a pause of {seconds:.0f} s")


class Bar:
    """One bar for all of it; its end moves as more becomes known."""

    def __init__(self) -> None:
        self._bar = click.progressbar(
            length=1,
            file=sys.stderr,
            label="reading",
            # As wide as the terminal.
            width=0,
            show_pos=True,
            item_show_func=lambda what: what,
            # So that a pause is shown, which is no step.
            update_min_steps=0,
        )

    def tell(self, what: str, rows: int, total: int) -> None:
        """Move it."""
        self._bar.length = max(rows, total) if total else None
        # What ends with one kind of rows goes on with the next.
        self._bar.finished = False
        self._bar.update(max(rows - self._bar.pos, 0), what)

    def pause(self, seconds: float) -> None:
        """Show that Prefect wants a pause."""
        self._bar.update(0, f"a pause of {seconds:.0f} s")

    def end(self) -> None:
        """Go on in a new line."""
        self._bar.render_finish()


@contextmanager
def progress(*, quiet: bool) -> Iterator[Progress]:
    """Return what suits stderr."""
    if quiet:
        yield Silent()
    elif sys.stderr.isatty():
        bar = Bar()
        try:
            yield bar
        finally:
            bar.end()
    else:
        yield Lines(lambda line: click.echo(line, err=True), time.monotonic)
