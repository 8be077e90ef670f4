"""Which rows belong to a batch, for how many workers and however often they ask."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from etl.errors import PlanDamaged, SourceWentBack
from etl.extraction import extract
from etl.lake import Lake
from etl.model import BEGINNING, Chunk, ChunkLimits, Plan
from etl.planning import ensure_plan, latest_plan, losses, read_plan, remaining, summary
from etl.source import Source
from etl.validation import convert, validate
from etl.writing import commit
from order_rows import add, row

pytestmark = pytest.mark.real

NOW = datetime(2026, 11, 22, tzinfo=UTC)
_TEN_ROWS = ChunkLimits(rows=10, bytes=2**20)


def _plan(source: Source, lake: Lake, **more: int) -> Plan | None:
    return ensure_plan(source, lake, _TEN_ROWS, now=NOW, max_rows=more.get("max_rows"))


def _work(source: Source, lake: Lake, plan: Plan) -> None:
    for chunk in remaining(lake, plan):
        _commit(source, lake, chunk)


def _commit(source: Source, lake: Lake, chunk: Chunk) -> None:
    extracted = extract(source, lake, chunk, began=NOW)
    rates = {"EUR": 1.0, "USD": 0.9, "GBP": 1.2}
    commit(lake, convert(lake, validate(lake, extracted, now=NOW), rates))


def test_plans_follow_one_another(source: Source, lake: Lake) -> None:
    """The next begins where the last ended: each row is planned once, and none is left out."""
    ids = add(source.redis, source.client, map(row, range(25)))
    first = _plan(source, lake)
    assert first
    _work(source, lake, first)
    nothing = _plan(source, lake)
    ids += add(source.redis, source.client, map(row, range(7)))
    second = _plan(source, lake)
    assert second

    assert [10, 10, 5, 7] == [chunk.rows for chunk in first.chunks + second.chunks]
    assert nothing is None
    assert ids == [
        str(each.row_id)
        for chunk in first.chunks + second.chunks
        for page in source.pages(chunk)
        for each in page
    ]


def test_open_plan_is_finished_first(source: Source, lake: Lake) -> None:
    """While a chunk of it is missing, the same plan is given again; new rows have to wait."""
    add(source.redis, source.client, map(row, range(15)))
    first = _plan(source, lake)
    assert first
    _commit(source, lake, first.chunks[1])
    add(source.redis, source.client, map(row, range(15)))

    assert first == _plan(source, lake)
    assert first.chunks[:1] == remaining(lake, first)


def test_workers_share_one_plan(source: Source, lake: Lake) -> None:
    """However many ask at once, while rows are added, all are told the same."""
    add(source.redis, source.client, map(row, range(15)))

    def ask(number: int) -> Plan | None:
        add(source.redis, source.client, [row(number)])
        return _plan(source, lake)

    with ThreadPoolExecutor(8) as workers:
        found = list(workers.map(ask, range(8)))

    assert [found[0]] * 8 == found
    assert ["000001.json"] == [path.name for path in lake.plans.iterdir()]
    assert [] == list(lake.tmp.iterdir())


def test_plan_has_at_most_so_many_rows(source: Source, lake: Lake) -> None:
    """The last chunk is cut short for it."""
    add(source.redis, source.client, map(row, range(30)))
    plan = _plan(source, lake, max_rows=17)

    assert plan
    assert [10, 7] == [chunk.rows for chunk in plan.chunks]


def test_plan_ends_where_it_is_told(source: Source, lake: Lake) -> None:
    """Rows after that are another batch's, so that a batch ends while rows are added."""
    add(source.redis, source.client, map(row, range(5)))
    upto = source.newest()
    add(source.redis, source.client, map(row, range(5)))
    plan = ensure_plan(source, lake, _TEN_ROWS, now=NOW, upto=upto)

    assert plan
    assert (5, upto) == (plan.rows, plan.end)


def test_chunk_is_bounded_in_bytes(source: Source, lake: Lake) -> None:
    """Whichever limit comes first ends it; a row larger than the limit is a chunk of its own."""
    add(source.redis, source.client, [b"x" * 300] * 4 + [b"x" * 5000] + [b"x" * 300])
    plan = ensure_plan(source, lake, ChunkLimits(rows=10, bytes=1000), now=NOW)

    assert plan
    assert [(3, 900), (1, 300), (1, 5000), (1, 300)] == [(c.rows, c.bytes) for c in plan.chunks]


def test_nothing_new_is_no_plan(source: Source, lake: Lake) -> None:
    """No stream, no plan, no folder."""
    assert _plan(source, lake) is None
    assert not lake.folder.exists()


def test_summary_is_of_what_is_committed(source: Source, lake: Lake) -> None:
    """Half-way it tells of half; in the end all rows are accounted for."""
    add(source.redis, source.client, [row(1)] * 11 + [b"x"] * 4)
    plan = _plan(source, lake)
    assert plan
    _commit(source, lake, plan.chunks[0])
    half = summary(lake, plan)
    _work(source, lake, plan)
    whole = summary(lake, plan)

    assert (15, 10, 0, 0) == (half.rows, half.accepted, half.rejected, half.lost)
    assert (15, 11, 4, 0) == (whole.rows, whole.accepted, whole.rejected, whole.lost)
    assert 4 / 15 == whole.rejected_share
    assert {} == losses(lake, plan)


def test_stream_that_began_anew_goes_on(source: Source, lake: Lake) -> None:
    """Redis lost everything; the orders that come after that are loaded as if nothing had been."""
    add(source.redis, source.client, map(row, range(12)))
    first = _plan(source, lake)
    assert first
    _work(source, lake, first)
    source.redis.flushdb()
    nothing = _plan(source, lake)
    ids = add(source.redis, source.client, [row(1)])
    second = _plan(source, lake)
    assert second

    assert nothing is None
    assert (2, ids[0], 1) == (second.number, str(second.end), second.rows)


def test_restored_stream_is_not_read_again(source: Source, lake: Lake) -> None:
    """A backup brings back rows that are loaded, good and bad ones: no reason for alarm."""
    ids = add(source.redis, source.client, [*map(row, range(11)), b"bad"])
    first = _plan(source, lake)
    assert first
    _work(source, lake, first)
    source.redis.delete(source.key)
    for row_id in ids[:2] + ids[-1:]:
        source.redis.xadd(source.key, {"order": row(1)}, id=row_id)

    assert _plan(source, lake) is None


def test_rows_below_the_cursor_are_told_of(source: Source, lake: Lake) -> None:
    """After a loss the clock was set back: those rows would never be read, so somebody must act."""
    add(source.redis, source.client, map(row, range(12)))
    first = _plan(source, lake)
    assert first
    _work(source, lake, first)
    source.redis.delete(source.key)
    for row_id in ("1-0", "1-1"):
        source.redis.xadd(source.key, {"order": row(1)}, id=row_id)
    with pytest.raises(SourceWentBack) as caught:
        _plan(source, lake)
    source.redis.xdel(source.key, "1-0", "1-1")

    error = caught.value
    assert (2, "1-0", "1-1", str(first.end)) == (error.rows, error.first, error.last, error.cursor)
    assert _plan(source, lake) is None


def test_plan_reads_as_it_was_written(source: Source, lake: Lake) -> None:
    """Whoever takes over has the same plan, to the last field."""
    add(source.redis, source.client, map(row, range(12)))
    plan = _plan(source, lake)
    assert plan

    assert plan == latest_plan(lake)
    assert (1, BEGINNING, NOW, 12) == (plan.number, plan.after, plan.made, plan.added)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"number": 1}', json.dumps({"number": 1, "chunks": [["1-0"]]}), "\xff"],
)
def test_damaged_plan_stops_everything(tmp_path: Path, text: str) -> None:
    """What was loaded is not known then: better no rows than rows twice."""
    path = tmp_path / "000001.json"
    path.write_text(text, encoding="latin-1")

    with pytest.raises(PlanDamaged, match=r"000001\.json is not a plan: "):
        read_plan(path)
