"""Nothing of a log line, a fact or a label shows a secret, and none of them costs without bound."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from prefect_instrumentation import _secrets, error_context
from prefect_instrumentation._errors.context import facts_of
from prefect_instrumentation._log_settings import Format
from prefect_instrumentation._logs.handler import LogHandler
from prefect_instrumentation._logs.rendering import renderer
from prefect_instrumentation._logs.sinks import Event
from prefect_instrumentation._meters.labels import Bounds

KNOWN = "hunter-known-wvu0815"
FORMATS: tuple[Format, ...] = ("json", "logfmt", "console")
SEEN_TO_MOVE_A_CURSOR = "\x00\x07\x1b\r\x7f\x85\x9b\u2028\u2029\u202e"


@pytest.fixture(autouse=True)
def _known() -> None:
    _secrets.learn(KNOWN)


class Lines:
    """A sink that keeps the lines of each event, in all formats."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, event: Event, record: logging.LogRecord) -> None:
        """Keep it."""
        self.lines += [renderer(each, colours=False)(event) for each in FORMATS]

    def flush(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def written(message: str, error: BaseException | None = None, /, **values: object) -> list[str]:
    """Return a record's line in each format."""
    sink = Lines()
    info = error and (type(error), error, error.__traceback__)
    record = logging.makeLogRecord({"name": "shop", "msg": message, "exc_info": info, **values})
    LogHandler([sink]).handle(record)
    assert len(sink.lines) == len(FORMATS)
    return sink.lines


def parts(secret: str) -> Iterator[str]:
    """Yield what is long enough to be a part of a secret."""
    return (secret[at : at + 7] for at in range(len(secret) - 6))


def tells(text: str) -> list[str]:
    """Return which parts of the secret a text shows."""
    return [part for part in parts(KNOWN) if part in text]


@pytest.mark.parametrize("before", range(0, 60, 5))
@pytest.mark.parametrize(
    "wrap",
    [
        lambda text: {"body": text.encode()},
        lambda text: {"body": bytearray(text.encode())},
        lambda text: {"body": [text.encode()]},
        lambda text: {"order": {(text, 1): 2}},
    ],
    ids=["bytes", "bytearray", "list", "key"],
)
def test_what_is_shortened_shows_no_half(
    before: int, wrap: Callable[[str], dict[str, object]]
) -> None:
    """Bytes, and keys that are no texts, are redacted before their middle is left out."""
    values = wrap("-" * before + KNOWN + "-" * 60)

    assert [] == tells("".join(written("x", **values)))


@pytest.mark.parametrize("before", range(232, 258, 2))
def test_long_name_shows_no_half(before: int) -> None:
    """A key is redacted before it is cut."""
    assert [] == tells("".join(written("x", order={"-" * before + KNOWN: 2})))


def test_fact_shows_no_half() -> None:
    """What hides makes a fact shorter, and brings no half into view that a cut has left."""
    long = "password=" + "x" * 1000 + " "
    error = ValueError()
    with suppress(ValueError), error_context(a=long + KNOWN, b=[b"-" * 20 + KNOWN.encode()]):
        raise error

    assert ["password=[redacted] [redacted]", "['--------------------[redacted]']"] == list(
        facts_of(error).values()
    )


def test_label_shows_no_secret() -> None:
    """Neither by its name, nor in what is left of a value that was too long."""
    given = {"a": "password=" + "x" * 1010 + " " + KNOWN, "b": [KNOWN * 5], "api_key": "other"}

    assert {
        "a": "password=[redacted] [redacted]",
        "b": f"['{'[redacted]' * 5}']",
        "api_key": "[redacted]",
    } == Bounds().bounded("m", given)


def test_errors_show_no_secret() -> None:
    """Neither messages nor notes, of causes and members either, also of those never raised."""
    error = ExceptionGroup(KNOWN, [KeyError(KNOWN), OSError(2, KNOWN, KNOWN)])
    error.add_note(f"note {KNOWN}")
    error.__cause__ = ValueError({"password": KNOWN})
    error.__cause__.__context__ = SyntaxError("bad", (KNOWN, 1, 1, KNOWN))
    text = "".join(written("x", error))

    assert [] == tells(text)
    assert text.count("[redacted]") > 20


def deep(levels: int) -> BaseException:
    """Return an error that was raised so many calls below."""
    error: BaseException = ValueError("the bottom")

    def fall(left: int) -> None:
        if not left:
            raise error
        fall(left - 1)

    def run() -> None:
        with suppress(ValueError):
            fall(levels)

    limit, size = sys.getrecursionlimit(), threading.stack_size(256 << 20)
    sys.setrecursionlimit(levels + 1000)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    threading.stack_size(size)
    sys.setrecursionlimit(limit)
    return error


def chained(count: int) -> BaseException:
    """Return an error with so many causes."""
    first = error = ValueError("0")
    for number in range(1, count):
        error.__cause__ = ValueError(str(number))
        error = error.__cause__
    return first


def circular() -> BaseException:
    """Return an error that is the cause of its cause."""
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    return first


def nested(levels: int, times: int) -> BaseException:
    """Return groups within groups."""
    error: BaseException = ValueError("x")
    for _ in range(levels):
        error = BaseExceptionGroup("g", [error] * times)
    return error


@pytest.mark.parametrize(
    "make",
    [
        lambda: deep(5000),
        lambda: chained(5000),
        circular,
        lambda: nested(1, 5000),
        lambda: nested(400, 1),
        lambda: nested(24, 2),
        lambda: nested(8, 8),
    ],
    ids=["frames", "causes", "circle", "members", "groups", "shared", "wide"],
)
def test_no_error_takes_long(make: Callable[[], BaseException]) -> None:
    """However large it is; its line is bounded, and says what the error is."""
    error = make()
    began = time.process_time()
    lines = written("x", error)
    took = time.process_time() - began

    assert took < 2
    assert max(map(len, lines)) < 65_536
    assert '"exc_type":"' + type(error).__name__ in lines[0]
    assert '"exc_value":"' in lines[0]


def test_causes_are_told_apart() -> None:
    """Of what an error was raised from, and in the handling of; what was hidden stays so."""
    error, handled, hidden = ValueError("a"), KeyError("b"), OSError("c")
    error.__context__ = handled
    handled.__cause__ = TypeError("d")
    handled.__cause__.__context__ = hidden
    handled.__cause__.__suppress_context__ = True
    (json, *_) = written("x", error)

    assert '"exc_type":"ValueError","exc_value":"a","is_cause":false' in json
    assert '"exc_type":"KeyError","exc_value":"\'b\'","is_cause":false' in json
    assert '"exc_value":"d","is_cause":true' in json
    assert "OSError" not in json


@pytest.mark.parametrize("place", ["message", "key", "value", "logger", "error"])
def test_no_control_character_is_written(place: str) -> None:
    """In no format; a line ends where the record does, but for a stack on a console."""
    hostile = f"a{SEEN_TO_MOVE_A_CURSOR}\nb\udcff"
    lines = {
        "message": lambda: written(hostile),
        "key": lambda: written("x", order={hostile: 1}, **{hostile: 1}),
        "value": lambda: written("x", order=hostile, more=[hostile]),
        "logger": lambda: written("x", name=hostile),
        "error": lambda: written("x", ValueError(hostile)),
    }[place]()

    assert not [char for char in SEEN_TO_MOVE_A_CURSOR if char in "".join(lines)]
    assert "\n" not in "".join(lines[:2])
    assert ("\n" in lines[2]) is (place == "error")
    assert "".join(lines).encode()
