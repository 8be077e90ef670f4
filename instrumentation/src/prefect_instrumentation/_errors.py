"""What an error is called, what it resembles, and whose it is."""

from __future__ import annotations

import asyncio
import hashlib
import traceback
from collections.abc import Mapping
from pathlib import PurePath

from prefect_instrumentation import attributes
from prefect_instrumentation._runs import StateChange
from prefect_instrumentation._text import full_type_name

FRAMES = 5
"""How many of the innermost frames tell one failure from another."""

_ENGINE = ("/prefect/", "/prefect_instrumentation/", "\\prefect\\", "\\prefect_instrumentation\\")

_CLIENTS = frozenset(
    (
        *("aiohttp", "grpc", "httpcore", "httpx", "paramiko", "requests", "urllib3"),
        *("aiokafka", "azure", "boto3", "botocore", "google", "kafka", "pika", "redis"),
        *("asyncpg", "elasticsearch", "mysql", "oracledb", "psycopg", "psycopg2", "pymongo"),
        *("pymysql", "pyodbc", "snowflake", "sqlalchemy"),
    )
)
"""Packages whose errors are mostly of the system that they talk to."""


def describe(error: BaseException, state: StateChange | None = None) -> Mapping[str, str]:
    """Return the error's attributes: its type, its fingerprint and its category.

    Args:
        error: as it was raised; its traceback makes the fingerprint.
        state: that the run ended in; without one the error alone decides.
    """
    return {
        attributes.ERROR_TYPE: type_name(error),
        attributes.ERROR_FINGERPRINT: fingerprint(error),
        attributes.ERROR_CATEGORY: category(error, state),
    }


def describe_state(state: StateChange, function: str) -> Mapping[str, str]:
    """Return the same attributes for a run that failed without raising.

    Args:
        state: such as a Failed state that the user returned.
        function: full name of what the run called.
    """
    return {
        attributes.ERROR_TYPE: f"prefect.{state.name}",
        attributes.ERROR_FINGERPRINT: _digest([f"prefect.{state.name}", function]),
        attributes.ERROR_CATEGORY: category(None, state),
    }


def type_name(error: BaseException) -> str:
    """Return the full name of the error's class, without `builtins`."""
    return full_type_name(type(error))


def fingerprint(error: BaseException) -> str:
    """Return 16 hex digits that are the same for the same failure of the same code.

    Neither message nor line numbers count, nor folders, since workers clone code into new ones.
    """
    frames = traceback.StackSummary.extract(
        traceback.walk_tb(error.__traceback__), lookup_lines=False
    )
    own = [frame for frame in frames if not any(part in frame.filename for part in _ENGINE)]
    places = [f"{PurePath(frame.filename).name}:{frame.name}" for frame in own[-FRAMES:]]
    return _digest([type_name(error), *places])


def category(error: BaseException | None, state: StateChange | None) -> str:
    """Return whose the failure is: user_code, timeout, infrastructure, cancelled or upstream."""
    if state is not None and (known := _of_state(state)):
        return known
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    if isinstance(error, TimeoutError):
        return "timeout"
    if error is not None and (isinstance(error, MemoryError) or not isinstance(error, Exception)):
        return "infrastructure"
    if error is not None and _is_upstream(error):
        return "upstream"
    return "user_code"


def _of_state(state: StateChange) -> str:
    match state.type, state.name:
        case (("CANCELLED" | "CANCELLING"), _):
            return "cancelled"
        case _, "TimedOut":
            return "timeout"
        case _, "NotReady":
            return "upstream"
        case "CRASHED", _:
            return "infrastructure"
    return ""


def _is_upstream(error: BaseException) -> bool:
    return isinstance(error, ConnectionError) or any(
        kind.__module__.partition(".")[0] in _CLIENTS for kind in type(error).__mro__
    )


def _digest(parts: list[str]) -> str:
    return hashlib.sha256("|".join(parts).encode("utf-8", "replace")).hexdigest()[:16]
