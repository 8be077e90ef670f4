"""The id that ties together a request, the runs that it causes, and what they log."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from contextvars import ContextVar, Token

_ACCEPTED = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")

_current: ContextVar[str | None] = ContextVar("prefect_instrumentation_correlation", default=None)


def current() -> str | None:
    """Return the id of this context, None outside of any request and run."""
    return _current.get()


def accept(value: str) -> str | None:
    """Return an id that came from outside, or None where it may not go on to headers and logs.

    Accepted are 1 to 128 ASCII letters, digits and `._:/+=@-`.
    """
    return value if _ACCEPTED.fullmatch(value) else None


def new(random: Callable[[], uuid.UUID] = uuid.uuid4) -> str:
    """Return an id that nobody else has: 32 hex digits."""
    return random().hex


def bind(correlation_id: str) -> Token[str | None]:
    """Make the id this context's; the token gives back the one before, by `unbind`."""
    return _current.set(correlation_id)


def unbind(token: Token[str | None]) -> None:
    """Give this context the id back that it had before `bind`."""
    _current.reset(token)
