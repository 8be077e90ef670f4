"""Log lines: events with keys on standard error, as JSON for machines or plain for people."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import stamina.instrumentation
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from backup.errors import BackupError


def configure_logs(level: str, format_: str, stream: TextIO | None = None) -> None:
    """Send structlog's events, and warnings of every library, to one stream.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``; libraries are heard from warning on.
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
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *_COMMON],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.basicConfig(level=max(least, logging.WARNING), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    # What comes of it is told; each try with all its arguments says no more.
    stamina.instrumentation.set_on_retry_hooks([])


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
    if isinstance(error := event.get("exc_info"), BackupError):
        del event["exc_info"]
        event["error"] = str(error)
    return event


def _lead_with_time(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: event[key] for key in ("time", "level", "event")} | dict(event)


_COMMON: list[Processor] = [
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    _shorten_expected,
]
