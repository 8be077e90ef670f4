"""The workers of each pool, those that went offline included; Prefect has no list of all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from msgspec.structs import asdict

from prefect_exporter.report.catalog import load
from prefect_exporter.report.reading.pieces import Piece, Portion, Source
from prefect_exporter.report.store import Step
from prefect_exporter.report.wire import ToldWorker

MOST_WORKERS = 2_000
"""Of one pool; containers leave one behind each time that they start."""


def workers(source: Source) -> Iterator[Piece]:
    """Yield one piece for each pool."""
    for pool in load(source.store).work_pools:
        yield Piece(f"workers {pool}", "workers", partial(_page, source, pool))


async def _page(source: Source, pool: str, step: Step) -> Portion:
    page = await source.client.workers(pool, step.rows)
    rows = step.rows + len(page.rows)
    told = [ToldWorker(work_pool=pool, **asdict(row)) for row in page.rows]
    after = replace(step, rows=rows, done=not page.full or rows >= MOST_WORKERS)
    return Portion(after, objects=[(each, f"{pool}/{each.name}") for each in told])
