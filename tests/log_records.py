"""Records of `logging`, sinks that keep what they get, and loggers left as they were found."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from textwrap import dedent
from typing import Any

from prefect_instrumentation._logs.handler import LogHandler

INSTALLED = """
import logging, os, sys
from prefect_instrumentation import _settings
from prefect_instrumentation._logs.installing import install, uninstall
"""
_OURS = ("OTEL_", "PREFECT_")


@dataclass(frozen=True)
class Written:
    """What a process has written.

    Args:
        lines: on standard output, each an object; those of the libraries are left out.
        complaints: the lines on standard error.
    """

    lines: list[dict[str, Any]]
    complaints: list[str]

    @property
    def events(self) -> list[str]:
        """What was said, in order."""
        return [line["event"] for line in self.lines]


def written(code: str, **environ: str) -> Written:
    """Run code in a new process, which has `install` and `uninstall`.

    Raises:
        ValueError: a line on its standard output is no JSON.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    home = {"PREFECT_HOME": os.environ.get("PREFECT_HOME", "/nonexistent")}
    done = subprocess.run(
        [sys.executable, "-c", INSTALLED + dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
        env={**kept, **home, **environ},
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return Written(lines, done.stderr.splitlines())


@dataclass
class Kept:
    """A sink that keeps events."""

    events: list[Mapping[str, object]] = field(default_factory=list)

    def write(self, event: Mapping[str, object], record: logging.LogRecord) -> None:
        """Keep it."""
        self.events.append(event)

    def flush(self) -> None:
        """Hold nothing back."""

    def close(self) -> None:
        """Stay as it is."""


def record_of(message: object = "said", *args: object, **attributes: Any) -> logging.LogRecord:  # noqa: ANN401 - a record may have any
    """Return a record of the logger `shop` at `info`, made at the epoch."""
    record = logging.LogRecord("shop", logging.INFO, "shop.py", 1, message, args, None)
    vars(record).update({"created": 0.0, **attributes})
    return record


def raised(error: BaseException) -> tuple[type[BaseException], BaseException, Any]:
    """Return an error as `sys.exc_info` has it after it was raised here."""
    try:
        raise error
    except type(error):
        return type(error), error, error.__traceback__


@contextmanager
def logged(name: str, *sinks: Any) -> Iterator[logging.Logger]:  # noqa: ANN401 - hostile ones too
    """Make a logger that has our handler alone, for as long as the context lasts."""
    logger = logging.getLogger(name)
    handler = LogHandler(sinks)
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    try:
        yield logger
    finally:
        logger.removeHandler(handler)
        handler.close()
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
