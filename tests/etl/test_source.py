"""What is read of a stream, and what it costs to read it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis import Redis

import etl
from demo.processes import free_port
from etl.errors import BadClient, SourceUnavailable
from etl.extraction import extract
from etl.model import BEGINNING, Chunk, ChunkLimits, RowId
from etl.source import MAX_ROW_BYTES, PAGE, About, Row, Source, connect
from order_rows import add, row

pytestmark = pytest.mark.real

_ALL = ChunkLimits(rows=10_000, bytes=2**30)
_WITH_PREFECT = {
    *("artifacts", "batch", "children", "meters", "nightly", "pretend_rates", "rates", "replay"),
    *("tasks", "workplace"),
}


def _chunk(ids: list[str]) -> Chunk:
    return Chunk(RowId.parse(ids[0]), RowId.parse(ids[-1]), len(ids), 1)


def test_pages_are_the_chunk_in_order(source: Source) -> None:
    """All rows of the range come, both ends too, over more than one page, and no others."""
    rows = [row(number) for number in range(PAGE.rows + 700)]
    ids = add(source.redis, source.client, rows)
    pages = list(source.pages(_chunk(ids[100:-100])))
    found = [(str(each.row_id), each.raw) for page in pages for each in page]

    assert list(zip(ids, rows, strict=True))[100:-100] == found
    assert [PAGE.rows, 500] == [len(page) for page in pages]


def test_page_is_bounded_in_bytes(source: Source) -> None:
    """Large rows make a page of few of them, so that no answer is larger than a page may be."""
    ids = add(source.redis, source.client, [b"x" * 60_000] * 100)
    pages = list(source.pages(_chunk(ids)))

    assert 100 == sum(len(page) for page in pages)
    assert PAGE.bytes >= max(sum(len(each.raw) for each in page) for page in pages)


def test_huge_row_stays_in_redis(source: Source) -> None:
    """Of a row of 30 MB no more than 64 KiB is sent; its whole size is known."""
    ids = add(source.redis, source.client, [b"x" * 30_000_000, row(1)])
    huge, small = next(source.pages(_chunk(ids)))

    assert (30_000_000, MAX_ROW_BYTES) == (huge.size, len(huge.raw))
    assert row(1) == small.raw


def test_entry_without_order_is_its_fields(source: Source) -> None:
    """Nothing that is in the stream is passed over, whatever its fields are called."""
    source.redis.xadd(source.key, {"sum": "7", "of": "9"}, id="5-1")
    rows = [each for page in source.pages(_chunk(["5-1"])) for each in page]

    assert [Row(RowId(5, 1), 10, b"sum\n7\nof\n9")] == rows


def test_about_counts_without_reading(source: Source) -> None:
    """A stream that is not there is empty; one that was trimmed knows what it was ever given."""
    before = source.about(), source.newest()
    ids = add(source.redis, source.client, [row(1), row(2), row(3)])
    source.redis.xdel(source.key, ids[0], ids[2])

    assert (About(0, 0, BEGINNING), None) == before
    assert About(1, 3, RowId.parse(ids[2])) == source.about()


def test_measure_finds_the_next_range(source: Source) -> None:
    """It is after the cursor, not after the given end, and within both limits."""
    ids = add(source.redis, source.client, [b"x" * 100] * 10)
    after, upto = RowId.parse(ids[1]), RowId.parse(ids[7])

    assert _range(ids[2:8]) == source.measure(after, upto, _ALL)
    assert _range(ids[2:5]) == source.measure(after, upto, ChunkLimits(3, 2**20))
    assert _range(ids[2:6]) == source.measure(after, upto, ChunkLimits(9, 450))
    assert _range(ids[2:3]) == source.measure(after, upto, ChunkLimits(9, 1))
    assert source.measure(upto, upto, _ALL) is None


def _range(ids: list[str]) -> Chunk:
    return Chunk(RowId.parse(ids[0]), RowId.parse(ids[-1]), len(ids), 100 * len(ids))


def test_errors_and_names_hold_no_password(redis_url: str) -> None:
    """Neither a client's text nor an error's, nor its cause's, shows what opens the door."""
    with Redis.from_url(redis_url) as admin:
        admin.acl_setuser("worker", enabled=True, passwords=["+right"], keys=["*"])
    there = redis_url.replace("redis://", "redis://worker:hunter2@")
    nowhere = f"redis://worker:hunter2@127.0.0.1:{free_port()}/0"
    texts = []
    for url in (there, nowhere):
        with connect(SecretStr(url)) as client:
            with pytest.raises(SourceUnavailable) as caught:
                Source(client, "acme").about()
            texts.append(f"{client!r} {caught.value} {caught.value.__cause__!r}")

    assert [] == [text for text in texts if "hunter2" in text]


@pytest.mark.parametrize("name", ["", "Acme", "../etc", "a/b", "a b", ".a", "_a", "a" * 64, "é"])
def test_client_is_a_plain_name(source: Source, name: str) -> None:
    """What could leave the folder, or be another's key, is refused before anything is asked."""
    with pytest.raises(BadClient, match="cannot be a client"):
        Source(source.redis, name)


@pytest.mark.parametrize(
    "text", ["", "1", "1-", "-1", "1-2-3", "x-1", "\u0661-\u0661", f"{2**64}-0"]
)
def test_row_id_is_two_numbers(text: str) -> None:
    """Anything else is not the id of a stream's entry."""
    with pytest.raises(ValueError, match="is not the id"):
        RowId.parse(text)


def test_row_ids_are_ordered_as_in_redis() -> None:
    """By their numbers: as texts 9-0 would be after 10-0."""
    ids = [RowId.parse(text) for text in ("10-0", "9-10", "9-9")]

    assert ["9-9", "9-10", "10-0"] == [str(each) for each in sorted(ids)]


def test_core_knows_nothing_of_prefect() -> None:
    """Without Prefect the core can be tested, and used by whoever orchestrates otherwise."""
    folder = Path(etl.__file__).parent
    core = [each for each in folder.glob("*.py") if each.stem not in _WITH_PREFECT]
    imported = {
        name.split(".")[0]
        for path in core
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in _imports(node)
    }

    assert Path(extract.__code__.co_filename) in core
    assert set() == imported & {"prefect", "prefect_instrumentation", "opentelemetry"}


def _imports(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []
