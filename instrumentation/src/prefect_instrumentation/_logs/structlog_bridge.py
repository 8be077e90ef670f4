"""structlog's loggers go the way of all records, unless the user has configured structlog.

The keys that they are given travel on the record. Whoever asks the record for its message gets
readable text, such as `order taken order=7`: Prefect's API, and handlers of the user's.
"""

from __future__ import annotations

import functools
import inspect
import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
from types import ModuleType
from typing import Any

import wrapt

from prefect_instrumentation._guard import guarded
from prefect_instrumentation._logs.events import CALLER_SIZE, KEYS_OF_STRUCTLOG, context_now
from prefect_instrumentation._logs.plain import Budget, plain
from prefect_instrumentation._logs.rendering import to_json
from prefect_instrumentation._secrets import redactor

_OF_LOGGING = ("exc_info", "stack_info", "stacklevel")

_undo: list[Callable[[], None]] = []
_is_wanted = False
_is_hooked = False


def bridge() -> None:
    """Have structlog's loggers use `logging`, as soon as anybody imports structlog."""
    global _is_hooked, _is_wanted  # noqa: PLW0603 - one process, one structlog
    _is_wanted = True
    if "structlog" in sys.modules:
        _configure(sys.modules["structlog"])
    elif not _is_hooked:
        _is_hooked = True
        wrapt.register_post_import_hook(_configure, "structlog")


def unbridge() -> None:
    """Give structlog its own configuration back, unless the user has given it another."""
    global _is_wanted  # noqa: PLW0603 - as above
    _is_wanted = False
    _give_back()


def add_context(
    logger: object,  # noqa: ARG001 - structlog's own signature
    method: str,  # noqa: ARG001 - as above
    event_dict: MutableMapping[str, Any],
) -> MutableMapping[str, Any]:
    """Add the correlation id, the span's ids and the run's keys: a processor of structlog.

    For users with a chain of processors of their own; what the event has already is kept.
    """
    for name, value in context_now().items():
        event_dict.setdefault(name, value)
    return event_dict


@guarded
def _configure(structlog: ModuleType) -> None:
    if not _is_wanted or _undo or structlog.is_configured():
        return
    logger_class = logging.getLoggerClass()
    factory = structlog.stdlib.LoggerFactory()
    logging.setLoggerClass(logger_class)  # which the factory replaces, also if it is a user's
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.PositionalArgumentsFormatter(),
            _to_record,
        ],
        context_class=dict,
        logger_factory=factory,
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    _undo.append(structlog.reset_defaults)
    for name in ("configure", "configure_once"):
        _replace(structlog, name, _after_giving_back(getattr(structlog, name)))
    is_configured = structlog.is_configured
    _replace(structlog, "is_configured", lambda: not _undo and is_configured())


def _give_back() -> None:
    while _undo:
        _undo.pop()()


def _after_giving_back(original: Callable[..., None]) -> Callable[..., None]:
    """Let the user's configuration begin with structlog's defaults, not with ours."""

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - structlog's own
        _give_back()
        original(*args, **kwargs)

    return call


def _replace(module: ModuleType, name: str, new: Callable[..., object]) -> None:
    _undo.append(functools.partial(setattr, module, name, getattr(module, name)))
    setattr(module, name, new)


def _to_record(
    logger: object,  # noqa: ARG001 - structlog's own signature
    method: str,  # noqa: ARG001 - as above
    event_dict: MutableMapping[str, Any],
) -> dict[str, object]:
    """Return the arguments of the call of `logging`."""
    of_logging = {name: event_dict.pop(name) for name in _OF_LOGGING if name in event_dict}
    return {
        "stacklevel": _frames_of_structlog(),
        **of_logging,
        "msg": _Readable(event_dict),
        "extra": {KEYS_OF_STRUCTLOG: event_dict},
    }


def _frames_of_structlog() -> int:
    """Return how far away the caller is: handlers of the user's may show his file and line."""
    frame, count = inspect.currentframe(), 0
    frame = frame and frame.f_back and frame.f_back.f_back
    while frame and str(frame.f_globals.get("__name__")).startswith("structlog"):
        frame, count = frame.f_back, count + 1
    return count


class _Readable:
    """A message that is made when somebody asks for it, without secrets."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Mapping[str, Any]) -> None:
        self._keys = keys

    def __str__(self) -> str:
        budget = Budget(CALLER_SIZE)
        shown = redactor().mapping({name: plain(each, budget) for name, each in self._keys.items()})
        event = shown.pop("event", "")
        return " ".join([str(event), *(f"{name}={_shown(each)}" for name, each in shown.items())])


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return to_json(value)
    shown = str(value)
    return repr(shown) if not shown or any(each.isspace() for each in shown) else shown
