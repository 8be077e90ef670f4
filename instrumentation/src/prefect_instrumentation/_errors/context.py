"""Facts that travel with an error to wherever it is told of: its span, its log line."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from itertools import islice
from types import TracebackType
from typing import Any, TypeAlias, TypeVar

from prefect_instrumentation._errors.chain import members_of, related
from prefect_instrumentation._guard import guarded
from prefect_instrumentation._text import text

MAX_FACTS = 16
"""Most facts of one error, those of its causes included."""

MAX_NAME = 64
"""Most characters of a fact's name."""

MAX_VALUE = 256
"""Most characters of a fact's value."""

_MAX_KEPT = 1024
"""Most characters that are kept of a value, so that a secret within is whole when it is hidden."""

Fact: TypeAlias = bool | int | float | str

_MAX_INTEGER = 2**63 - 1
_ATTRIBUTE = "__prefect_error_context__"
_T = TypeVar("_T", bound=Callable[..., Any])

_NO_ERRORS = (StopIteration, StopAsyncIteration, GeneratorExit)
"""How code ends that has not failed."""


class error_context:  # noqa: N801 - it is used as a function is
    """Give facts to whatever error passes through, for its span and its log line.

    As a context manager, and as a decorator of functions of any kind::

        with error_context(order=order.id, step="charge"):
            charge(order)

    The facts stay with the error where it is raised again, pickled for another process, made the
    cause of another error or a member of a group. Of one name the innermost fact counts. Nothing
    is done with the values unless there is an error; then they are kept as numbers, booleans, or
    text of at most 256 characters, and secrets among them are hidden where they are told.

    Args:
        facts: at most 16, with names of at most 64 characters.
    """

    def __init__(self, **facts: object) -> None:
        self._facts = facts

    def __enter__(self) -> None:
        """Begin; nothing is done before there is an error."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the facts to the error, if there is one, and let it pass."""
        if error is not None and not issubclass(type(error), _NO_ERRORS):
            _give(error, self._facts)

    def __call__(self, function: _T) -> _T:
        """Decorate a function: errors of each call get the facts."""
        from prefect_instrumentation._scoped import scoped  # noqa: PLC0415 - mostly not needed

        return scoped(function, lambda: self, "error_context")


def facts_of(error: BaseException) -> Mapping[str, object]:
    """Return the facts of an error, of its causes and of its members, without their secrets.

    Those nearest to the root cause come first, and count where two have one name.
    """
    found: dict[str, Fact] = {}
    for each in reversed(list(related(error))):
        found = _merged(found, _read(each))
    return _redacted(found) if found else found


@guarded
def _give(error: BaseException, facts: Mapping[str, object]) -> None:
    made = {text(name, MAX_NAME): _fact(value) for name, value in islice(facts.items(), MAX_FACTS)}
    # `except*` makes new groups, which have the members of this one but not what it carries.
    for each in (error, *members_of(error)):
        _attributes(each)[_ATTRIBUTE] = _merged(_read(each), made)


def _merged(inner: Mapping[str, Fact], outer: Mapping[str, Fact]) -> dict[str, Fact]:
    new = {name: value for name, value in outer.items() if name not in inner}
    return dict(islice({**inner, **new}.items(), MAX_FACTS))


def _read(error: BaseException) -> dict[str, Fact]:
    """Return the facts that an error itself carries, which may have come from anywhere."""
    kept = _attributes(error).get(_ATTRIBUTE)
    if type(kept) is not dict:
        return {}
    some = islice(kept.items(), MAX_FACTS)
    return {text(name, MAX_NAME): _fact(value) for name, value in some}


def _attributes(error: BaseException) -> dict[str, object]:
    """Return the error's own dictionary, which is pickled with it and which no class can hide."""
    attributes: dict[str, object] = BaseException.__dict__["__dict__"].__get__(error)
    return attributes


def _fact(value: object) -> Fact:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _safe(value)
    try:
        if isinstance(value, float):
            return float(value)
        # What counts is often NumPy's integer, which is no `int`.
        number = operator.index(value)  # type: ignore[arg-type]  # it raises if it is none
    except Exception:  # noqa: BLE001 - the user's own class may do anything
        return _safe(value)
    return number if abs(number) <= _MAX_INTEGER else text(value, _MAX_KEPT)


def _safe(value: object) -> str:
    """Return a value's text, its secrets hidden before it is cut, lest a half of one is kept."""
    from prefect_instrumentation._secrets import shown  # noqa: PLC0415 - errors are rare

    return shown(value, _MAX_KEPT)


def _redacted(facts: Mapping[str, Fact]) -> Mapping[str, object]:
    from prefect_instrumentation._secrets import redactor  # noqa: PLC0415 - errors are rare

    hidden = redactor().mapping(facts)
    return {
        name: value[:MAX_VALUE] if isinstance(value, str) else value
        for name, value in hidden.items()
    }
