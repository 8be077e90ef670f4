"""The exporters' own log lines: each kind of them once a process, on one line, without secrets."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from prefect_instrumentation._secrets import Secrets

# A filter hears a logger's own records only, not those of the loggers below it.
LOGGERS = (
    "opentelemetry.attributes",
    "opentelemetry.exporter.otlp.common._aggregation",
    "opentelemetry.exporter.otlp.common.http",
    "opentelemetry.exporter.otlp.proto.common._internal",
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.exporter.otlp.proto.http._common",
    "opentelemetry.exporter.otlp.proto.http._log_exporter",
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk._shared_internal",
    "opentelemetry.sdk.metrics._internal",
    "opentelemetry.sdk.metrics._internal.export",
    "opentelemetry.sdk.trace.export",
    "opentelemetry.util.re",
)

_LONGEST_LINE = 400


class Quiet(logging.Filter):
    """Lets the first record of each kind through, without its traceback.

    Args:
        environ: whose exporters' credentials are hidden; an exporter tells of a header that it
            cannot send with its value.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__()
        self._secrets = Secrets(environ)
        self._seen: set[tuple[str, object]] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is the first of its kind, and make it one safe line."""
        kind = (record.name, record.msg)
        if record.levelno < logging.WARNING:
            return True
        if kind in self._seen:
            return False
        self._seen.add(kind)
        text = record.getMessage()
        if record.exc_info and record.exc_info[1]:
            text = f"{text} {type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
        record.msg, record.args = self.safe(text), ()
        record.exc_info = record.exc_text = None
        return True

    def safe(self, text: str) -> str:
        """Return the text as one bounded line without secrets."""
        text = self._secrets.redactor().text(text)
        return "".join(char if char.isprintable() else " " for char in text)[:_LONGEST_LINE]


def quieten(environ: Mapping[str, str]) -> Quiet:
    """Quieten the exporters of this process, and return the filter that does so."""
    quiet = Quiet(environ)
    for name in LOGGERS:
        logging.getLogger(name).addFilter(quiet)
    return quiet
