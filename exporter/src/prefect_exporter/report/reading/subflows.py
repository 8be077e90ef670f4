"""The task runs that stand for subflows in their parents: they say who started whom."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from uuid import UUID

from prefect_exporter.report.reading.pieces import Piece, Portion, Source
from prefect_exporter.report.reading.task_runs import TASK_RUNS, task_run_row
from prefect_exporter.report.store import Step

WHAT = "parents of subflows"
MOST_OF_ONE = 200
"""Parents that are asked for, of the runs of one flow or deployment."""
MOST = 10_000
BATCH = 100

_SELECT = """
    SELECT flow_id, deployment_id, parent_task_run_id FROM flow_runs
    WHERE parent_task_run_id != x'' AND (ended_us IS NULL OR (ended_us >= ? AND ended_us < ?))
"""
_KNOWN = "SELECT 1 FROM task_runs WHERE id = ?"


def parents(source: Source) -> Iterator[Piece]:
    """Yield the placeholders that are not known yet, of a draw of those of each child."""
    wanted = [UUID(bytes=each) for each in _drawn(source) if not _known(source, each)]
    for start in range(0, len(wanted), BATCH):
        batch = wanted[start : start + BATCH]
        yield Piece(f"parents {batch[0]}", WHAT, partial(_batch, source, batch))


def _known(source: Source, parent_id: bytes) -> bool:
    return source.store.database.execute(_KNOWN, (parent_id,)).fetchone() is not None


def _drawn(source: Source) -> list[bytes]:
    """Draw by the ids alone, so that a report that was stopped draws the same."""
    period = source.question.period
    found: dict[tuple[bytes, bytes], list[bytes]] = defaultdict(list)
    values = (period.since_us, period.until_us)
    for flow_id, deployment_id, parent_id in source.store.database.execute(_SELECT, values):
        of_one = found[flow_id, deployment_id]
        of_one.append(parent_id)
        if len(of_one) > 2 * MOST_OF_ONE:
            of_one[:] = _first(of_one)
    return [each for key in sorted(found) for each in _first(found[key])][:MOST]


def _first(parent_ids: list[bytes]) -> list[bytes]:
    def lot(parent_id: bytes) -> bytes:
        return hashlib.blake2b(parent_id, digest_size=8).digest()

    return sorted(parent_ids, key=lot)[:MOST_OF_ONE]


async def _batch(source: Source, batch: list[UUID], _step: Step) -> Portion:
    told = await source.client.pages.by_id("task_runs", TASK_RUNS, batch)
    rows = [row for row in map(task_run_row, told) if row]
    return Portion(Step(rows=len(rows), done=True), rows)
