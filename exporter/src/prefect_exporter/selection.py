"""Which flows, deployments and work pools are looked at. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import translate


@dataclass(frozen=True, slots=True)
class Patterns:
    """Shell patterns; a name passes if one that allows matches, or none is there, and none denies.

    Args:
        allow: For example ``("etl-*",)``; () allows every name.
        deny: For example ``("*-test",)``.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()

    def __contains__(self, name: str) -> bool:
        """Return whether *name* passes; letters are told apart by case."""
        return (not self.allow or _any(self.allow, name)) and not _any(self.deny, name)

    def __str__(self) -> str:
        return ",".join([*self.allow, *(f"!{pattern}" for pattern in self.deny)])


@dataclass(frozen=True, slots=True)
class Selection:
    """What a target shows; runs of anything else are neither counted nor shown."""

    flows: Patterns = Patterns()
    deployments: Patterns = Patterns()
    work_pools: Patterns = Patterns()

    def takes(self, flow: str, deployment: str = "", work_pool: str = "") -> bool:
        """Return whether a run passes; what it has none of is "", and never in the way."""
        return (
            (not flow or flow in self.flows)
            and (not deployment or deployment in self.deployments)
            and (not work_pool or work_pool in self.work_pools)
        )


def patterns(words: Iterable[str]) -> Patterns:
    """Return the patterns that *words* are; one that begins with ``!`` denies."""
    words = tuple(words)
    allow = tuple(word for word in words if not word.startswith("!"))
    return Patterns(allow, tuple(word[1:] for word in words if word.startswith("!")))


def _any(shells: tuple[str, ...], name: str) -> bool:
    return any(re.compile(translate(shell)).match(name) for shell in shells)
