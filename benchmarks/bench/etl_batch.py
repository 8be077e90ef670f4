"""One batch in this process, by the pipeline example or all at once: ``python -m bench.etl_batch``.

The environment says where orders come from and where they go. Printed is a `bench.etl.Batch`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import redis
from prefect import flow, task

from bench.etl import CLIENT, FEW, WHOLE, Batch
from bench.machine import peak_memory_bytes
from etl.batch import client_batch


@task
def load_everything(client: str) -> int:
    """Read all rows, keep those that are orders, and write them to one file."""
    with redis.Redis.from_url(os.environ["ETL_REDIS_URL"]) as connection:
        entries = connection.xrange(f"orders:{client}")
    orders = [order for row_id, fields in entries for order in _orders(row_id, fields[b"order"])]
    frame = pl.DataFrame(orders, infer_schema_length=None)
    folder = Path(os.environ["ETL_DESTINATION"]) / client
    folder.mkdir(parents=True)
    frame.write_parquet(folder / "part-all.parquet")
    return frame.height


@flow
def all_at_once(client: str) -> int:
    """Load a batch as one would at first."""
    return load_everything(client)


def measure(way: str) -> Batch:
    """Load everything that is in the stream."""
    load = all_at_once if way == WHOLE else client_batch
    load(FEW)
    few, cpu, began = peak_memory_bytes(os.getpid()), time.process_time(), time.monotonic()
    load(CLIENT)
    seconds, spent = time.monotonic() - began, time.process_time() - cpu
    peak = peak_memory_bytes(os.getpid())
    files = sorted((Path(os.environ["ETL_DESTINATION"]) / CLIENT).glob("part-*.parquet"))
    rows = sum(pl.scan_parquet(file).select(pl.len()).collect().item() for file in files)
    return Batch(way, rows, len(files), seconds, spent, few, peak)


def _orders(row_id: bytes, raw: bytes) -> Iterator[dict[str, Any]]:
    """Yield the order, where it is one; it is checked far less than by the pipeline."""
    try:
        order = json.loads(raw)
        good = order["amount"] > 0 and len(order["currency"]) == len("EUR")
    except (ValueError, TypeError, KeyError):
        return
    if good:
        yield {"row_id": row_id.decode(), **{name: str(value) for name, value in order.items()}}


if __name__ == "__main__":
    print(msgspec.json.encode(measure(sys.argv[1])).decode())
