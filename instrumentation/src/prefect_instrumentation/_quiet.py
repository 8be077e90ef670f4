"""The exporters' own log lines: each kind of them once a process, on one line, without secrets."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from opentelemetry.sdk.environment_variables import (
    OTEL_EXPORTER_OTLP_ENDPOINT,
    OTEL_EXPORTER_OTLP_HEADERS,
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
    OTEL_EXPORTER_OTLP_TRACES_HEADERS,
)

# A filter hears a logger's own records only, not those of the loggers below it.
LOGGERS = (
    "opentelemetry.exporter.otlp.common.http",
    "opentelemetry.exporter.otlp.proto.common._internal",
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.exporter.otlp.proto.http._common",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk._shared_internal",
    "opentelemetry.sdk.trace.export",
    "opentelemetry.util.re",
)

_HIDDEN = "[hidden]"
_LONGEST_LINE = 400
_SHORTEST_SECRET = 4


class Quiet(logging.Filter):
    """Lets the first record of each kind through, without its traceback.

    Args:
        environ: whose exporters' credentials are hidden; an exporter tells of a header that it
            cannot send with its value.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__()
        secrets = {secret for secret in _secrets(environ) if len(secret) >= _SHORTEST_SECRET}
        self._secrets = sorted(secrets, key=len, reverse=True)
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
        for secret in self._secrets:
            text = text.replace(secret, _HIDDEN)
        return "".join(char if char.isprintable() else " " for char in text)[:_LONGEST_LINE]


def quieten(environ: Mapping[str, str]) -> Quiet:
    """Quieten the exporters of this process, and return the filter that does so."""
    quiet = Quiet(environ)
    for name in LOGGERS:
        logging.getLogger(name).addFilter(quiet)
    return quiet


def _secrets(environ: Mapping[str, str]) -> Iterator[str]:
    for name in (OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_TRACES_HEADERS):
        for header in environ.get(name, "").split(","):
            yield from _spellings(header.partition("=")[2].strip() or header.strip())
    for name in (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT):
        address, _, query = environ.get(name, "").partition("?")
        user = address.rpartition("@")[0].rpartition("//")[2]
        for secret in (user, user.partition(":")[2], query, *query.replace("=", "&").split("&")):
            yield from _spellings(secret)


def _spellings(secret: str) -> Iterator[str]:
    """Yield a secret as it is configured, sent and quoted; also alone, as in `Bearer secret`."""
    for spelling in (secret, unquote(secret)):
        yield from (spelling, repr(spelling)[1:-1])
        yield from (word for word in spelling.split()[1:] if word)
