"""Prefect's own requests to its API, which are no part of a user's trace."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from types import ModuleType
from typing import Any

import wrapt
from opentelemetry.instrumentation.utils import suppress_http_instrumentation, unwrap

MODULE = "prefect.client.base"
CLIENTS = ("PrefectHttpxAsyncClient", "PrefectHttpxSyncClient")

VERSION_CHECK = "check_server_version"
"""Asks with a bare client, since 3.8; these modules have it by name, the first for all others."""

VERSION_CHECKERS = (
    "prefect._internal.version_checking",
    "prefect.client.orchestration",
    "prefect.events.clients",
    "prefect.logging.clients",
)


def hush(module: ModuleType) -> list[Callable[[], object]]:
    """Make Prefect's clients ask without instrumentation; return what undoes it.

    Raises:
        AttributeError: this Prefect has no such clients.
    """
    noisy: list[tuple[Any, str]] = [(getattr(module, client), "send") for client in CLIENTS]
    noisy += [
        (checker, VERSION_CHECK)
        for name in VERSION_CHECKERS
        if VERSION_CHECK in vars(checker := sys.modules.get(name, module))
    ]
    for owner, name in noisy:
        is_async = inspect.iscoroutinefunction(getattr(owner, name))
        wrapper: Any = _call_quietly_async if is_async else _call_quietly
        wrapt.wrap_function_wrapper(owner, name, wrapper)
    return [partial(unwrap, owner, name) for owner, name in noisy]


def _call_quietly(
    wrapped: Callable[..., object],
    _owner: object,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> object:
    with suppress_http_instrumentation():
        return wrapped(*args, **kwargs)


async def _call_quietly_async(
    wrapped: Callable[..., Awaitable[object]],
    _owner: object,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> object:
    with suppress_http_instrumentation():
        return await wrapped(*args, **kwargs)
