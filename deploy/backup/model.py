"""The values that go between the layers: kinds, manifests, snapshots, outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Self


class Kind(StrEnum):
    """What is backed up: the label ``kind`` of metrics, and a tag of snapshots."""

    DATABASE = "database"
    OBJECTS = "objects"
    VOLUMES = "volumes"
    ENCRYPTION_KEY = "encryption_key"


class Job(StrEnum):
    """What is done with a kind."""

    BACKUP = "backup"
    CHECK = "check"
    DRILL = "drill"
    RESTORE = "restore"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a dump holds, read in the very transaction that it was made in.

    Args:
        engine: ``postgresql`` or ``sqlite``.
        revision: Of the schema: Alembic's.
        rows: How many each table has, by its name.
    """

    engine: str
    revision: str
    rows: Mapping[str, int]

    def tags(self) -> Mapping[str, str]:
        """Return it as tags of a snapshot, which are written with the snapshot or not at all."""
        rows = {f"rows.{table}": str(number) for table, number in self.rows.items()}
        return {"engine": self.engine, "revision": self.revision} | rows

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> Self:
        """Return what `tags` made tags of.

        Raises:
            KeyError: These are no such tags.
            ValueError: As above.
        """
        rows = {
            key.removeprefix("rows."): int(text)
            for key, text in tags.items()
            if key.startswith("rows.")
        }
        return cls(engine=tags["engine"], revision=tags["revision"], rows=rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One backup in a repository.

    Args:
        id: Restic's, whole.
        time: When it began, with its time zone.
        size_bytes: Of what was read, before compression.
        path: What it holds, as restic names it: a file below ``/`` or a folder.
        tags: ``key=value`` each; ``safety=yes`` on what a restore put aside first.
    """

    id: str
    time: datetime
    kind: Kind
    size_bytes: int
    path: str
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def safety(self) -> bool:
        """Whether a restore took it of what it was about to replace."""
        return self.tags.get("safety") == "yes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one job ended.

    Args:
        began: With its time zone, as is *ended*.
        error: The reason, as in ``errors``; None where it succeeded.
        message: One line for people.
        size_bytes: Of the snapshot that was made or restored; None where there is none.
        snapshot: Its id.
        snapshots: How many the repository holds of this kind; None where it was not asked.
    """

    kind: Kind
    job: Job
    began: datetime
    ended: datetime
    error: str | None = None
    message: str = ""
    size_bytes: int | None = None
    snapshot: str | None = None
    snapshots: int | None = None

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.ended - self.began).total_seconds()
