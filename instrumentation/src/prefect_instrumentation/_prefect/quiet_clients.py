"""Prefect's own requests to its API, which are no part of a user's trace."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from types import ModuleType
from typing import Any

import wrapt
from opentelemetry.instrumentation.utils import suppress_http_instrumentation, unwrap

MODULE = "prefect.client.base"
CLIENTS = ("PrefectHttpxAsyncClient", "PrefectHttpxSyncClient")


def hush(module: ModuleType) -> list[Callable[[], object]]:
    """Make Prefect's clients send without instrumentation; return what undoes it.

    Raises:
        AttributeError: this Prefect has no such clients.
    """
    undo: list[Callable[[], object]] = []
    for client in [getattr(module, name) for name in CLIENTS]:
        is_async = inspect.iscoroutinefunction(client.send)
        wrapper: Any = _send_quietly_async if is_async else _send_quietly
        wrapt.wrap_function_wrapper(client, "send", wrapper)
        undo.append(partial(unwrap, client, "send"))
    return undo


def _send_quietly(
    wrapped: Callable[..., object],
    _client: object,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> object:
    with suppress_http_instrumentation():
        return wrapped(*args, **kwargs)


async def _send_quietly_async(
    wrapped: Callable[..., Awaitable[object]],
    _client: object,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> object:
    with suppress_http_instrumentation():
        return await wrapped(*args, **kwargs)
