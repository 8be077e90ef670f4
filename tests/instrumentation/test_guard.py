"""What goes through the guard, and what does not."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from prefect.exceptions import TerminationSignal

from prefect_instrumentation._guard import guarded, logger, once
from traces import printed


class Nameless(type):
    """The name of its classes cannot be read."""

    @property
    def __name__(cls) -> str:  # type: ignore[override]  # that is what is hostile
        """Refuse."""
        raise LookupError("no name")


class Hidden(Exception, metaclass=Nameless):
    """Raised by hostile code, and hostile itself."""

    def __str__(self) -> str:
        """Refuse."""
        raise self

    __repr__ = __str__


class Deaf(logging.Handler):
    """A user's handler that is broken."""

    def emit(self, record: logging.LogRecord) -> None:
        """Refuse."""
        raise OSError("disk full")


@pytest.fixture
def _deaf() -> Iterator[None]:
    handler = Deaf()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), Hidden(), RecursionError(), MemoryError(), ExceptionGroup("x", [OSError()])],
    ids=["ValueError", "Hidden", "RecursionError", "MemoryError", "ExceptionGroup"],
)
@pytest.mark.usefixtures("_deaf")
def test_no_error_passes(error: Exception) -> None:
    """Whatever a hook raises, and whatever becomes of the line that tells of it."""

    @guarded
    def hook() -> int:
        raise error

    assert hook() is None


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        SystemExit(3),
        GeneratorExit(),
        asyncio.CancelledError(),
        TerminationSignal(signal=signal.SIGTERM),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_no_error_passes(error: BaseException) -> None:
    """It is the very same object that comes out."""

    @guarded
    def hook() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        hook()

    assert error is caught.value


def test_hook_stays_itself() -> None:
    """Its result, arguments, name and text stay."""

    @guarded
    def hook(one: int, *, two: int) -> tuple[int, int]:
        """Return both."""
        return one, two

    assert (1, 2) == hook(1, two=2)
    assert ("hook", "Return both.") == (hook.__name__, hook.__doc__)


def test_trouble_is_told_once_a_process() -> None:
    """The line names the hook and the kind of error, and never the error's text."""
    code = """
from prefect_instrumentation._guard import guarded

@guarded
def hook(text):
    raise ValueError(text)

for number in range(3):
    hook(f"hunter2 {number}")
"""
    line = (
        "Telemetry is incomplete: hook raised ValueError. The run is not affected; this is said"
        " once."
    )

    assert ("", line) == printed(code)


def test_topics_are_told_apart(caplog: pytest.LogCaptureFixture) -> None:
    """Each topic has one line, the first."""
    topic: Any = object()  # nobody else's
    for number in range(2):
        once(topic, "first %s", number)
        once((topic, 2), "second %s", number)  # type: ignore[arg-type]  # as above

    assert ["first 0", "second 0"] == [record.getMessage() for record in caplog.records]
