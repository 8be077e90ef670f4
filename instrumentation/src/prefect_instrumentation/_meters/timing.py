"""How long calls take, whatever kind of function is called."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from prefect_instrumentation._calls import NO_ERRORS, wrap
from prefect_instrumentation._driven import Begin
from prefect_instrumentation._meters.definitions import FUNCTION_DURATION, Definition
from prefect_instrumentation._meters.instruments import process
from prefect_instrumentation._spec import function_name


class Timing:
    """Times one call: each `with` adds to it, and `close()` records it.

    A generator's body is entered for each step, so that the time of its consumer is left out.

    Args:
        definition: of a histogram in seconds.
        labels: of the point, beside `outcome`.
    """

    __slots__ = ("_definition", "_labels", "_outcome", "_seconds", "_since")

    def __init__(self, definition: Definition, labels: Mapping[str, object]) -> None:
        self._definition = definition
        self._labels = labels
        self._outcome = "success"
        self._seconds = 0.0
        self._since = 0.0

    def __enter__(self) -> None:
        self._since = time.perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._seconds += time.perf_counter() - self._since
        if error is not None and not isinstance(error, NO_ERRORS):
            self._outcome = outcome_of(error)

    def close(self) -> None:
        """Record the time."""
        labels = {**self._labels, "outcome": self._outcome}
        process.record(self._definition, self._seconds, labels)


def outcome_of(error: BaseException | None) -> str:
    """Return how code ended, in words that are the same for every timer."""
    if error is None:
        return "success"
    return "cancelled" if isinstance(error, asyncio.CancelledError) else "failure"


def begin(wrapper: Callable[..., object], *_: object) -> Timing:
    """Begin to time a call of a measured function."""
    return Timing(FUNCTION_DURATION, {"function": function_name(wrapper)})


def timed(name: str, begin: Begin, target: Any) -> Any:  # noqa: ANN401 - of a dozen kinds
    """Return a function, method, flow or task that is timed, and of the same kind.

    Raises:
        TypeError: `target` is nothing that can be called, or a class.
    """
    if isinstance(target, classmethod | staticmethod):
        return type(target)(timed(name, begin, target.__func__))
    if not callable(target) or isinstance(target, type):
        raise TypeError(f"{name} takes a function, flow or task, not {type(target).__name__}")
    if inspect.isfunction(target) or not callable(getattr(target, "fn", None)):
        return wrap(target, begin)
    target.fn = wrap(target.fn, begin)  # an engine calls it once an attempt
    return target
