"""Which names have series of their own, and what deployments are or were called."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec

from prefect_exporter.labels import OTHER
from prefect_exporter.metrics import Labels

# Folded names are remembered so that they stay folded; beyond so many limits' worth they are not.
_REMEMBERED_LIMITS = 4


@dataclass(frozen=True, slots=True)
class DeploymentName:
    """A deployment as labels know it: its name is unique only within its flow."""

    id: UUID
    flow: str
    name: str


class Names:
    """The names that a target may use in labels; beyond the limit of a scope they fold for good.

    Args:
        con: The ledger's connection; the caller opens the transactions.
        limits: Names by scope, for example ``{"deployment": 5000}``.
    """

    def __init__(self, con: sqlite3.Connection, limits: Mapping[str, int]) -> None:
        self._con = con
        self._limits = limits
        self._known: dict[tuple[str, str], dict[Labels, bool]] = {}
        self._own: dict[tuple[str, str], int] = {}
        self._deployments: dict[tuple[str, UUID], DeploymentName] = {}
        self._load()

    def _load(self) -> None:
        for target, scope, name, folded in self._con.execute(
            "SELECT target, scope, name, folded FROM name"
        ):
            self._note(target, scope, _names(name), folded=bool(folded))
        for target, key, flow, name in self._con.execute(
            "SELECT target, id, flow, name FROM deployment"
        ):
            row = DeploymentName(UUID(bytes=key), flow, name)
            self._deployments[target, row.id] = row

    def _note(self, target: str, scope: str, name: Labels, *, folded: bool) -> None:
        self._known.setdefault((target, scope), {})[name] = folded
        if not folded:
            self._own[target, scope] = self._own.get((target, scope), 0) + 1

    def shown(self, target: str, scope: str, name: Labels) -> Labels | None:
        """Return the label values for *name*, or None where it is new."""
        folded = self._known.get((target, scope), {}).get(name)
        return None if folded is None else fold(name, folded=folded)

    def admit(self, target: str, scope: str, name: Labels) -> Labels:
        """Give a new name its place: its own while there is room, else the common one."""
        if (shown := self.shown(target, scope, name)) is not None:
            return shown
        limit = self._limits[scope]
        folded = self._own.get((target, scope), 0) >= limit
        known = len(self._known.get((target, scope), {}))
        if not folded or known < limit * (1 + _REMEMBERED_LIMITS):
            self._con.execute(
                "INSERT INTO name VALUES (?, ?, ?, ?)", (target, scope, _text(name), folded)
            )
            self._note(target, scope, name, folded=folded)
        return fold(name, folded=folded)

    def deployment(self, target: str, key: UUID) -> DeploymentName | None:
        """Return a deployment's name, also where it is deleted by now."""
        return self._deployments.get((target, key))

    def remember(self, target: str, rows: Iterable[DeploymentName]) -> None:
        """Keep the names of deployments that Prefect has just shown."""
        for row in rows:
            self._deployments[target, row.id] = row
            self._con.execute(
                "INSERT INTO deployment (target, id, flow, name) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET flow = excluded.flow, name = excluded.name,"
                " gone_us = NULL",
                (target, row.id.bytes, row.flow, row.name),
            )

    def mark_gone(self, target: str, listed: Collection[UUID], now_us: int) -> None:
        """Note since when the deployments that a whole listing did not show are gone.

        A list that changes while its pages are read can miss one, so the next may bring it back.
        """
        self._con.executemany(
            "UPDATE deployment SET gone_us = NULL WHERE target = ? AND id = ?"
            " AND gone_us IS NOT NULL",
            [(target, key.bytes) for key in listed],
        )
        gone = [key for at, key in self._deployments if at == target and key not in listed]
        self._con.executemany(
            "UPDATE deployment SET gone_us = ? WHERE target = ? AND id = ? AND gone_us IS NULL",
            [(now_us, target, key.bytes) for key in gone],
        )

    def gone_before(self, target: str, at_us: int) -> Sequence[DeploymentName]:
        """Return the deployments that were gone at *at_us*."""
        rows = self._con.execute(
            "SELECT id FROM deployment WHERE target = ? AND gone_us < ?", (target, at_us)
        )
        return [self._deployments[target, UUID(bytes=key)] for (key,) in rows]

    def drop(self, target: str, row: DeploymentName) -> bool:
        """Forget a deployment; say whether its name is free, since no other one has it."""
        del self._deployments[target, row.id]
        self._con.execute(
            "DELETE FROM deployment WHERE target = ? AND id = ?", (target, row.id.bytes)
        )
        return not any(
            at == target and (other.flow, other.name) == (row.flow, row.name)
            for (at, _), other in self._deployments.items()
        )

    def release(self, target: str, scope: str, name: Labels) -> None:
        """Free the place of a name that has series of its own; a folded one stays folded."""
        if self._known.get((target, scope), {}).get(name) is False:
            self._forget(target, scope, name)

    def spare(self, target: str, scope: str, listed: Collection[Labels]) -> Sequence[Labels]:
        """Return the names to let go where there are none but *listed*.

        Folded ones are among them where there is room: they may be given places of their own.
        """
        known = self._known.get((target, scope), {})
        own = sum(name in listed for name, folded in known.items() if not folded)
        room = own < self._limits[scope]
        return [name for name, folded in known.items() if name not in listed or (folded and room)]

    def let_go(self, target: str, scope: str, names: Iterable[Labels]) -> None:
        """Forget names; only in scopes that no counter uses: its series would move."""
        for name in names:
            self._forget(target, scope, name)

    def _forget(self, target: str, scope: str, name: Labels) -> None:
        if not self._known[target, scope].pop(name):
            self._own[target, scope] -= 1
        self._con.execute(
            "DELETE FROM name WHERE target = ? AND scope = ? AND name = ?",
            (target, scope, _text(name)),
        )


def fold(name: Labels, *, folded: bool) -> Labels:
    """Return the label values of a name: ``other`` in every place where it is folded."""
    return (OTHER,) * len(name) if folded else name


def _text(name: Labels) -> str:
    return msgspec.json.encode(name).decode()


def _names(text: str) -> Labels:
    return msgspec.json.decode(text, type=tuple[str, ...])
