"""Where events go: what a sink is, and the one that writes to standard output."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol, TextIO, TypeAlias

from prefect_instrumentation._log_settings import Stream
from prefect_instrumentation._logs.rendering import Renderer

Event: TypeAlias = Mapping[str, object]
"""A log line's keys and values: plain, bounded, without secrets."""

_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


class Sink(Protocol):
    """Takes every event; may be called by several threads, one at a time."""

    def write(self, event: Event, record: logging.LogRecord) -> None:
        """Take an event, and the record that it was made of, which holds secrets."""

    def flush(self) -> None:
        """Send what is held."""

    def close(self) -> None:
        """Take nothing more."""


class StreamSink:
    """Writes a line for each event to standard output, or to standard error.

    Which object that is, is asked anew each time: it may have been replaced. A stream that is
    closed, or whose reader is gone, loses its lines.

    Args:
        stream: `stdout` or `stderr`.
        plain: renders events as text.
        coloured: renders them for a terminal.
    """

    def __init__(self, stream: Stream, plain: Renderer, coloured: Renderer) -> None:
        self._stream = stream
        self._plain = plain
        self._coloured = coloured

    def write(self, event: Event, record: logging.LogRecord) -> None:
        """Write the event's line, by one call, and flush."""
        stream: TextIO | None = getattr(sys, self._stream)
        if stream is None or getattr(stream, "closed", False):
            return
        line = (self._coloured if _has_colour(stream) else self._plain)(event) + "\n"
        with suppress(BrokenPipeError):
            try:
                stream.write(line)
            except UnicodeEncodeError:
                stream.write(_NOT_ASCII.sub(_escape, line))
            stream.flush()

    def flush(self) -> None:
        """Do nothing: each line has been flushed."""

    def close(self) -> None:
        """Do nothing: the stream is the process'."""


def _has_colour(stream: TextIO) -> bool:
    # https://no-color.org
    # A stand-in of the user's may have no more than what `print` asks for.
    return not os.environ.get("NO_COLOR") and hasattr(stream, "isatty") and stream.isatty()


def _escape(match: re.Match[str]) -> str:
    return json.dumps(match[0])[1:-1]
