"""Log lines in a file; what keeps them from it is told once, and no run's concern."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from prefect_instrumentation._log_settings import LogSettings
from prefect_instrumentation._logs.rendering import Renderer
from prefect_instrumentation._logs.sinks import Event
from prefect_instrumentation._text import text, type_name

if TYPE_CHECKING:
    from prefect_instrumentation._logs.rotating_file import RotatingFile

RETRIED_AFTER = 1.0
"""Seconds for which nothing is written after a failure, since each try may take milliseconds."""


class FileSink:
    """A sink that keeps lines in the file that the settings name.

    It is opened by the first line. Where it cannot be written, lines are lost until it can.

    Args:
        settings: which file, and when it is put aside.
        render: makes an event a line; without colours.
        clock: seconds, of whatever start.
    """

    def __init__(
        self,
        settings: LogSettings,
        render: Renderer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._render = render
        self._clock = clock
        self._file: RotatingFile | None = None
        self._retried_at = float("-inf")
        self._is_told = False

    def write(self, event: Event, record: logging.LogRecord) -> None:
        """Add the event's line to the file."""
        if self._clock() < self._retried_at:
            return
        line = self._render(event)
        try:
            self._write(line)
        except Exception:  # noqa: BLE001 - such as a folder that was removed: made anew
            self.close()
            try:
                self._write(line)
            except Exception as error:  # noqa: BLE001 - a run is worth more than its lines
                self._give_up(error)

    def flush(self) -> None:
        """Do nothing: each line is in the file when `write` returns."""

    def close(self) -> None:
        """Let go of the file; another line opens it again."""
        file, self._file = self._file, None
        if file:
            file.close()

    def _write(self, line: str) -> None:
        if self._file is None:
            # The library is an extra's, and most processes have no file.
            from prefect_instrumentation._logs.rotating_file import RotatingFile  # noqa: PLC0415

            self._file = RotatingFile(self._settings)
        self._file.write(line)

    def _give_up(self, error: Exception) -> None:
        self._retried_at = self._clock() + RETRIED_AFTER
        self.close()
        if self._is_told:
            return
        self._is_told = True
        with suppress(Exception):
            print(  # noqa: T201 - a line that is being written logs nothing
                f"prefect_instrumentation: log lines do not reach the file"
                f" {text(self._settings.file)} ({_reason(error)}); they are lost until they do."
                " This is said once",
                file=sys.stderr,
            )


def _reason(error: Exception) -> str:
    if isinstance(error, ImportError):
        return "install prefect-instrumentation[logfile]"
    if isinstance(error, OSError) and error.strerror:
        return text(error.strerror)
    return type_name(type(error))
