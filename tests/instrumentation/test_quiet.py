"""What is let through of the exporters' own log."""

from __future__ import annotations

import logging
import sys

import pytest

from prefect_instrumentation._provider.quiet import Quiet

HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"


def record(message: str, *args: object, level: int = logging.ERROR) -> logging.LogRecord:
    """Return a record of an exporter's; within an `except` with its traceback, if it asks so."""
    return logging.LogRecord("exporter", level, __file__, 1, message, args, sys.exc_info())


def passed(quiet: Quiet, *records: logging.LogRecord) -> list[str]:
    """Return the messages of those that the filter lets through."""
    return [each.getMessage() for each in records if quiet.filter(each)]


def test_each_kind_is_heard_once() -> None:
    """A kind is what the code says, whatever the values in it."""
    records = [
        record("retrying in %.2fs", 0.98, level=logging.WARNING),
        record("retrying in %.2fs", 1.97, level=logging.WARNING),
        record("failed: %s", "404"),
        record("failed: %s", "500"),
    ]

    assert ["retrying in 0.98s", "failed: 404"] == passed(Quiet({}), *records)


def test_what_is_no_warning_passes() -> None:
    """Whoever turns on debugging hears everything."""
    records = [record("again", level=logging.DEBUG) for _ in range(3)]

    assert ["again"] * 3 == passed(Quiet({}), *records)


def test_traceback_becomes_a_word() -> None:
    """Of an exception its type and message stay."""
    try:
        int("bad\nthing")
    except ValueError:
        failed = record("Exception while exporting Span.")

    told = (
        "Exception while exporting Span."
        r" ValueError: invalid literal for int() with base 10: 'bad\nthing'"
    )
    assert [told] == passed(Quiet({}), failed)
    assert (None, None) == (failed.exc_info, failed.exc_text)


def test_line_is_one_and_short() -> None:
    """What a collector answers cannot break out of its line, or fill the disk."""
    (line,) = passed(Quiet({}), record("reason: %s", "\x1b[2J\r\n\u2028" + "x" * 1_000_000))

    assert line.startswith("reason:  [2J   xxx")
    assert len(line) < 500


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        (HEADERS, "api-key=hunter2", "Header api-key: 'hunter2'"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "api-key=hunter2", "'hunter2'"),
        (HEADERS, "a=1,authorization=Bearer%20hunter2", "value: 'Bearer hunter2'"),
        (HEADERS, "authorization=Bearer hunter2", "token hunter2 expired"),
        (HEADERS, "a=hunter2%0Ax", r"value: 'hunter2\nx'"),
        (HEADERS, "hunter2", "invalid: hunter2"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:hunter2@host", "to me:hunter2@host"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://host/?k=hunter2", "url: /?k=hunter2"),
    ],
)
def test_credentials_are_hidden(name: str, value: str, text: str) -> None:
    """They do not show, in whichever way they were configured and are quoted."""
    (line,) = passed(Quiet({name: value}), record("%s", text))

    assert "hunter2" not in line
    assert "[redacted]" in line


def test_short_values_are_no_secrets() -> None:
    """To hide each `1` would make a line useless."""
    assert ["code 401"] == passed(Quiet({HEADERS: "x-scope-orgid=1"}), record("code %d", 401))


def test_broken_address_is_no_obstacle() -> None:
    """An endpoint that is no address is the exporter's to complain of."""
    quiet = Quiet({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://[::1", HEADERS: "k=hunter2"})

    assert ["[redacted]"] == passed(quiet, record("hunter2"))
