"""No error of ours reaches a flow: it is swallowed here, and told once."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

from prefect_instrumentation._text import type_name

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger("prefect_instrumentation")

_told: set[str] = set()


def guarded(hook: Callable[P, R]) -> Callable[P, R | None]:
    """Make `hook` return None where it raises.

    What is no `Exception` passes: Prefect raises `TerminationSignal` from a signal handler, and
    that may be in the midst of a hook.
    """

    @functools.wraps(hook)
    def call(*args: P.args, **kwargs: P.kwargs) -> R | None:
        return attempt(hook, *args, **kwargs)

    return call


def attempt(hook: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | None:
    """Call a hook as `guarded` makes it."""
    try:
        return hook(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - a flow is worth more than its span
        swallow(getattr(hook, "__qualname__", "a hook"), error)
        return None


def swallow(where: str, error: Exception) -> None:
    """Tell of an error without its message, which may hold what is the user's."""
    once(
        "guard",
        "Telemetry is incomplete: %s raised %s. The run is not affected; this is said once.",
        where,
        type_name(type(error)),
    )


def once(topic: str, message: str, *args: object) -> None:
    """Warn, unless this process has warned of the topic before."""
    if topic in _told:
        return
    _told.add(topic)
    with suppress(Exception):  # a broken handler of the user's must not matter either
        logger.warning(message, *args)
