"""The stack's own volumes: what people made in Grafana, and Alertmanager's silences.

The rest stays out. Prometheus', Loki's and Jaeger's data are telemetry with a retention of their
own. The exporter's ledger would count ends twice, or miss them, had it been brought back; a new one
starts exact.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from backup.errors import NoSpace, SourceUnavailable, Unverified
from backup.model import Kind, Snapshot
from backup.sqlite_alone import alone, check_logs, let_go_of_logs

if TYPE_CHECKING:
    from backup.repository import Repository

GRAFANA = Path("grafana/grafana.db")
SILENCES = Path("alertmanager/silences")
NOTIFICATIONS = Path("alertmanager/nflog")

_SIDES = ("-wal", "-shm", "-journal")
_BUSY_SECONDS = 60
_PAGES = 1024


class VolumesSource:
    """Backs up the stack's volumes.

    Args:
        volumes: One folder for each, such as ``grafana``; they may be read-only.
        scratch: A folder to work in.
        tags: Of the snapshot, beside the volumes' names.
    """

    kind: ClassVar[Kind] = Kind.VOLUMES

    def __init__(
        self, volumes: Path, scratch: Path, *, tags: Mapping[str, str] | None = None
    ) -> None:
        self._volumes = volumes
        self._tags = tags or {}
        # Always the same folder: its path is how restic knows the snapshot before.
        self._folder = scratch / "volumes"

    def save(self, repository: Repository) -> Snapshot:
        """Copy what is worth it and keep the copies.

        Raises:
            SourceUnavailable: A volume cannot be read, or there is nothing in any.
            NoSpace: There is no room for the copies.
            ProgramFailed: The repository takes nothing.
        """
        try:
            shutil.rmtree(self._folder, ignore_errors=True)
            names = copy_volumes(self._volumes, self._folder)
            tags = {"volumes": ".".join(sorted({name.parts[0] for name in names}))}
            return repository.save_folder(self._folder, kind=self.kind, tags={**tags, **self._tags})
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)


def hold_something(volumes: Path) -> bool:
    """Return whether there is anything in the volumes that could be lost."""
    files = [volumes / name for name in _COPIES]
    return any(file.exists() and file.stat().st_size > 0 for file in files)


def copy_volumes(volumes: Path, into: Path) -> list[Path]:
    """Copy what is worth a backup, while all programs work on, and return what there was.

    Args:
        volumes: One folder for each.
        into: A new folder of the same shape.

    Raises:
        SourceUnavailable: A file cannot be read, or there is none.
        NoSpace: There is no room for the copies.
    """
    into.mkdir(mode=0o700, parents=True)
    there = [name for name in _COPIES if (volumes / name).exists()]
    for name in there:
        (into / name).parent.mkdir(mode=0o700, exist_ok=True)
        try:
            _COPIES[name](volumes / name, into / name)
        except (OSError, sqlite3.Error) as error:
            raise _explained(volumes / name, into, error) from None
    if not there:
        wanted = ", ".join(str(name) for name in _COPIES)
        raise SourceUnavailable(f"{volumes} holds nothing to back up, neither of {wanted}")
    return there


def verify(folder: Path) -> str:
    """Return in a few words what *folder* holds, once all of that was read.

    Raises:
        Unverified: A file is damaged, or there is none.
    """
    found = list(_sound(folder))
    if not found:
        raise Unverified("the volumes in this snapshot are empty")
    return ", ".join(found)


def restore_volumes(folder: Path, volumes: Path) -> list[str]:
    """Put the files of *folder* in the place of those in the volumes.

    Grafana and Alertmanager must not run meanwhile: Alertmanager writes its files anew when it
    ends. A crash leaves each file as it was or as it is to be.

    Args:
        folder: As `copy_volumes` wrote it.
        volumes: One folder for each.

    Returns:
        The files, as ``volume/name``.

    Raises:
        Unverified: A file is damaged; nothing was changed.
        SourceUnavailable: A volume is not there, or takes nothing, or Grafana has its own open.
        NoSpace: There is no room.
    """
    verify(folder)
    there = [name for name in _COPIES if (folder / name).exists()]
    for name in there:
        try:
            with _settled(volumes / name) if name == GRAFANA else nullcontext():
                _replace(folder / name, volumes / name)
        except OSError as error:
            raise _explained(volumes / name, volumes, error) from None
    return [str(name) for name in there]


def _copy_database(path: Path, copy: Path) -> None:
    """Copy a database as it is at one moment, and look whether the copy is sound."""
    with closing(_opened(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        source.backup(target, pages=_PAGES)
        target.execute("PRAGMA journal_mode = DELETE")
    if complaint := _complaint(copy):
        raise SourceUnavailable(f"SQLite finds {path} damaged: {complaint}")


def _opened(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=ro"
    # In WAL mode SQLite makes files beside it even to read, which a read-only volume does not
    # take. Where there are none, nobody has the database open, and nothing is to be made.
    if _in_wal_mode(path) and not any(_beside(path)):
        uri += "&immutable=1"
    return sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)


def _in_wal_mode(path: Path) -> bool:
    """Return what the header says: https://www.sqlite.org/fileformat.html#file_format_version_numbers."""
    with path.open("rb") as file:
        return file.read(20)[18:] == b"\x02\x02"


def _beside(path: Path) -> Iterator[Path]:
    sides = (path.with_name(path.name + side) for side in _SIDES)
    return (side for side in sides if side.exists())


def _complaint(path: Path) -> str | None:
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        ) as connection:
            ((found,),) = connection.execute("PRAGMA quick_check(1)").fetchall()
            ((tables,),) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    except sqlite3.Error as error:
        return str(error)
    if found == "ok":
        return None if tables else "it has no tables"
    return str(found)[:200]


def _copy_file(path: Path, copy: Path) -> None:
    # Alertmanager writes a new file and renames it, so one that is open stays as it was.
    shutil.copyfile(path, copy)


_COPIES: Mapping[Path, Callable[[Path, Path], None]] = {
    GRAFANA: _copy_database,
    SILENCES: _copy_file,
    NOTIFICATIONS: _copy_file,
}


def _sound(folder: Path) -> Iterator[str]:
    if (folder / GRAFANA).exists():
        if complaint := _complaint(folder / GRAFANA):
            raise Unverified(f"{GRAFANA} is damaged: {complaint}")
        yield str(GRAFANA)
    for name, what in ((SILENCES, "silences"), (NOTIFICATIONS, "notifications")):
        if (folder / name).exists():
            yield f"{_messages(folder / name)} {what}"


def _messages(path: Path) -> int:
    """Count the messages of a file, each of which comes after its length as protobuf has it."""
    content, number = path.read_bytes(), 0
    place = 0
    while place < len(content):
        length, place = _varint(content, place)
        place += length
        number += 1
    if place != len(content):
        raise Unverified(f"{path.parent.name}/{path.name} is not whole")
    return number


def _varint(content: bytes, place: int) -> tuple[int, int]:
    """Return the number that begins at *place*, and where it ends; past the end if it does not."""
    number = shift = 0
    for place_of_byte, byte in enumerate(content[place : place + 10], place + 1):
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte & 0x80 == 0:
            return number, place_of_byte
    return 0, len(content) + 1


def _replace(source: Path, path: Path) -> None:
    new = path.with_name(f".{path.name}.restored")
    shutil.copyfile(source, new)
    # Each program is the owner of its volume, and the only one to read it.
    new.chmod(0o640)
    _flush(new)
    new.replace(path)
    _flush(path.parent)


@contextmanager
def _settled(path: Path) -> Iterator[None]:
    """Keep a database from all others, with all that it holds in its one file."""
    if not path.exists():
        check_logs(path)
        yield
        return
    with alone(path, "Grafana") as connection:
        let_go_of_logs(connection, path)
        yield


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _explained(path: Path, into: Path, error: OSError | sqlite3.Error) -> Exception:
    full = isinstance(error, OSError) and error.errno == errno.ENOSPC
    if full or getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return NoSpace("copy", f"no room in {into} for a copy of {path}", 1)
    said = error.strerror if isinstance(error, OSError) else error
    return SourceUnavailable(f"{path} cannot be copied: {said}")
