"""Log lines: their form, their level, and what never stands in them."""

from __future__ import annotations

import io
import json
import logging
import re
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from prefect_exporter.errors import Unreachable
from prefect_exporter.logs import OnceAMinute, configure_logs


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    # Other test modules import Prefect, whose logging keeps uvicorn's lines from the root.
    root, uvicorn = logging.getLogger(), logging.getLogger("uvicorn")
    handlers, level, propagates = root.handlers[:], root.level, uvicorn.propagate
    uvicorn.propagate = True
    yield
    uvicorn.propagate = propagates
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def raise_unreachable() -> None:
    """Raise as the client does."""
    raise Unreachable("flow_runs/filter", "connection refused")


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """Return each line of *stream* read as JSON."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_line_is_one_json_object() -> None:
    """A line is one JSON object that starts with time in UTC, level and event."""
    stream = io.StringIO()
    configure_logs("info", "json", stream)

    structlog.get_logger().info("poll.ended", rows=3, flow="a\nb")

    (line,) = lines(stream)
    assert ["time", "level", "event", "rows", "flow"] == list(line)
    assert ("info", "poll.ended", 3, "a\nb") == tuple(line.values())[1:]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["time"])


@pytest.mark.parametrize(
    ("level", "expected"),
    [("debug", "abcd"), ("info", "bcd"), ("warning", "cd"), ("error", "d")],
)
def test_level_is_the_least_that_is_written(level: str, expected: str) -> None:
    """Lines below the level are left out."""
    stream = io.StringIO()
    configure_logs(level, "json", stream)
    log = structlog.get_logger()

    log.debug("a")
    log.info("b")
    log.warning("c")
    log.error("d")

    assert expected == "".join(line["event"] for line in lines(stream))


def test_libraries_are_heard_from_warning_on() -> None:
    """Standard logging and warnings go the same way; the chatter below does not."""
    stream = io.StringIO()
    configure_logs("debug", "json", stream)

    logging.getLogger("httpx").info("HTTP Request: POST https://secret")
    logging.getLogger("uvicorn.error").warning("Invalid %s", "request")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)

    events = [(line.get("logger"), line["level"]) for line in lines(stream)]
    assert [("uvicorn.error", "warning"), ("py.warnings", "warning")] == events
    assert "Invalid request" == lines(stream)[0]["event"]


def test_library_that_repeats_itself_is_heard_once() -> None:
    """What anyone can provoke by a bad request does not fill the log."""
    stream = io.StringIO()
    configure_logs("info", "json", stream)

    for number in range(50):
        logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
        logging.getLogger("asyncio").error("out of system resource\nsocket: %s", number)

    told = ["Invalid HTTP request received.", "out of system resource\nsocket: 0"]
    assert told == [line["event"] for line in lines(stream)]


def test_library_is_heard_again_a_minute_later() -> None:
    """A message comes through again after a minute, however often it was repeated meanwhile."""
    now = 0.0
    once = OnceAMinute(lambda: now)
    record = logging.makeLogRecord({"name": "uvicorn.error", "msg": "Invalid request"})
    heard = []

    for second in range(121):
        now = float(second)
        if once.filter(record):
            heard.append(second)

    assert [0, 60, 120] == heard


def test_expected_error_is_one_key_and_no_traceback() -> None:
    """An error of ours is its own message; the way it took is nobody's business."""
    stream = io.StringIO()
    configure_logs("info", "json", stream)
    log = structlog.get_logger()

    try:
        raise_unreachable()
    except Unreachable as error:
        log.warning("poll.failed", exc_info=True)
        log.warning("poll.failed", exc_info=error)
        logging.getLogger("library").exception("failed")

    told = [(line["error"], "exception" in line) for line in lines(stream)]
    assert [("flow_runs/filter: connection refused", False)] * 3 == told


def test_unexpected_error_is_structured_without_local_values() -> None:
    """A crash is one line with its frames, which never show what variables held."""
    stream = io.StringIO()
    configure_logs("info", "json", stream)
    credential = "hunter2-do-not-show"

    try:
        _ = len(credential) / 0
    except ZeroDivisionError:
        structlog.get_logger().exception("exporter.crashed")

    (line,) = lines(stream)
    assert "ZeroDivisionError" == line["exception"][0]["exc_type"]
    assert credential not in stream.getvalue()


@pytest.mark.parametrize(
    ("format_", "stream", "as_json"),
    [
        ("auto", io.StringIO(), True),
        ("auto", Terminal(), False),
        ("json", Terminal(), True),
        ("console", io.StringIO(), False),
    ],
    ids=["auto to a file", "auto to a terminal", "json", "console"],
)
def test_format_follows_the_setting_and_the_stream(
    format_: str,
    stream: io.StringIO,
    as_json: bool,  # noqa: FBT001 - a table's column
) -> None:
    """`auto` writes for people on a terminal, else for machines; colour is for terminals alone."""
    configure_logs("info", format_, stream)

    structlog.get_logger().info("exporter.started", port=9877)

    text = stream.getvalue()
    assert as_json == text.startswith("{")
    assert ("\x1b[" in text) == (stream.isatty() and not as_json)


def test_console_line_cannot_be_forged() -> None:
    """A value with a line break or an escape code stays inside its line on the console."""
    stream = io.StringIO()
    configure_logs("info", "console", stream)

    structlog.get_logger().info("poll.ended", flow="a\n2026 forged", queue="\x1b[2J")

    assert 1 == len(stream.getvalue().splitlines())
    assert "\x1b" not in stream.getvalue()
