"""The id that ties together a request, the runs that it causes, and what they log."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, TypeAlias, TypeVar

from opentelemetry import baggage
from opentelemetry import context as otel_context
from opentelemetry.context import Context

from prefect_instrumentation._guard import once

LABEL = "__CORRELATION_ID"
"""Where a flow run's record carries the id on."""

OWN_LABEL = "correlation_id"
"""Where whoever creates a flow run without this package may have put it."""

BAGGAGE = "correlation_id"
"""The id's name in W3C baggage, which requests carry on: https://www.w3.org/TR/baggage/"""

_ACCEPTED = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")

_T = TypeVar("_T", bound=Callable[..., Any])
_Tokens: TypeAlias = tuple[Token[str | None], Token[Context]]

_current: ContextVar[str | None] = ContextVar("prefect_instrumentation_correlation", default=None)


def current() -> str | None:
    """Return the id of this context, None outside of any request and run."""
    return _current.get()


def accept(value: object) -> str | None:
    """Return an id that came from outside, or None where it may not go on to headers and logs.

    Accepted are 1 to 128 ASCII letters, digits and `._:/+=@-`.
    """
    return value if isinstance(value, str) and _ACCEPTED.fullmatch(value) else None


def new(random: Callable[[], uuid.UUID] = uuid.uuid4) -> str:
    """Return an id that nobody else has: 32 hex digits."""
    return random().hex


def bind(correlation_id: str) -> Token[str | None]:
    """Make the id this context's; the token gives back the one before, by `unbind`."""
    return _current.set(correlation_id)


def unbind(token: Token[str | None]) -> None:
    """Give this context the id back that it had before `bind`."""
    _current.reset(token)


def carried(context: Context | None = None) -> str | None:
    """Return the id in a context's baggage, None if it has none that is accepted."""
    return accept(baggage.get_baggage(BAGGAGE, context))


def labelled(*labels: Mapping[str, object]) -> str | None:
    """Return the first id that labels hold, None if none of them holds one."""
    found = (accept(each.get(key)) for each in labels for key in (LABEL, OWN_LABEL))
    return next(filter(None, found), None)


def carrying(correlation_id: str, context: Context | None = None) -> Context:
    """Return a context whose outgoing requests carry the id."""
    return baggage.set_baggage(BAGGAGE, correlation_id, context)


class correlation:  # noqa: N801 - it is used as a function is
    """Give what runs inside an id of its own: its runs, spans, log lines and requests.

    As a context manager, with the id as its value, and as a decorator of functions of any kind::

        with correlation(message.id):
            load_orders()

    Of a flow or task the call is to be inside. Below `@flow` it is for what the flow does.

    Args:
        correlation_id: 1 to 128 ASCII letters, digits and `._:/+=@-`; a new one by default. In
            place of one that is not so, a new one is used too, and the log tells of it once.
    """

    def __init__(self, correlation_id: str | None = None) -> None:
        self._proposed = correlation_id
        self._id = ""
        self._entered: list[_Tokens] = []

    def __enter__(self) -> str:
        """Make the id current, and return it."""
        self._id = self._id or accept(self._proposed) or self._replacement()
        self._entered.append((bind(self._id), otel_context.attach(carrying(self._id))))
        return self._id

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Make current what was so before."""
        token, context = self._entered.pop()
        # Where it is left in another context than it was entered in, that has none to give back: a
        # generator's steps may be in copies, as those of FastAPI's dependencies are.
        with suppress(ValueError):
            unbind(token)
            otel_context.detach(context)

    def __call__(self, function: _T) -> _T:
        """Decorate a function: each call has the id, or a new one if none was named."""
        from prefect_instrumentation._scoped import scoped  # noqa: PLC0415 - mostly not needed

        return scoped(function, lambda: correlation(self._proposed), "correlation")

    def _replacement(self) -> str:
        if self._proposed is not None:
            once(
                "correlation",
                "correlation() takes 1 to 128 ASCII letters, digits and ._:/+=@- and was given"
                " something else: a new id is used.",
            )
        return new()
