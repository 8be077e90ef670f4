"""What is backed up here: one series of snapshots for each kind of each target."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from backup.encryption_key import EncryptionKeySource
from backup.model import Kind, Snapshot
from backup.objects import ObjectsSource
from backup.postgres import PostgresSource
from backup.repository import Repository
from backup.settings import Settings
from backup.sqlite import SqliteSource
from backup.volumes import VolumesSource


class Source(Protocol):
    """Something that can be kept."""

    @property
    def kind(self) -> Kind:
        """What it is."""
        ...

    def save(self, repository: Repository) -> Snapshot:
        """Make a snapshot of it; raises ``BackupError``."""
        ...


@dataclass(frozen=True, slots=True)
class Series:
    """The snapshots of one kind of one target, and where the next one comes from."""

    target: str
    source: Source

    @property
    def kind(self) -> Kind:
        """What they are of."""
        return self.source.kind


def sources_of(settings: Settings) -> list[Series]:
    """Return what the settings name, the database first: most is lost with it."""
    return [*_database(settings), *_objects(settings), *_volumes(settings), *_key(settings)]


def _database(settings: Settings) -> Iterator[Series]:
    database = settings.database
    if database is None:
        return
    make = SqliteSource if database.engine == "sqlite" else PostgresSource
    yield Series(settings.target, make(database, settings.scratch_dir))


def _objects(settings: Settings) -> Iterator[Series]:
    for target in settings.targets:
        yield Series(target.name, ObjectsSource(target, settings.scratch_dir))


def _volumes(settings: Settings) -> Iterator[Series]:
    if settings.volumes_dir.is_dir():
        source = VolumesSource(settings.volumes_dir, settings.scratch_dir)
        yield Series(settings.target, source)


def _key(settings: Settings) -> Iterator[Series]:
    if settings.has_encryption_key:
        yield Series(settings.target, EncryptionKeySource(settings.encryption_key_file))
