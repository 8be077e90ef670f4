"""Brings objects back: makes what is missing, and changes nothing that is there."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from backup.objects.api import Api, Refused, Row, shown
from backup.objects.export import kept_rows, verify
from backup.objects.kinds import NOT_THERE, RESOURCES
from backup.objects.resource import Resource, Rows

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Outcome(StrEnum):
    """What became of one object."""

    CREATED = "created"
    THERE = "already there"
    DIFFERS = "differs, kept"
    BY_HAND = "needs a hand"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Step:
    """What became of one object, as one line for people.

    Args:
        resource: Its kind.
        name: Its own, harmless and short.
        note: Why, or what is to be done.
    """

    outcome: Outcome
    resource: str
    name: str
    note: str = ""

    def __str__(self) -> str:
        """Return the line."""
        line = f"{self.outcome}: {self.resource} {self.name}"
        return f"{line}: {self.note}" if self.note else line


@dataclass(frozen=True, slots=True)
class Restored:
    """How many objects came to what."""

    counts: Mapping[Outcome, int]

    @property
    def refused(self) -> int:
        """How many the server did not take."""
        return self.counts.get(Outcome.REFUSED, 0)

    def __str__(self) -> str:
        """Return it in one line."""
        return ", ".join(f"{self.counts.get(each, 0)} {each}" for each in Outcome)


def restore_objects(folder: Path, api: Api, *, say: Callable[[Step], None]) -> Restored:
    """Make those objects of *folder* that the server does not have; as often as you like.

    Args:
        folder: As `export_objects` wrote it.
        api: Of the server that gets them.
        say: Is told what became of each.

    Raises:
        Unverified: The folder is not whole; nothing was changed.
        SourceUnavailable: The server gave no good answer; what was made by then stays.
    """
    verify(folder)
    work = _Restore(api, say)
    for resource in RESOURCES:
        work.bring_back(resource, list(kept_rows(folder, resource)))
    return Restored(work.counts)


class _Restore:
    def __init__(self, api: Api, say: Callable[[Step], None]) -> None:
        self.counts: Counter[Outcome] = Counter()
        self._api = api
        self._say = say
        self._live: dict[str, list[Row]] = {}
        self._made: dict[str, set[str]] = {}
        # What an object was called where it was kept, and what it is called here.
        self._ids: dict[str, str] = {}

    def bring_back(self, resource: Resource, kept: Rows) -> None:
        self._made[resource.name] = set()
        try:
            self._live[resource.name] = list(resource.rows(self._api, self._live))
        except Refused as refused:
            if not resource.optional or refused.status not in NOT_THERE:
                raise
            self._live[resource.name] = []
            for row in kept:
                self._tell(Outcome.REFUSED, resource, row, [str(refused)])
            return
        for row in resource.ordered(kept):
            self._one(resource, row)

    def _one(self, resource: Resource, row: Row) -> None:
        here = self._as_here(row)
        live = self._twin(resource, here)
        if live is None:
            live = self._create(resource, here)
        else:
            self._compare(resource, here, live)
        if live is not None:
            self._ids[row["id"]] = live["id"]
            self._by_hand(resource, here, live)

    def _as_here(self, row: Row) -> Row:
        """Return a row that calls others what they are called here."""
        text = _ID.sub(lambda found: self._ids.get(found[0], found[0]), json.dumps(row))
        here: Row = json.loads(text)
        return here | {"id": row["id"]}

    def _twin(self, resource: Resource, here: Row) -> Row | None:
        key = resource.key_of(here)
        named = [row for row in self._live[resource.name] if resource.key_of(row) == key]
        if resource.named_uniquely:
            return next(iter(named), None)
        return next((row for row in named if not _differing(resource, here, row)), None)

    def _compare(self, resource: Resource, here: Row, live: Row) -> None:
        differing = _differing(resource, here, live)
        if differing and self._came_with_ours(resource, here):
            self._try(resource, here, lambda: resource.change(self._api, resource.body(here)))
        elif differing:
            self._tell(Outcome.DIFFERS, resource, here, differing)
        else:
            self._tell(Outcome.THERE, resource, here)

    def _came_with_ours(self, resource: Resource, here: Row) -> bool:
        if resource.part_of is None:
            return False
        other, field = resource.part_of
        return here[field] in self._made[other]

    def _create(self, resource: Resource, here: Row) -> Row | None:
        made: list[Row] = []
        body = resource.body(here)
        self._try(resource, here, lambda: made.append(resource.create(self._api, body)))
        if not made:
            return None
        live = here | resource.told(made[0], self._live)
        self._live[resource.name].append(live)
        self._made[resource.name].add(resource.key_of(here)[-1])
        return live

    def _try(self, resource: Resource, here: Row, work: Callable[[], object]) -> None:
        try:
            work()
        except Refused as refused:
            self._tell(Outcome.REFUSED, resource, here, [str(refused)])
        else:
            self._tell(Outcome.CREATED, resource, here)

    def _by_hand(self, resource: Resource, here: Row, live: Row) -> None:
        notes = list(resource.by_hand(here, live))
        if resource.names_others:
            notes += self._unknown(here)
        for note in notes:
            self._tell(Outcome.BY_HAND, resource, here, [note])

    def _unknown(self, here: Row) -> Iterable[str]:
        text = json.dumps({name: value for name, value in here.items() if name != "id"})
        for found in sorted(set(_ID.findall(text)) - set(self._ids.values())):
            yield f"it names {found}, which this backup does not hold"

    def _tell(
        self, outcome: Outcome, resource: Resource, row: Row, notes: Iterable[str] = ()
    ) -> None:
        self.counts[outcome] += 1
        name = shown("/".join(resource.key_of(row)), 100)
        self._say(Step(outcome, resource.name, name, ", ".join(notes)))


def _differing(resource: Resource, here: Row, live: Row) -> list[str]:
    kept, there = resource.body(here), resource.body(live)
    return sorted(name for name, value in kept.items() if value != there.get(name))
