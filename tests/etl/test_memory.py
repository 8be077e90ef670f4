"""How much a chunk may hold, and that it then keeps to the budget."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

import etl
from etl.memory import MAX_ROWS, chunk_limits, peak_rss
from etl.model import ChunkLimits
from order_rows import add, row

_CORE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from pydantic import SecretStr
from etl.extraction import extract
from etl.lake import Lake
from etl.memory import chunk_limits, peak_rss
from etl.planning import ensure_plan
from etl.source import Source, connect
from etl.validation import convert, validate
from etl.writing import commit
import polars as pl

pl.DataFrame({"a": [1]}).lazy().select(pl.col("a") + 1).collect()
before, now = peak_rss(), datetime.now(UTC)
lake, source = Lake(Path(sys.argv[2]), "acme"), Source(connect(SecretStr(sys.argv[1])), "acme")
plan = ensure_plan(source, lake, chunk_limits(128, 1), now=now)
for chunk in plan.chunks:
    extracted = extract(source, lake, chunk, began=now)
    found = convert(lake, validate(lake, extracted, now=now), {"EUR": 1, "USD": 0.9, "GBP": 1.2})
    commit(lake, found)
print(plan.rows, len(plan.chunks), peak_rss() - before)
"""


@given(st.integers(16, 65_536), st.integers(1, 64))
def test_limits_follow_the_budget(memory_mib: int, parallel: int) -> None:
    """More memory is never a smaller chunk, more chunks at a time never a larger one."""
    found = chunk_limits(memory_mib, parallel)
    more, fewer = chunk_limits(memory_mib + 1, parallel), chunk_limits(memory_mib, parallel + 1)

    assert fewer.rows <= found.rows <= more.rows <= MAX_ROWS
    assert 1 <= fewer.bytes <= found.bytes <= more.bytes
    assert found.bytes * parallel < memory_mib * 2**20


def test_smallest_budget_still_works() -> None:
    """One row at a time is slow, but nothing stands still."""
    found = chunk_limits(16, 64)

    assert found.rows >= 1
    assert found.bytes >= 1
    assert ChunkLimits(MAX_ROWS, 2**20 * 65_536 // 8) == chunk_limits(65_536, 1)


def test_peak_is_this_process_s_own() -> None:
    """A small child of a large process is small."""
    ballast = bytearray(b"x") * 300_000_000
    told = subprocess.run(
        [sys.executable, "-S", "-c", f"{_READ}\nprint(peak_rss())"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout

    assert 300_000_000 <= len(ballast) <= peak_rss()
    assert 1_000_000 < int(told) < 100_000_000


_READ = (
    (Path(etl.__file__).parent / "memory.py")
    .read_text()
    .replace("from etl.model import ChunkLimits", "ChunkLimits = None")
)


@pytest.mark.real
def test_batch_keeps_to_the_budget(redis_url: str, tmp_path: Path) -> None:
    """A batch of 180 MB takes less than its budget of 128 MiB, beyond a process at rest."""
    with Redis.from_url(redis_url) as redis:
        redis.flushdb()
        for _ in range(30):
            add(redis, "acme", [row(number, note="x" * 60_000) for number in range(100)])
    told = subprocess.run(
        [sys.executable, "-c", _CORE, redis_url, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(Path(etl.__file__).parents[1]), "POLARS_MAX_THREADS": "2"},
    ).stdout
    rows, chunks, used = (int(each) for each in told.split())

    assert 3_000 == rows
    assert chunks > 1
    assert used < 128 * 2**20
