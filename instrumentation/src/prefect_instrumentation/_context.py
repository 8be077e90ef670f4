"""The context of a run in a thread that Python starts without it."""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def copy_context(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function with this context: run, trace, correlation id, Prefect's own.

    `threading.Thread(target=copy_context(work)).start()` logs as the run that starts it, and so
    does `pool.submit(copy_context(work), 1)`. It may be called often and by many threads at once.

    Args:
        function: what another thread is to call; not a coroutine function, since tasks of asyncio
            have their creator's context anyway.
    """
    captured = contextvars.copy_context()

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        # A context can be entered by one thread at a time only.
        return captured.copy().run(function, *args, **kwargs)

    return call
