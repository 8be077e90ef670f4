"""The one handler of `logging` that makes events and gives them to the sinks."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress

from prefect_instrumentation._logs.events import event_of
from prefect_instrumentation._logs.sinks import Event, Sink
from prefect_instrumentation._secrets import redactor
from prefect_instrumentation._text import text, type_name

MAX_DEPTH = 4
"""A value's own code may log while its text is made, and so on; here that ends."""


class LogHandler(logging.Handler):
    """Gives each record to all sinks, as one event without secrets.

    It never raises. A sink that fails is told of once, on standard error, and fails alone. What a
    sink itself logs while it writes is left out.

    Args:
        sinks: where events go, in this order.
    """

    def __init__(self, sinks: Sequence[Sink]) -> None:
        super().__init__()
        self._sinks = tuple(sinks)
        self._failed: set[int] = set()
        self._here = threading.local()

    def handle(self, record: logging.LogRecord) -> bool:
        """Write the record unless a filter is against it; return whether none was.

        The event is made before the lock is taken: a value's own code may log, and wait.
        """
        passed = self.filter(record)
        if passed:
            self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return bool(passed)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record."""
        depth = getattr(self._here, "depth", 0)
        if depth >= MAX_DEPTH:
            return
        try:
            self._here.depth = depth + 1
            event = _redacted_event(record)
            with self.lock or threading.RLock():
                self._here.depth = MAX_DEPTH
                for sink in self._sinks:
                    self._write(sink, event, record)
        finally:
            self._here.depth = depth

    def flush(self) -> None:
        """Have all sinks send what they hold."""
        for sink in self._sinks:
            with suppress(Exception):
                sink.flush()

    def close(self) -> None:
        """Close all sinks."""
        for sink in self._sinks:
            with suppress(Exception):
                sink.close()
        super().close()

    def _write(self, sink: Sink, event: Event, record: logging.LogRecord) -> None:
        try:
            sink.write(event, record)
        except Exception as error:  # noqa: BLE001 - a run is worth more than its log
            if id(sink) not in self._failed:
                self._failed.add(id(sink))
                _tell(sink, error)


def _redacted_event(record: logging.LogRecord) -> Event:
    try:
        return redactor().mapping(event_of(record))
    except Exception as error:  # noqa: BLE001 - the caller's values may do anything
        return {
            "level": text(record.levelname).lower(),
            "event": f"a record could not be written: {type_name(type(error))}",
            "logger": text(record.name),
        }


def _tell(sink: Sink, error: Exception) -> None:
    """Say it where no sink is in between; without the message, which may hold what is secret."""
    with suppress(Exception):
        print(  # noqa: T201 - logging is what has failed
            f"prefect_instrumentation: {type_name(type(sink))} raised"
            f" {type_name(type(error))} and loses log lines; this is said once",
            file=sys.stderr,
        )
