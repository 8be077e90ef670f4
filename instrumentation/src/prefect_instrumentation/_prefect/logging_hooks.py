"""Where Prefect and its web server set up logging: what they put in place, and when.

Prefect does so when it is imported, and again in its commands and its server; Uvicorn does when it
is configured, which is after Prefect's server has set up its own, or before.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable
from typing import Any

import wrapt

from prefect_instrumentation._guard import attempt, guarded

SETUPS = {
    "prefect.logging.configuration": ("", "setup_logging"),
    "uvicorn.config": ("Config", "configure_logging"),
}
"""By module, the class that has the function, "" for none, and the function's name."""

_PREFECT_HANDLERS = "prefect.logging.handlers"

_after: Callable[[], None] | None = None
_undo: dict[str, Callable[[], None]] = {}
_hooked: set[str] = set()


def hook(after: Callable[[], None]) -> None:
    """Have a function called each time that logging has been set up.

    A second function takes the place of the first.
    """
    global _after  # noqa: PLW0603 - one process, one logging
    _after = after
    for name in SETUPS:
        if name in sys.modules:
            _wrap(sys.modules[name])
        elif name not in _hooked:
            _hooked.add(name)
            wrapt.register_post_import_hook(_wrap, name)


def unhook() -> None:
    """Call nothing any more."""
    global _after  # noqa: PLW0603 - as above
    _after = None
    while _undo:
        _undo.popitem()[1]()


def is_console(handler: logging.Handler, logger: logging.Logger) -> bool:
    """Return whether Prefect or Uvicorn writes to standard output or error by a handler.

    One that writes to a file is the user's, whatever its class.
    """
    if not isinstance(handler, logging.StreamHandler):
        return False
    name = getattr(handler.stream, "name", "")
    if isinstance(name, str) and name and not name.startswith("<"):
        return False
    if logger.name.startswith("uvicorn") and type(handler) is logging.StreamHandler:
        return type(handler.formatter).__module__ == "uvicorn.logging"
    # Its debug handler, of whatever class: it is `logging`'s own in older versions.
    is_debug = logger.name == "prefect._internal" and handler.get_name() == "debug"
    return is_debug or _is_of_prefect(handler, "PrefectConsoleHandler")


def is_api(handler: logging.Handler) -> bool:
    """Return whether a handler sends records to Prefect's API."""
    return _is_of_prefect(handler, "APILogHandler")


def said(variable: str) -> bool:
    """Return whether the user has set a variable of Prefect's, also by his profile."""
    if os.environ.get(variable):
        return True
    context: Any = sys.modules.get("prefect.context")
    profile = context.get_settings_context().profile if context else None
    return profile is not None and variable in profile.to_environment_variables()


def _is_of_prefect(handler: logging.Handler, kind: str) -> bool:
    found = getattr(sys.modules.get(_PREFECT_HANDLERS), kind, None)
    return isinstance(found, type) and isinstance(handler, found)


@guarded
def _wrap(module: Any) -> None:  # noqa: ANN401 - a module
    owner_name, name = SETUPS[module.__name__]
    owner = getattr(module, owner_name, None) if owner_name else module
    original = getattr(owner, name, None)
    if _after is None or original is None or module.__name__ in _undo:
        return

    @functools.wraps(original)
    def set_up(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever it takes
        try:
            return original(*args, **kwargs)
        finally:
            if _after is not None:
                attempt(_after)

    setattr(owner, name, set_up)
    _undo[module.__name__] = functools.partial(setattr, owner, name, original)
