"""Flows under telemetry that fails, one part of it at a time: `python -m hostile_tracing PLAY ...`.

Each play runs the same flows, and prints what they gave, said and raised as one line of JSON. A
play is `off`, or a part of OpenTelemetry or of an observer that raises, such as `span.end`.
"""

# ruff: noqa: D103 - flows and tasks have the names that their runs show

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import re
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from prefect import flow, get_run_logger, tags, task
from prefect.logging.handlers import APILogHandler
from prefect.runtime import flow_run as current_flow_run
from prefect.runtime import task_run as current_task_run

from prefect_instrumentation import _prefect, _setup
from prefect_instrumentation._runs import Run

OBSERVER = (
    *("started", "outgoing", "flush", "labels", "resumed", "suspended"),
    *("changed", "raised", "renamed", "ended"),
)
"""What Prefect's engines call."""

PROVIDER = (
    *("provider.get_tracer", "tracer.start_span", "span.is_recording", "span.set_attributes"),
    *("span.set_attribute", "span.add_event", "span.set_status", "span.get_span_context"),
    "span.end",
)
"""What an observer of ours calls."""

REFUSED = ValueError("no such customer")
"""The very object that a task raises, and that its caller catches."""


class Broken(Exception):
    """Raised by telemetry."""


class Switch:
    """Says which part raises, and counts how often it did."""

    def __init__(self, part: str, error: type[BaseException] = Broken) -> None:
        self.part = part
        self.hits = 0
        self._error = error

    def reach(self, part: str) -> None:
        """Raise if this is the part."""
        if part == self.part:
            self.hits += 1
            raise self._error(part)


class Hostile:
    """Stands before an object of OpenTelemetry's, one method of which raises."""

    def __init__(self, inner: Any, kind: str, switch: Switch) -> None:  # noqa: ANN401 - of three
        self._inner = inner
        self._kind = kind
        self._switch = switch

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - a method of the inner one
        found = getattr(self._inner, name)
        if name.startswith("_") or not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as above
            self._switch.reach(f"{self._kind}.{name}")
            return self._wrapped(name, found(*args, **kwargs))

        return call

    def _wrapped(self, name: str, result: object) -> object:
        if name == "get_tracer":
            return Hostile(result, "tracer", self._switch)
        if name == "start_span":
            return HostileSpan(result, self._switch)
        return result


class HostileSpan(trace.Span):
    """A span one method of which raises."""

    def __init__(self, inner: Any, switch: Switch) -> None:  # noqa: ANN401 - the SDK's
        self._hostile = Hostile(inner, "span", switch)


def _method(name: str) -> Callable[..., Any]:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - a span's
        return getattr(self._hostile, name)(*args, **kwargs)

    return call


for _name in HostileSpan.__abstractmethods__:
    setattr(HostileSpan, _name, _method(_name))
HostileSpan.__abstractmethods__ = frozenset()
