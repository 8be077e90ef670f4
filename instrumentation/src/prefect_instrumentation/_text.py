"""Whatever a user's objects say of themselves, as text that every exporter takes."""

from __future__ import annotations

import reprlib

MAX_NAME = 256
"""Most characters of a name."""

MAX_TEXT = 1024
"""Most characters of any other text."""


def text(value: object, limit: int = MAX_TEXT) -> str:
    """Return a value as valid Unicode of at most `limit` characters, whatever it does.

    One lone surrogate in one span, as `os.fsdecode` makes them, costs an exporter its whole batch.
    """
    if type(value) is str and len(value) <= limit and value.isascii():
        return value  # as most are, of each of a run's attributes
    try:
        if isinstance(value, list | tuple | set | frozenset | dict | bytes | bytearray):
            raw = _repr.repr(value)
        else:
            raw = value if isinstance(value, str) else str(value)
        short = raw[:limit]
        return short if short.isascii() else short.encode("utf-8", "replace").decode()
    except Exception:  # noqa: BLE001 - the user's own class may do anything
        return f"<{type_name(type(value))}>"


def type_name(kind: type) -> str:
    """Return a class' name within its module, bounded; a metaclass has no say in it."""
    try:
        return text(type.__dict__["__qualname__"].__get__(kind), MAX_NAME)
    except Exception:  # noqa: BLE001 - as above
        return "unknown"


def full_type_name(kind: type) -> str:
    """Return a class' name with its module's, which is left out if it is `builtins`."""
    module = module_name(kind)
    return type_name(kind) if module in ("", "builtins") else f"{module}.{type_name(kind)}"


def module_name(kind: type) -> str:
    """Return the name of a class' module, bounded; "" where it has none."""
    try:
        module = type.__dict__["__module__"].__get__(kind)
    except Exception:  # noqa: BLE001 - as above
        return ""
    return text(module, MAX_NAME) if isinstance(module, str) else ""


def _bounded_repr() -> reprlib.Repr:
    shortener = reprlib.Repr()
    shortener.maxlevel = 2
    shortener.maxlist = shortener.maxtuple = shortener.maxset = shortener.maxfrozenset = 32
    shortener.maxdict = 32
    shortener.maxstring = shortener.maxother = 64
    return shortener


_repr = _bounded_repr()
"""Writes out few items of a container, since a parameter may well be all of a table."""
