"""Where the secrets of Prefect's blocks are learned, so that they are hidden from then on.

A block that is loaded, made, or unpickled in another process is an instance of `Block`, whose
`__init__` or `__setstate__` has then been called: in all versions, of all classes, nested ones too.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import wrapt

from prefect_instrumentation import _secrets
from prefect_instrumentation._guard import guarded

MODULE = "prefect.blocks.core"
SEAMS = ("__init__", "__setstate__")

MAX_DEPTH = 6
MAX_VALUES = 256
"""How deep secrets are looked for in a block, and how many of its values are looked at."""

_undo: list[Callable[[], None]] = []
_watching = False
_hooked = False


def watch() -> None:
    """Learn the secrets of each block that this process gets from now on."""
    global _hooked, _watching  # noqa: PLW0603 - a process has one `Block`
    if _watching:
        return
    _watching = True
    if _hooked and MODULE in sys.modules:
        _patch(sys.modules[MODULE])
    elif not _hooked:
        _hooked = True
        wrapt.register_post_import_hook(_patch, MODULE)


def unwatch() -> None:
    """Learn no more, and give Prefect its own methods back; what is known stays hidden."""
    global _watching  # noqa: PLW0603 - as above
    _watching = False
    while _undo:
        _undo.pop()()


@guarded
def _patch(module: ModuleType) -> None:
    block = getattr(module, "Block", None)
    if not _watching or block is None:
        return
    for name in SEAMS:
        own = vars(block).get(name)
        setattr(block, name, _learning(getattr(block, name)))
        _undo.append(
            functools.partial(setattr, block, name, own)
            if own is not None
            else functools.partial(delattr, block, name)
        )


def _learning(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def filled(self: Any, /, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - a block
        original(self, *args, **kwargs)
        _learn(self)

    return filled


@guarded
def _learn(block: object) -> None:
    if found := list(_secrets_of(vars(block), secret=False)):
        _secrets.learn(*found)


def _secrets_of(value: object, *, secret: bool) -> Iterator[str]:
    """Yield the texts of what is secret in a value.

    Args:
        value: fields of a block, or what is in them.
        secret: whether all of it is.
    """
    waiting, looked_at = [(value, secret, MAX_DEPTH)], 0
    while waiting and looked_at < MAX_VALUES:
        each, hidden, depth = waiting.pop()
        looked_at += 1
        if callable(reveal := getattr(type(each), "get_secret_value", None)):
            each, hidden = reveal(each), True
        if hidden and (text := _text_of(each)):
            yield text
            each = _parsed(text)
        if depth:
            waiting += [(part, hidden, depth - 1) for part in _parts(each)]


def _parts(value: object) -> list[object]:
    """Return what is in a container, or in a model's fields."""
    if isinstance(value, dict):
        return list(value.values())[:MAX_VALUES]
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)[:MAX_VALUES]
    if hasattr(type(value), "model_fields"):
        return list(vars(value).values())[:MAX_VALUES]
    return []


def _text_of(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else ""


def _parsed(text: str) -> object:
    """Return what a text of JSON holds, or None."""
    if not text.lstrip().startswith(("{", "[", '"')) or len(text) > _secrets.MAX_LENGTH:
        return None
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return [parsed] if isinstance(parsed, str) else parsed
