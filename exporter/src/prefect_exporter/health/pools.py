"""Work pools: who serves each, and what keeps it from running anything."""

from __future__ import annotations

from collections.abc import Collection

from prefect_exporter.health.model import Found, Pool
from prefect_exporter.health.readings import Readings
from prefect_exporter.health.work import late_in_pools
from prefect_exporter.labels import clip
from prefect_exporter.moments import micros
from prefect_exporter.pool_types import needs_worker
from prefect_exporter.wire import Worker, WorkPool

PAUSED, NO_WORKER, FULL = "paused", "no worker", "full"


def pools(readings: Readings) -> Found[Pool]:
    """Return the work pools that are selected."""
    state, workers = readings.state("work_pools"), readings.state("workers")
    served = workers.pools if workers else None
    waiting = late_in_pools(readings)
    rows = []
    for at, pool in state.rows if state else ():
        # A pool that has no name of its own is not asked for its workers.
        heard = None if served is None else served.get(at)
        name = clip(pool.name)
        rows.append(_row(readings, pool, heard, waiting.get(name, 0)))
    truncated = bool(state and state.truncated)
    return Found(rows, truncated, readings.known("work_pools", "workers"))


def badness(row: Pool) -> tuple[bool, bool, str, str]:
    """Return what to sort by, the worst least."""
    return not (row.problem and row.waiting), not row.problem, row.target, row.name


def _row(
    readings: Readings, pool: WorkPool, workers: Collection[Worker] | None, waiting: int
) -> Pool:
    online = sum(each.status == "ONLINE" for each in workers or ())
    times = [each.last_heartbeat_time for each in workers or () if each.last_heartbeat_time]
    return Pool(
        target=readings.name,
        name=clip(pool.name),
        type=clip(pool.type),
        problem=_problem(pool, None if workers is None else online),
        waiting=waiting,
        online=online,
        workers=len(workers or ()),
        used=pool.active_slots or 0,
        limit=pool.concurrency_limit,
        heard_seconds=readings.ago(micros(max(times))) if times else None,
        url=readings.links.work_pool(pool.name),
    )


def _problem(pool: WorkPool, online: int | None) -> str:
    """Return the first thing that must change; *online* is None where that is not known."""
    if pool.is_paused:
        return PAUSED
    if online == 0 and needs_worker(pool.type):
        return NO_WORKER
    if pool.concurrency_limit is not None and (pool.active_slots or 0) >= pool.concurrency_limit:
        return FULL
    return ""
