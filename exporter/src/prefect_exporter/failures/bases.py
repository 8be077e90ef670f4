"""What an error's class derives from, as far as its name tells: tracebacks do not say it."""

from __future__ import annotations

import builtins
import tomllib
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files

UNKNOWN_MODULE = "*."
"""Before a class' name where its module is not known, as in the message of a state."""


@lru_cache(maxsize=1024)
def bases(name: str) -> tuple[str, ...]:
    """Return what a class is known to derive from: Python's own, and those of ``bases.toml``.

    Args:
        name: Its full name; one that begins with ``*.`` may be any class of that short name.
    """
    short = name.removeprefix(UNKNOWN_MODULE)
    known = _by_short_name() if short != name else _by_name()
    return (*_of_python(short), *known.get(short, ()))


def _of_python(name: str) -> tuple[str, ...]:
    kind = getattr(builtins, name, None)
    if not (isinstance(kind, type) and issubclass(kind, BaseException)):
        return ()
    return tuple(each.__name__ for each in kind.__mro__[1:] if each not in (BaseException, object))


@cache
def _by_name() -> Mapping[str, tuple[str, ...]]:
    text = files("prefect_exporter.failures").joinpath("bases.toml").read_text(encoding="utf-8")
    found: dict[str, tuple[str, ...]] = {}
    for table in tomllib.loads(text).values():
        for base, derived in table.items():
            for name in derived:
                found[name] = (*found.get(name, ()), base)
    return found


@cache
def _by_short_name() -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, known in _by_name().items():
        short = name.rpartition(".")[2]
        found[short] = (*found.get(short, ()), *known)
    return found
