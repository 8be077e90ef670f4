"""The rows of the lake beside those of the streams."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import redis

from e2e.live import LiveNight
from nights import CLIENTS, HANGING


def check_lake(night: LiveNight) -> None:
    """Assert that each order of a stream was loaded or rejected once, or waits for the next run."""
    for name in (name for names in CLIENTS.values() for name in names):
        loaded = Counter(_rows(night.scene.pipeline.lake / name))
        known = set(_stream(night, name))

        assert (known if name != HANGING else set()) == set(loaded), name
        assert {1} >= set(loaded.values()), name


def _rows(folder: Path) -> Iterator[str]:
    for path in (*folder.glob("part-*.parquet"), *folder.glob("rejected/*.parquet")):
        yield from pl.read_parquet(path, columns=["row_id"])["row_id"]


def _stream(night: LiveNight, client: str) -> Iterator[str]:
    with redis.Redis.from_url(night.scene.pipeline.redis.url) as connection:
        for row_id, _ in connection.xrange(f"orders:{client}"):
            yield row_id.decode()
