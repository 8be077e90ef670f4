"""Files that exist whole or not at all, and the one link by which a chunk is committed.

A part's name is made of its chunk's ids, and a link does not overwrite: however many workers
write the same chunk, one of them commits it.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import polars as pl

from etl.errors import DestinationFull
from etl.lake import Lake
from etl.model import Validated, Written
from etl.rules import LOADED, REJECTED

_FACTS = "etl"
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_ABANDONED_SECONDS = 86_400.0


@contextmanager
def scratch(lake: Lake) -> Iterator[Path]:
    """Give a new folder on the destination, gone in the end; nobody looks into it meanwhile.

    Raises:
        DestinationFull: What was done within found no space.
    """
    folder = lake.tmp / f"{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(8)}"
    try:
        with _seeing_no_space(lake):
            folder.mkdir(parents=True)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(file: Path, final: Path) -> bool:
    """Let *file* appear as *final*, whole and lasting; return False where that is there already."""
    final.parent.mkdir(parents=True, exist_ok=True)
    sync(file)
    try:
        os.link(file, final)
    except FileExistsError:
        return False
    sync(final.parent)
    return True


def publish_folder(folder: Path, final: Path) -> bool:
    """Do the same with a folder of files; it moves away, unless *final* is there already."""
    final.parent.mkdir(parents=True, exist_ok=True)
    for file in folder.iterdir():
        sync(file)
    sync(folder)
    try:
        folder.rename(final)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        return False
    sync(final.parent)
    return True


def sync(path: Path) -> None:
    """Return once the file or folder would survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def commit(lake: Lake, validated: Validated) -> Written:
    """Commit a chunk: its rejected rows first, then its good rows, whose file is the commit.

    Returns:
        What is committed; ``new`` is False where that was done before, by whomever.

    Raises:
        DestinationFull: There is no space; nothing is committed.
    """
    own = secrets.token_hex(8)
    try:
        if committed(lake, validated.name) is None:
            _write(lake, validated, own)
    except (OSError, DestinationFull, pl.exceptions.PolarsError):
        # Another worker that commits the chunk removes what this one was reading.
        if committed(lake, validated.name) is None:
            raise
    discard(validated.folder)
    found, whose = _facts(lake.part(validated.name))
    return replace(found, new=whose == own)


def committed(lake: Lake, name: str) -> Written | None:
    """Return what is committed of the chunk of that name, or None."""
    try:
        return _facts(lake.part(name))[0]
    except FileNotFoundError:
        return None


def token(lake: Lake, name: str) -> str:
    """Return by which token the rejected rows of a committed chunk are known."""
    return _facts(lake.part(name))[1]


def commit_replayed(lake: Lake, validated: Validated) -> Written:
    """Commit those good rows of a replay that are rejected ones, and were not replayed before.

    Whoever writes file n has seen all before it, as only one can be the n-th: nothing is doubled,
    also where two replays work at the same time.
    """
    good = pl.scan_parquet(validated.folder / "accepted-*.parquet").select(LOADED)
    with scratch(lake) as folder:
        while True:
            before = sorted(lake.replayed.glob("*.parquet"))
            last = max((int(each.stem) for each in before if each.stem.isdecimal()), default=0)
            file = folder / f"{last + 1:06}.parquet"
            _wanted(lake, good, before).sink_parquet(file, compression="zstd")
            rows, size = _rows(file), file.stat().st_size
            final = lake.replayed / file.name
            if not rows or publish(file, final):
                break
    discard(validated.folder)
    return Written(final, rows, validated.rejected, 0, size, new=rows > 0)


def discard(folder: Path) -> None:
    """Remove what a chunk left in the spool, whatever of it there is."""
    name = folder.name.partition(".")[0]
    for each in folder.parent.glob(f"{name}.*"):
        shutil.rmtree(each, ignore_errors=True)


def sweep(lake: Lake, *, now: float | None = None) -> int:
    """Remove what killed processes were writing; return how many folders that were.

    Only what nobody can be writing: its process is gone from this machine, or nothing has
    changed in it for a day. Who is robbed of a file all the same fails; the next run does it again.
    """
    before = (time.time() if now is None else now) - _ABANDONED_SECONDS
    left = [*lake.tmp.glob("*"), *lake.spool.glob("replay-*")]
    abandoned = [folder for folder in left if _ownerless(folder) or _untouched(folder, before)]
    for folder in abandoned:
        shutil.rmtree(folder, ignore_errors=True)
    return len(abandoned)


def _write(lake: Lake, validated: Validated, own: str) -> None:
    """Write both files; the rejected rows stay only where the part is the one written here."""
    unsettled = lake.unsettled(validated.name, own)
    counts = validated.accepted, validated.rejected, validated.lost
    try:
        with scratch(lake) as folder:
            if validated.rejected:
                rejected = folder / "rejected.parquet"
                _sink(validated.folder / "rejected-*.parquet", REJECTED, rejected)
                publish(rejected, unsettled)
            part = folder / "part.parquet"
            facts = {_FACTS: json.dumps([own, *counts])}
            _sink(validated.folder / "accepted-*.parquet", LOADED, part, facts)
            publish(part, lake.part(validated.name))
    finally:
        # What a link or a sync said is not asked: over a network it may have been done and failed.
        if not _is_ours(lake, validated.name, own):
            unsettled.unlink(missing_ok=True)


def _sink(
    pages: Path, columns: list[str], file: Path, metadata: dict[str, str] | None = None
) -> None:
    rows = pl.scan_parquet(pages).select(columns)
    rows.sink_parquet(file, compression="zstd", metadata=metadata)


def _is_ours(lake: Lake, name: str, own: str) -> bool:
    try:
        return token(lake, name) == own
    except FileNotFoundError:
        return False


def _wanted(lake: Lake, good: pl.LazyFrame, before: list[Path]) -> pl.LazyFrame:
    """Return those rows that are rejected ones and not yet replayed.

    A letter may be there before its file has its name; such a row waits for another replay.
    """
    rejected = _ids(sorted(lake.rejected.glob("part-*.parquet")))
    wanted = good.unique("row_id", keep="first", maintain_order=True)
    wanted = wanted.join(rejected, on="row_id", how="semi")
    return wanted.join(_ids(before), on="row_id", how="anti")


def _ids(files: list[Path]) -> pl.LazyFrame:
    none = pl.LazyFrame(schema={"row_id": pl.String()})
    return pl.scan_parquet(files).select("row_id") if files else none


def _facts(part: Path) -> tuple[Written, str]:
    size = part.stat().st_size
    own, accepted, rejected, lost = json.loads(pl.read_parquet_metadata(part)[_FACTS])
    return Written(part, accepted, rejected, lost, size, new=False), own


def _rows(file: Path) -> int:
    return int(pl.scan_parquet(file).select(pl.len()).collect().item())


def _ownerless(folder: Path) -> bool:
    host, _, pid = folder.name.rpartition(".")[0].rpartition(".")
    return host == socket.gethostname() and not _alive(pid)


def _untouched(folder: Path, since: float) -> bool:
    try:
        return folder.stat().st_mtime < since
    except FileNotFoundError:
        return False


def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return True
    except (ValueError, OSError, OverflowError):
        return False
    return True


@contextmanager
def _seeing_no_space(lake: Lake) -> Iterator[None]:
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        # Polars passes the system's words on, and no number.
        full = f"(os error {errno.ENOSPC})" in str(error) or f"(os error {errno.EDQUOT})" in str(
            error
        )
        if full or (isinstance(error, OSError) and error.errno in _NO_SPACE):
            raise DestinationFull(lake.folder, _free(lake.destination)) from error
        raise


def _free(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0
