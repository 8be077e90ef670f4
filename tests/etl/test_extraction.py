"""From Redis to the spool, and what happens where Redis has lost rows."""

from __future__ import annotations

import socket
from datetime import UTC, datetime

import polars as pl
import pytest
from pydantic import SecretStr

from demo.processes import free_port
from etl.errors import SourceLostRows, SourceUnavailable
from etl.extraction import extract
from etl.lake import Lake
from etl.model import Chunk, Extracted, RowId
from etl.source import Source, connect
from order_rows import add, row

pytestmark = pytest.mark.real

_FIRST, _SECOND, _THIRD = (datetime(2026, 11, day, tzinfo=UTC) for day in (20, 21, 22))


def _filled(source: Source, rows: int = 10) -> tuple[list[str], Chunk]:
    ids = add(source.redis, source.client, map(row, range(rows)))
    return ids, Chunk(RowId.parse(ids[0]), RowId.parse(ids[-1]), rows, 1)


def _ids(extracted: Extracted) -> list[str]:
    return pl.read_parquet(extracted.folder / "page-*.parquet")["row_id"].to_list()


def test_chunk_arrives_whole(source: Source, lake: Lake) -> None:
    """All rows in the order of the stream, over several pages, with their number and size."""
    ids, chunk = _filled(source, 4_500)
    found = extract(source, lake, chunk, began=_FIRST)

    assert ids == _ids(found)
    assert (4_500, 0) == (found.rows, found.lost)
    assert sum(len(row(number)) for number in range(4_500)) == found.bytes
    assert 3 == len(list(found.folder.glob("page-*.parquet")))


def test_what_was_read_is_not_read_again(source: Source, lake: Lake) -> None:
    """Another worker goes on from there, also where Redis has lost the rows meanwhile."""
    ids, chunk = _filled(source)
    first = extract(source, lake, chunk, began=_FIRST)
    source.redis.flushdb()
    second = extract(source, lake, chunk, began=_SECOND)

    assert first == second
    assert ids == _ids(second)


def test_lost_rows_fail_the_run_that_notices(source: Source, lake: Lake) -> None:
    """However often it tries, and whoever shares the batch: the chunk is named, and how many."""
    ids, chunk = _filled(source)
    source.redis.xdel(source.key, *ids[2:5])
    for began in (_SECOND, _SECOND, _FIRST):
        with pytest.raises(SourceLostRows) as caught:
            extract(source, lake, chunk, began=began)

        assert {chunk.name: 3} == caught.value.lost
        assert chunk.name in str(caught.value)


def test_next_run_goes_on_with_what_is_left(source: Source, lake: Lake) -> None:
    """The loss is counted; also what Redis loses after it was noticed is there."""
    ids, chunk = _filled(source)
    source.redis.xdel(source.key, *ids[2:5])
    with pytest.raises(SourceLostRows):
        extract(source, lake, chunk, began=_FIRST)
    source.redis.flushdb()
    found = extract(source, lake, chunk, began=_SECOND)

    assert (ids[:2] + ids[5:], 3) == (_ids(found), found.lost)


def test_rows_that_were_put_back_are_read(source: Source, lake: Lake) -> None:
    """Where somebody has restored Redis, nothing is lost; where in part, what is there counts."""
    ids, chunk = _filled(source)
    source.redis.flushdb()
    with pytest.raises(SourceLostRows):
        extract(source, lake, chunk, began=_FIRST)
    for row_id in ids[:4]:
        source.redis.xadd(source.key, {"order": row(1)}, id=row_id)
    partly = extract(source, lake, chunk, began=_SECOND)
    for row_id in ids[4:]:
        source.redis.xadd(source.key, {"order": row(1)}, id=row_id)
    wholly = extract(source, lake, chunk, began=_THIRD)

    assert (ids[:4], 6) == (_ids(partly), partly.lost)
    assert (ids, 0) == (_ids(wholly), wholly.lost)


def test_chunk_that_is_gone_is_an_empty_one(source: Source, lake: Lake) -> None:
    """Then all of it is lost, and the steps after it still have a file to read."""
    _, chunk = _filled(source)
    source.redis.flushdb()
    with pytest.raises(SourceLostRows):
        extract(source, lake, chunk, began=_FIRST)
    found = extract(source, lake, chunk, began=_SECOND)

    assert ([], 10) == (_ids(found), found.lost)


def test_redis_that_is_away_leaves_nothing_behind(lake: Lake) -> None:
    """Neither half a chunk in the spool, nor files of the attempt."""
    chunk = Chunk(RowId(1, 0), RowId(2, 0), 2, 1)
    with connect(SecretStr(f"redis://127.0.0.1:{free_port()}/0")) as nowhere:
        source = Source(nowhere, "acme")
        with pytest.raises(SourceUnavailable, match="XRANGE orders:acme"):
            extract(source, lake, chunk, began=_FIRST)

    assert [] == [path for path in lake.folder.rglob("*") if not path.name.startswith("_")]


def test_redis_that_does_not_answer_is_given_up() -> None:
    """A Redis that takes the connection and says nothing is an error within seconds."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        with connect(SecretStr(f"redis://127.0.0.1:{port}/0")) as client:
            client.connection_pool.connection_kwargs["socket_timeout"] = 0.2
            with pytest.raises(SourceUnavailable) as caught:
                Source(client, "acme").about()

    assert "TimeoutError" == type(caught.value.__cause__).__name__
