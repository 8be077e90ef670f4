"""What an error is called, what it resembles, and whose it is."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import traceback
from collections import deque
from collections.abc import Mapping
from pathlib import Path, PurePath
from types import CodeType

from prefect_instrumentation import attributes
from prefect_instrumentation._runs import StateChange
from prefect_instrumentation._text import full_type_name, module_name

FRAMES = 5
"""How many of the innermost frames tell one failure from another."""

_CLIENTS = frozenset(
    (
        *("aiohttp", "grpc", "httpcore", "httpx", "paramiko", "requests", "urllib3"),
        *("aiokafka", "azure", "boto3", "botocore", "google", "kafka", "pika", "redis"),
        *("asyncpg", "elasticsearch", "mysql", "oracledb", "psycopg", "psycopg2", "pymongo"),
        *("pymysql", "pyodbc", "snowflake", "sqlalchemy"),
    )
)
"""Packages whose errors are mostly of the system that they talk to."""


_PYTHON = f"{Path(os.__file__).parent}{os.sep}"


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
    # Read past whatever a class of the user's has under that name.
    raised_at = BaseException.__dict__["__traceback__"].__get__(error)
    engine = _engine_folders()
    own: deque[CodeType] = deque(maxlen=FRAMES)
    in_engine = False
    for code in (frame.f_code for frame, _ in traceback.walk_tb(raised_at)):
        if code.co_filename.startswith(engine):
            in_engine = True
        elif not _is_of_python(code.co_filename):
            if in_engine:
                own.clear()  # what the engine calls last fails alike in a flow and in its task
            in_engine = False
            own.append(code)
    places = [f"{PurePath(code.co_filename).name}:{code.co_name}" for code in own]
    return _digest([type_name(error), *places])


def category(error: BaseException | None, state: StateChange | None) -> str:
    """Return whose the failure is: user_code, timeout, infrastructure, cancelled or upstream."""
    if error is not None and issubclass(type(error), asyncio.CancelledError):
        return "cancelled"  # Prefect calls it a crash
    if state is not None and (known := _of_state(state)):
        return known
    return "user_code" if error is None else _of_type(type(error))


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


def _of_type(kind: type[BaseException]) -> str:
    if issubclass(kind, TimeoutError):
        return "timeout"
    if issubclass(kind, MemoryError) or not issubclass(kind, Exception):
        return "infrastructure"
    return "upstream" if _is_of_client(kind) else "user_code"


def _is_of_client(kind: type[BaseException]) -> bool:
    bases: tuple[type, ...] = type.__dict__["__mro__"].__get__(kind)
    return issubclass(kind, ConnectionError) or any(
        module_name(base).partition(".")[0] in _CLIENTS for base in bases
    )


def _is_of_python(path: str) -> bool:
    return path.startswith(_PYTHON) and "-packages" not in path


def _engine_folders() -> tuple[str, ...]:
    """Return where Prefect's code and ours are, which are in every run's stack."""
    files = [getattr(sys.modules.get("prefect"), "__file__", None), __file__]
    return tuple(f"{Path(file).parent}{os.sep}" for file in files if file)


def _digest(parts: list[str]) -> str:
    return hashlib.sha256("|".join(parts).encode("utf-8", "replace")).hexdigest()[:16]
