"""Rejected rows as letters, from the file to the hash and back as good rows, each once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from pydantic import SecretStr
from redis import Redis

from demo.processes import free_port
from etl import dead_letters
from etl.errors import SourceUnavailable
from etl.lake import Lake
from etl.model import Extracted, Letter, Reason, RowId, Written
from etl.source import MAX_ROW_BYTES, Row, connect
from etl.spool import publish_pages, write_rows
from etl.validation import convert, validate
from etl.writing import commit, commit_replayed, token
from order_lakes import Orders, orders
from order_rows import good, row

pytestmark = pytest.mark.real

NOW = datetime(2026, 11, 22, tzinfo=UTC)
NAME = "1-0-1-9"
RATES = {"EUR": 1.0, "USD": 0.9, "GBP": 1.2}


def _commit(lake: Lake, *raw: bytes, first: int = 1) -> None:
    """Commit orders with the ids 1-0, 1-1 and so on, and leave their letters unwritten."""
    rows = [Row(RowId(first, at), len(each), each) for at, each in enumerate(raw)]
    name = f"{first}-0-{first}-9"

    def fill(folder: Path) -> tuple[str, dict[str, int | str]]:
        write_rows(folder, [rows])
        return f"{name}.{len(rows)}", {}

    extracted = Extracted(name, publish_pages(lake, fill), len(rows), 1)
    commit(lake, convert(lake, validate(lake, extracted, now=NOW), RATES))


def _waiting(redis: Redis, lake: Lake) -> list[Letter]:
    found = [letter for page in dead_letters.letters(redis, lake.client) for letter in page]
    return sorted(found, key=lambda letter: letter.row_id)


def _replay(
    lake: Lake, letters: Iterable[Letter], corrections: Mapping[str, dict[str, object]]
) -> Written:
    """Do what a replay does before it removes letters."""
    spooled = dead_letters.spool(lake, list(letters), corrections)
    return commit_replayed(lake, convert(lake, validate(lake, spooled, now=NOW), RATES))


def _seen(redis: Redis, lake: Lake) -> Orders:
    return orders(lake.destination, redis, lake.client)


def test_letter_says_what_and_why(redis: Redis, lake: Lake) -> None:
    """Whoever mends it sees the order as it was sent, the reason, the field, and since when."""
    _commit(lake, row(1), row(2, amount=-1), b"\xff bad")
    written = dead_letters.settle(redis, lake, NAME)
    seen = NOW.isoformat()

    assert 2 == written == dead_letters.count(redis, lake.client)
    assert [
        Letter(RowId(1, 1), row(2, amount=-1).decode(), Reason.BAD_AMOUNT, "amount", seen),
        Letter(RowId(1, 2), "\\xff bad", Reason.NOT_JSON, "", seen),
    ] == _waiting(redis, lake)


def test_file_has_its_name_when_letters_are_written(redis: Redis, lake: Lake) -> None:
    """So a chunk that was settled is not settled again, and one that was not can be told."""
    _commit(lake, row(1), b"bad")
    before = sorted(path.name for path in lake.rejected.iterdir())
    counts = [dead_letters.settle(redis, lake, NAME) for _ in range(2)]

    assert [f".part-{NAME}.{token(lake, NAME)}"] == before
    assert [1, 0] == counts
    assert [f"part-{NAME}.parquet"] == [path.name for path in lake.rejected.iterdir()]


def test_killed_worker_s_letters_are_written(redis: Redis, lake: Lake) -> None:
    """The next run finds what was committed without them; what lost against it is removed."""
    _commit(lake, b"bad", row(1))
    _commit(lake, b"bad", first=2)
    lake.unsettled(NAME, "another").write_bytes(b"of a worker that came too late")
    lake.unsettled("9-0-9-9", "open").write_bytes(b"of a chunk that nobody has committed yet")
    (lake.spool / f"{NAME}.valid").mkdir()
    written = dead_letters.settle_all(redis, lake)
    again = dead_letters.settle_all(redis, lake)

    assert (2, 0) == (written, again)
    assert ["1-0", "2-0"] == [str(letter.row_id) for letter in _waiting(redis, lake)]
    assert [".part-9-0-9-9.open", "part-1-0-1-9.parquet", "part-2-0-2-9.parquet"] == sorted(
        path.name for path in lake.rejected.iterdir()
    )
    assert [] == list(lake.spool.iterdir())


def test_redis_that_is_away_costs_no_letter(redis: Redis, lake: Lake) -> None:
    """The rejected rows stay where they are until they can be told of."""
    _commit(lake, b"bad")
    nowhere = connect(SecretStr(f"redis://127.0.0.1:{free_port()}/0"))
    with nowhere, pytest.raises(SourceUnavailable):
        dead_letters.settle(nowhere, lake, NAME)

    assert 1 == dead_letters.settle_all(redis, lake)


def test_rejected_rows_that_are_gone_are_an_error(redis: Redis, lake: Lake) -> None:
    """Somebody has removed the file: that is not the same as nothing to do."""
    _commit(lake, b"bad")
    lake.unsettled(NAME, token(lake, NAME)).unlink()

    with pytest.raises(FileNotFoundError):
        dead_letters.settle(redis, lake, NAME)


def test_letters_that_redis_lost_are_written_again(redis: Redis, lake: Lake) -> None:
    """All but those of rows that were replayed."""
    _commit(lake, *[b"bad"] * 4)
    dead_letters.settle(redis, lake, NAME)
    letters = _waiting(redis, lake)
    _replay(lake, letters[:1], {"1-0": good(1)})
    dead_letters.finish(redis, lake, letters)
    kept = dead_letters.settle_all(redis, lake)
    redis.flushdb()

    assert (0, 3) == (kept, dead_letters.settle_all(redis, lake))
    assert letters[1:] == _waiting(redis, lake)


def test_corrected_rows_come_back_once(redis: Redis, lake: Lake) -> None:
    """However often the replay is done; what is still bad waits on."""
    _commit(lake, row(7), row(1, amount=-1), b"bad", row(2, status="lost"))
    dead_letters.settle(redis, lake, NAME)
    corrections: dict[str, dict[str, object]] = {"1-1": {"amount": 5}, "1-2": good(9)}
    letters = _waiting(redis, lake)
    first = _replay(lake, letters, corrections)
    second = _replay(lake, letters, corrections)
    removed = dead_letters.finish(redis, lake, letters)
    back = pl.read_parquet(lake.replayed / "*.parquet")

    assert (2, 1, True) == (first.accepted, first.rejected, first.new)
    assert (0, False) == (second.accepted, second.new)
    assert 2 == removed
    assert Orders(("1-0",), ("1-1", "1-2", "1-3"), ("1-1", "1-2"), ("1-3",)) == _seen(redis, lake)
    assert [("1-1", "o-1", 5.0), ("1-2", "o-9", good(9)["amount"])] == back.select(
        "row_id", "order_id", "amount"
    ).sort("row_id").rows()


def test_replay_that_was_killed_is_repeated(redis: Redis, lake: Lake) -> None:
    """Its rows are there, its letters too: the next one only removes the letters."""
    _commit(lake, b"bad", b"bad")
    dead_letters.settle(redis, lake, NAME)
    letters = _waiting(redis, lake)
    _replay(lake, letters[:1], {"1-0": good(1)})
    again = _replay(lake, letters, {"1-0": good(1), "1-1": good(2)})
    removed = dead_letters.finish(redis, lake, letters)

    assert (1, 2) == (again.accepted, removed)
    assert Orders((), ("1-0", "1-1"), ("1-0", "1-1"), ()) == _seen(redis, lake)


def test_letter_that_comes_twice_is_one_row(redis: Redis, lake: Lake) -> None:
    """A scan of a hash may give an entry twice."""
    _commit(lake, b"bad")
    dead_letters.settle(redis, lake, NAME)
    letters = _waiting(redis, lake)

    assert 1 == _replay(lake, letters * 2, {"1-0": good(1)}).accepted


def test_only_rejected_rows_come_back(redis: Redis, lake: Lake) -> None:
    """A letter of a row that is loaded, or that never was, brings no row into the lake."""
    _commit(lake, row(1), b"bad")
    dead_letters.settle(redis, lake, NAME)
    letter = replace(_waiting(redis, lake)[0], order=row(1).decode())
    made_up = [replace(letter, row_id=RowId(1, 0)), replace(letter, row_id=RowId(7, 7))]

    assert 0 == _replay(lake, made_up, {}).accepted
    assert 1 == _replay(lake, [*made_up, letter], {}).accepted


def test_letter_without_its_file_waits(redis: Redis, lake: Lake) -> None:
    """A worker was killed between the two: the row comes back once the chunk is settled."""
    _commit(lake, b"bad")
    dead_letters.settle(redis, lake, NAME)
    lake.rejected_part(NAME).rename(lake.unsettled(NAME, token(lake, NAME)))
    letters = _waiting(redis, lake)
    early = _replay(lake, letters, {"1-0": good(1)})
    removed = dead_letters.finish(redis, lake, letters)
    dead_letters.settle_all(redis, lake)

    assert (0, 0) == (early.accepted, removed)
    assert 1 == _replay(lake, letters, {"1-0": good(1)}).accepted


@pytest.mark.parametrize(
    "told",
    [b"", b"null", b"[]", b"{}", b"\xff", b"[" * 5000, b'{"order": 1, "reason": "whatever"}'],
    ids=repr,
)
def test_foreign_letter_is_passed_over(redis: Redis, lake: Lake, told: bytes) -> None:
    """What no batch has put into the hash stops no replay, and stays for whoever did."""
    _commit(lake, b"bad")
    dead_letters.settle(redis, lake, NAME)
    redis.hset(dead_letters.key(lake.client), "1-9", told)
    redis.hset(dead_letters.key(lake.client), "no id", json.dumps({"order": "", "reason": ""}))

    assert ["1-0"] == [str(letter.row_id) for letter in _waiting(redis, lake)]
    assert 3 == dead_letters.count(redis, lake.client)


def test_many_letters_come_in_pages(redis: Redis, lake: Lake) -> None:
    """So that a replay's memory does not depend on how many wait."""
    _commit(lake, *[b"bad"] * 1_000)
    dead_letters.settle(redis, lake, NAME)
    pages = list(dead_letters.letters(redis, lake.client))

    assert 1_000 == len({letter.row_id for page in pages for letter in page})
    assert 200 >= max(len(page) for page in pages)


def test_letter_of_a_huge_row_is_cut(redis: Redis, lake: Lake) -> None:
    """What waits in Redis is bounded, and a correction can still be the whole order."""
    raw = b"x" * (MAX_ROW_BYTES + 1)
    _commit(lake, raw[:MAX_ROW_BYTES] + b"y")
    dead_letters.settle(redis, lake, NAME)
    (letter,) = _waiting(redis, lake)

    assert MAX_ROW_BYTES + 1 >= len(letter.order)
    assert Reason.TOO_LARGE == letter.reason
    assert 1 == _replay(lake, [letter], {"1-0": good(1)}).accepted
