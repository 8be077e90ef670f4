"""Rejected rows as letters in Redis, until somebody corrects them; none is lost, none sent twice.

The hash `orders:{client}:dead` has a letter for each row id. It is filled from the files of
rejected rows, which stay: a row is there once however often its letter is written.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
from redis import Redis

from etl.lake import Lake
from etl.model import Extracted, Letter, Reason, RowId, checked_client
from etl.source import MAX_ROW_BYTES, Row, asking
from etl.spool import Facts, publish_pages, write_rows
from etl.writing import committed, discard, sweep, sync, token

_AT_A_TIME = 200
_ID = {"row_id": pl.String()}


def key(client: str) -> str:
    """Return the key of the client's dead letters."""
    return f"orders:{checked_client(client)}:dead"


def count(redis: Redis, client: str) -> int:
    """Return how many letters wait."""
    with asking(f"HLEN {key(client)}"):
        return int(redis.hlen(key(client)))


def settle(redis: Redis, lake: Lake, name: str) -> int:
    """Write the letters of a committed chunk and clear up behind it; return how many letters.

    The file of rejected rows is given its final name after that: where it has it, all is done.

    Raises:
        SourceUnavailable: Redis did not answer; the next `settle_all` will do it.
    """
    written = committed(lake, name)
    if written is None:
        return 0
    final = lake.rejected_part(name)
    letters = 0
    if written.rejected and not final.exists():
        letters = _deliver(redis, lake.unsettled(name, token(lake, name)), final, lake.client)
    for other in lake.rejected.glob(f".part-{name}.*"):
        other.unlink(missing_ok=True)
    discard(lake.spool / f"{name}.valid")
    return letters


def settle_all(redis: Redis, lake: Lake) -> int:
    """Settle what killed workers left behind, and remove their leftovers; return the letters.

    Where Redis has fewer letters than there are rejected rows to replay, it has lost some, and is
    given them again: a letter only ends by a replay.

    Raises:
        SourceUnavailable: Redis did not answer.
    """
    sweep(lake)
    left = {file.name.removeprefix(".part-") for file in lake.rejected.glob(".part-*")}
    left |= {folder.name for folder in lake.spool.glob("*.*")}
    names = sorted({name.partition(".")[0] for name in left})
    return sum(settle(redis, lake, name) for name in names) + _restore(redis, lake)


def letters(redis: Redis, client: str) -> Iterator[tuple[Letter, ...]]:
    """Yield what waits, some at a time; a letter that changes meanwhile may come twice.

    Raises:
        SourceUnavailable: Redis did not answer.
    """
    found = redis.hscan_iter(key(client), count=_AT_A_TIME)
    while True:
        with asking(f"HSCAN {key(client)}"):
            told = list(islice(found, _AT_A_TIME))
        if not told:
            return
        read = (_letter(row_id, letter) for row_id, letter in told)
        yield tuple(letter for letter in read if letter is not None)


def spool(
    lake: Lake, waiting: Sequence[Letter], corrections: Mapping[str, Mapping[str, Any]]
) -> Extracted:
    """Put letters in the spool as rows, ready to be validated again.

    Args:
        lake: Where.
        waiting: Which.
        corrections: Fields to set, by row id; of what is no JSON object they are the whole order.

    Raises:
        DestinationFull: There is no space.
    """
    rows = [_corrected(letter, corrections.get(str(letter.row_id))) for letter in waiting]
    size = sum(row.size for row in rows)
    name = f"replay-{secrets.token_hex(8)}"

    def fill(folder: Path) -> tuple[str, Facts]:
        write_rows(folder, [rows])
        return f"{name}.{len(rows)}", {"rows": len(rows), "bytes": size}

    return Extracted(name, publish_pages(lake, fill), len(rows), size)


def finish(redis: Redis, lake: Lake, waiting: Sequence[Letter]) -> int:
    """Remove the letters whose rows were replayed, now or before; return how many.

    Raises:
        SourceUnavailable: Redis did not answer; their rows will not be replayed again all the same.
    """
    ids = pl.DataFrame({"row_id": [str(letter.row_id) for letter in waiting]}, schema=_ID)
    replayed = _ids(sorted(lake.replayed.glob("*.parquet")))
    done = ids.join(replayed, on="row_id", how="semi")["row_id"].to_list()
    with asking(f"HDEL {key(lake.client)}"):
        return int(redis.hdel(key(lake.client), *done)) if done else 0


def _deliver(redis: Redis, file: Path, final: Path, client: str) -> int:
    rows = 0
    try:
        with file.open("rb") as content:
            rows = _send(redis, client, pl.read_parquet(content))
        file.rename(final)
    except FileNotFoundError:
        # Another worker was faster with the same; or else rows are gone that must not be.
        if not final.exists():
            raise
    sync(final.parent)
    return rows


def _restore(redis: Redis, lake: Lake) -> int:
    """Write the letters again that Redis has lost, if it has."""
    letters = count(redis, lake.client)
    back = sorted(lake.replayed.glob("*.parquet"))
    files = sorted(lake.rejected.glob("part-*.parquet"))
    if letters >= _rows(files) - _rows(back):
        return 0
    replayed = _ids(back)
    waiting = (pl.read_parquet(file).join(replayed, on="row_id", how="anti") for file in files)
    return sum(_send(redis, lake.client, rows) for rows in waiting)


def _rows(files: list[Path]) -> int:
    """Count rows by what files say of themselves: none is read."""
    return int(pl.scan_parquet(files).select(pl.len()).collect().item()) if files else 0


def _ids(files: list[Path]) -> pl.DataFrame:
    none = pl.DataFrame(schema=_ID)
    return pl.scan_parquet(files).select("row_id").collect() if files else none


def _send(redis: Redis, client: str, rejected: pl.DataFrame) -> int:
    """Write a letter for each row, few at a time; return how many."""
    for page in rejected.iter_slices(_AT_A_TIME):
        rows = page.iter_rows(named=True)
        items = [text for row in rows for text in (row["row_id"], _written(row))]
        with asking(f"HSET {key(client)}"):
            redis.hset(key(client), items=items)
    return rejected.height


def _written(row: Mapping[str, Any]) -> str:
    order = row["raw"].decode(errors="backslashreplace")
    told = {"order": order, "reason": row["reason"], "field": row["field"]}
    return json.dumps(told | {"seen": row["seen"].isoformat()})


def _letter(row_id: bytes | str, told: bytes | str) -> Letter | None:
    """Read what is in the hash; None for what no batch of ours has put there."""
    try:
        found = json.loads(told)
        return Letter(
            RowId.parse(row_id if isinstance(row_id, str) else row_id.decode()),
            order=str(found["order"]),
            reason=Reason(found["reason"]),
            field=str(found["field"]),
            seen=str(found["seen"]),
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _corrected(letter: Letter, correction: Mapping[str, Any] | None) -> Row:
    raw = letter.order.encode(errors="surrogatepass")
    if correction is not None:
        raw = json.dumps(_fields(letter.order) | dict(correction)).encode()
    return Row(letter.row_id, len(raw), raw[:MAX_ROW_BYTES])


def _fields(order: str) -> dict[str, Any]:
    try:
        found = json.loads(order)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
