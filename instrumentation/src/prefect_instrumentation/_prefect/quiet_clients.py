"""Prefect's own requests to its API, which are no part of a user's trace."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from opentelemetry.instrumentation.utils import suppress_http_instrumentation

CLIENTS = {"prefect.client.base": ("PrefectHttpxAsyncClient", "PrefectHttpxSyncClient")}

VERSION_CHECKERS = (
    "prefect._internal.version_checking",
    "prefect.client.orchestration",
    "prefect.events.clients",
    "prefect.logging.clients",
)
"""Since 3.8 the version is asked for with a bare client; the later ones have it from the first."""

MODULES = (*CLIENTS, VERSION_CHECKERS[0])


def senders(module: ModuleType) -> list[tuple[Any, str]]:
    """Return owners and names of what sends requests in one of `MODULES`.

    Raises:
        AttributeError: this Prefect has no such clients.
    """
    if module.__name__ in CLIENTS:
        return [(getattr(module, name), "send") for name in CLIENTS[module.__name__]]
    name = "check_server_version"
    present = [sys.modules.get(each) for each in VERSION_CHECKERS]
    return [(each, name) for each in present if each and hasattr(each, name)]


def without_instrumentation(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function without instrumentation of the requests that it sends."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call_async(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the function's own
            with suppress_http_instrumentation():
                return await function(*args, **kwargs)

        return call_async

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as above
        with suppress_http_instrumentation():
            return function(*args, **kwargs)

    return call
