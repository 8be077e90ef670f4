"""What became of orders: read from all files of a client and from the dead letters of its Redis."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import redis


@dataclass(frozen=True, slots=True)
class Orders:
    """Row ids by what became of them, each list sorted and with its doubles.

    Args:
        accepted: In parts.
        rejected: In files of rejected rows of chunks that are committed.
        replayed: Of these, what came back.
        letters: Of these, what still waits.
    """

    accepted: tuple[str, ...]
    rejected: tuple[str, ...] = ()
    replayed: tuple[str, ...] = ()
    letters: tuple[str, ...] = ()


def orders(lake: Path, connection: redis.Redis, client: str) -> Orders:
    """Read everything there is of a client."""
    folder = lake / client
    parts = sorted(folder.glob("part-*.parquet"))
    return Orders(
        _ids(parts),
        _ids([each for part in parts for each in _rejected(part)]),
        _ids(sorted((folder / "replayed").glob("*.parquet"))),
        tuple(sorted(map(_text, connection.hkeys(f"orders:{client}:dead")))),
    )


def reasons(lake: Path, client: str) -> dict[str, str]:
    """Return why each row was rejected, from the files."""
    files = sorted((lake / client / "rejected").glob("part-*.parquet"))
    return {
        row["row_id"]: row["reason"] for file in files for row in pl.read_parquet(file).to_dicts()
    }


def expected(good: Iterable[str], bad: Iterable[str] = (), back: Iterable[str] = ()) -> Orders:
    """Return what it has to be: each row in one place, once.

    Args:
        good: Ids of rows that are as they should be.
        bad: Ids of rows that are not.
        back: Of these, what was corrected and replayed.
    """
    rejected, replayed = sorted(bad), sorted(back)
    letters = sorted(set(rejected) - set(replayed))
    return Orders(tuple(sorted(good)), tuple(rejected), tuple(replayed), tuple(letters))


def leftovers(lake: Path, client: str) -> list[str]:
    """Return what a batch that has ended well must not leave behind: files on their way."""
    folder = lake / client
    files = [each for name in ("_tmp", "_spool") for each in (folder / name).rglob("*")]
    return sorted(str(each.relative_to(lake)) for each in files if each.is_file())


def _rejected(part: Path) -> list[Path]:
    """Return the file of a committed chunk's rejected rows; its letters may not be written yet."""
    folder, metadata = part.parent / "rejected", pl.read_parquet_metadata(part)
    unsettled = folder / f".{part.stem}.{json.loads(metadata['etl'])[0]}"
    return [each for each in (folder / part.name, unsettled) if each.exists()]


def _text(key: bytes | str) -> str:
    return key.decode() if isinstance(key, bytes) else key


def _ids(files: Sequence[Path]) -> tuple[str, ...]:
    return tuple(sorted(row for file in files for row in pl.read_parquet(file)["row_id"]))
