"""Names, chances and commands as the sentences of a report have them. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

_MOST_NAMES = 3


def chance(p: float) -> str:
    """Return how probable chance is, never as nought."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"  # noqa: PLR2004 - the smallest that is told


def listed(names: Sequence[str], most: int = _MOST_NAMES) -> str:
    """Return ``a``, ``a and b`` or ``a, b, c and 3 more``."""
    shown = list(names[:most])
    if len(names) > most:
        shown.append(f"{len(names) - most} more")
    return ", ".join(shown[:-1]) + " and " + shown[-1] if len(shown) > 1 else "".join(shown)


def command(*arguments: str) -> str:
    """Return a command line, quoted for a shell."""
    return shlex.join(arguments)
