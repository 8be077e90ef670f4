"""All objects as a folder of JSON: one file each, so that two snapshots differ where a person did.

    manifest.json                                what was read, when, where, and what was not
    deployments/etl-nightly-5c0b6e0f0c2a.json    a name to find it by, and a hash of the whole name

Two equal states give files that are equal byte for byte, but for the manifest's time.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from backup.errors import SourceUnavailable, Unverified
from backup.model import Kind, Snapshot
from backup.objects.api import Api, Refused, Row
from backup.objects.kinds import NOT_THERE, RESOURCES
from backup.objects.resource import Resource, Rows
from backup.targets import Target

if TYPE_CHECKING:
    from backup.repository import Repository

MANIFEST = "manifest.json"
_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """All objects of a server.

    Args:
        rows: Of each kind that there is.
        skipped: The kinds that there are not, each with the reason.
        version: Prefect's; None where it does not say.
    """

    rows: Mapping[str, Rows]
    skipped: Mapping[str, str]
    version: str | None

    @property
    def counts(self) -> Mapping[str, int]:
        """How many there are of each kind."""
        return {name: len(rows) for name, rows in self.rows.items()}


class ObjectsSource:
    """Backs up what lives behind one API.

    Args:
        target: The API.
        scratch: A folder to work in.
    """

    kind: ClassVar[Kind] = Kind.OBJECTS

    def __init__(self, target: Target, scratch: Path) -> None:
        self._target = target
        # Always the same folder: its path is how restic knows the snapshot before.
        self._folder = scratch / "objects" / _file_name((target.name,))

    def save(self, repository: Repository) -> Snapshot:
        """Read all objects and keep them.

        Raises:
            BackupError: The API gave no good answer, or the repository takes nothing.
        """
        try:
            with Api(self._target) as api:
                found = export_objects(api, self._folder, target=self._target.name)
            series = repository.of_target(self._target.name)
            return series.save_folder(self._folder, kind=self.kind, tags=_tags(found))
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)


def export_objects(api: Api, folder: Path, *, target: str) -> Objects:
    """Write all objects of *api* into *folder*, which becomes a new one.

    Raises:
        SourceUnavailable: The API gave no good answer, or the folder cannot be written.
    """
    found = read_objects(api)
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, parents=True)
        for resource in RESOURCES:
            _write(folder / resource.name, resource, found.rows.get(resource.name, ()))
        about = {
            "target": target,
            "host": api.host,
            "prefect_version": found.version,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "counts": found.counts,
            "skipped": found.skipped,
        }
        (folder / MANIFEST).write_bytes(_text(about))
    except OSError as error:
        raise SourceUnavailable(f"{folder} cannot be written: {error.strerror}") from None
    return found


def read_objects(api: Api) -> Objects:
    """Return all objects that are worth a backup.

    Raises:
        SourceUnavailable: The API gave no good answer.
    """
    rows: dict[str, Rows] = {}
    skipped: dict[str, str] = {}
    for resource in RESOURCES:
        try:
            rows[resource.name] = resource.rows(api, rows)
        except Refused as refused:
            if not resource.optional or refused.status not in NOT_THERE:
                raise
            skipped[resource.name] = str(refused)
    return Objects(rows=_chosen(rows), skipped=skipped, version=_version(api))


def verify(folder: Path) -> str:
    """Return in a few words what *folder* holds, once all of that was read.

    Raises:
        Unverified: A file is missing, or is none of these.
    """
    try:
        counts = json.loads((folder / MANIFEST).read_bytes())["counts"]
        total = 0
        for resource in RESOURCES:
            held = sum(1 for _ in kept_rows(folder, resource))
            if held != counts.get(resource.name, 0):
                told = f"{held} {resource.name} are there, {counts.get(resource.name, 0)} were kept"
                raise Unverified(f"the objects in this snapshot are not whole: {told}")
            total += held
    except (OSError, LookupError, TypeError, ValueError, AttributeError) as error:
        told = f"the objects in this snapshot cannot be read: {type(error).__name__}"
        raise Unverified(told) from None
    return f"{total} objects"


def kept_rows(folder: Path, resource: Resource) -> Iterator[Row]:
    """Yield what a folder holds of one kind.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is not JSON, or holds no such object.
    """
    for file in sorted((folder / resource.name).glob("*.json")):
        row = json.loads(file.read_bytes())
        if not isinstance(row, dict) or not {"id", *resource.key} <= row.keys():
            raise ValueError(file.name)
        yield row


def _chosen(rows: Mapping[str, Rows]) -> Mapping[str, Rows]:
    chosen: dict[str, Rows] = {}
    for resource in reversed(RESOURCES):
        later = {each.name: () for each in RESOURCES} | chosen
        try:
            chosen[resource.name] = resource.chosen(rows.get(resource.name, ()), later)
        except (LookupError, TypeError, AttributeError):
            told = f"the API gives {resource.name} that do not fit together"
            raise SourceUnavailable(told) from None
    return {name: chosen[name] for name in rows}


def _version(api: Api) -> str | None:
    try:
        version = api.get("admin/version")
    except Refused:
        return None
    known = isinstance(version, str) and re.fullmatch(r"[0-9A-Za-z.+_-]{1,64}", version)
    return version if known else None


def _tags(found: Objects) -> Mapping[str, str]:
    tags = {f"rows.{name}": str(number) for name, number in found.counts.items()}
    if found.skipped:
        tags["skipped"] = ".".join(found.skipped)
    return tags | ({"prefect": found.version} if found.version else {})


def _write(folder: Path, resource: Resource, rows: Rows) -> None:
    folder.mkdir(mode=0o700)
    taken: dict[str, int] = {}
    for name, text in sorted((_file_name(resource.key_of(row)), _text(row)) for row in rows):
        number = taken[name] = taken.get(name, 0) + 1
        several = "" if number == 1 else f"-{number}"
        (folder / f"{name}{several}.json").write_bytes(text)


def _file_name(key: tuple[str, ...]) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", "-".join(key).lower())[:_LONGEST_NAME].strip("-")
    whole = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:12]
    return f"{words}-{whole}" if words else whole


def _text(value: object) -> bytes:
    """Return JSON for people, of ASCII alone: what others wrote goes to terminals too.

    Raises:
        SourceUnavailable: It cannot be written as JSON.
    """
    try:
        return json.dumps(value, indent=2, sort_keys=True, allow_nan=False).encode() + b"\n"
    except (ValueError, RecursionError):
        raise SourceUnavailable("Prefect's API gave numbers or a depth that JSON has not") from None
