"""What an error hangs together with, read past whatever its class has under those names."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType

from prefect_instrumentation._text import type_name

MAX_MEMBERS = 32
"""Most members of a group that are looked at, and most errors of a chain."""

_REMOTE = frozenset({"RemoteTraceback", "_RemoteTraceback"})
"""Pools of processes hang these on an error as its cause: the text of its traceback there."""


def traceback_of(error: BaseException) -> TracebackType | None:
    """Return where an error was raised."""
    found: TracebackType | None = BaseException.__dict__["__traceback__"].__get__(error)
    return found


def cause_of(error: BaseException) -> BaseException | None:
    """Return what an error was raised from, or in the handling of; None where that is hidden."""
    cause: BaseException | None = BaseException.__dict__["__cause__"].__get__(error)
    if cause is not None:
        return None if type_name(type(cause)) in _REMOTE else cause
    if BaseException.__dict__["__suppress_context__"].__get__(error):
        return None
    context: BaseException | None = BaseException.__dict__["__context__"].__get__(error)
    return context


def members_of(error: BaseException) -> tuple[BaseException, ...]:
    """Return the first members of a group; nothing of any other error."""
    if not issubclass(type(error), BaseExceptionGroup):
        return ()
    members: tuple[BaseException, ...] = BaseExceptionGroup.__dict__["exceptions"].__get__(error)
    return members[:MAX_MEMBERS]


def related(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, its causes and all their members, outermost first, and none of them twice.

    At most `MAX_MEMBERS`, so that loops and enormous groups end.
    """
    seen: set[int] = set()
    waiting = [error]
    while waiting and len(seen) < MAX_MEMBERS:
        found = waiting.pop(0)
        if id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        waiting.extend(members_of(found))
        if (cause := cause_of(found)) is not None:
            waiting.append(cause)
