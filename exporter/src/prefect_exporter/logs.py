"""Log lines: events with keys on standard error, as JSON for machines or plain for people."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import TextIO

import stamina.instrumentation
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from prefect_exporter.errors import ExporterError

_MINUTE = 60.0


class OnceAMinute(logging.Filter):
    """Lets a message of a library through once a minute.

    Some are written for every bad request, so that anyone who can connect could fill a disk.

    Args:
        clock: Seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._written: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to write *record*; only the first line of its template counts."""
        now = self._clock()
        message = record.name, str(record.msg).partition("\n")[0]
        self._written = {each: at for each, at in self._written.items() if now - at < _MINUTE}
        if message in self._written:
            return False
        self._written[message] = now
        return True


def configure_logs(level: str, format_: str, stream: TextIO | None = None) -> None:
    """Send structlog's events, and warnings of every library, to one stream.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``; libraries are heard from warning on,
            and each message of theirs once a minute.
        format_: ``json``, ``console``, or ``auto``: console on a terminal.
        stream: Where to; standard error where it is None.
    """
    stream = stream or sys.stderr
    least = logging.getLevelNamesMapping()[level.upper()]
    as_json = format_ == "json" or (format_ == "auto" and not stream.isatty())
    render = _json() if as_json else _console(colors=stream.isatty())
    structlog.configure(
        processors=[*_COMMON, *render],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    _adopt_libraries(max(least, logging.WARNING), render, stream)
    # Retries are counted by status in the exporter's own metrics; stamina would log each one and
    # count it in prometheus_client's default registry besides.
    stamina.instrumentation.set_on_retry_hooks([])


def _adopt_libraries(least: int, render: list[Processor], stream: TextIO) -> None:
    handler = logging.StreamHandler(stream)
    handler.addFilter(OnceAMinute())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *_COMMON],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.basicConfig(level=least, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)


def _json() -> list[Processor]:
    tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=20)
    return [
        structlog.processors.ExceptionRenderer(tracebacks),
        _lead_with_time,
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]


def _console(*, colors: bool) -> list[Processor]:
    return [
        structlog.dev.ConsoleRenderer(
            colors=colors,
            exception_formatter=structlog.dev.plain_traceback,
            # Quoted, a value cannot break the line or send escape codes to the terminal.
            repr_native_str=True,
            timestamp_key="time",
        )
    ]


def _shorten_expected(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Say an expected error in its own line, without the way it took through the code."""
    error = event.get("exc_info")
    if error is True or isinstance(error, tuple):
        error = (sys.exc_info() if error is True else error)[1]
    if isinstance(error, ExporterError):
        del event["exc_info"]
        event["error"] = str(error)
    return event


def _lead_with_time(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: event[key] for key in ("time", "level", "event")} | dict(event)


_COMMON: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    _shorten_expected,
]
