"""Work pools: what they are, whether they can run anything, and how full they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prefect_exporter.collectors.base import Context
from prefect_exporter.collectors.folding import folded, highest, status_set, sums
from prefect_exporter.labels import OTHER, clip
from prefect_exporter.metrics import Counted, Family, Kind, Labels, Samples
from prefect_exporter.paging import listed, once
from prefect_exporter.pool_types import needs_worker
from prefect_exporter.settings import Settings
from prefect_exporter.wire import WorkPool

# The same for pools and queues.
STATUSES = ("READY", "NOT_READY", "PAUSED")


@dataclass(frozen=True, slots=True)
class WorkPools:
    """Each work pool with the place of its name."""

    rows: Sequence[tuple[Labels, WorkPool]]
    truncated: bool
    folded: int


def _info(state: WorkPools) -> Samples:
    return highest(
        ((*at, clip(row.type) if at == name_of(row) else OTHER), 1.0) for at, row in state.rows
    )


def _paused(state: WorkPools) -> Samples:
    return highest((at, row.is_paused) for at, row in state.rows)


def _status(state: WorkPools) -> Samples:
    return status_set(STATUSES, ((at, row.status) for at, row in state.rows))


def _limit(state: WorkPools) -> Samples:
    return sums((at, row.concurrency_limit) for at, row in state.rows)


def _slots_used(state: WorkPools) -> Samples:
    return sums((at, row.active_slots) for at, row in state.rows)


def _needs_worker(state: WorkPools) -> Samples:
    return highest((at, needs_worker(row.type)) for at, row in state.rows)


class WorkPoolCollector:
    """List the work pools; where one has a limit, the list says how many slots are in use."""

    name = "work_pools"
    required = False
    counted: tuple[Counted, ...] = ()
    families = (
        Family(
            "prefect_work_pool_info",
            Kind.GAUGE,
            "The type of the work pool.",
            ("work_pool", "work_pool_type"),
            _info,
        ),
        Family(
            "prefect_work_pool_paused",
            Kind.GAUGE,
            "Whether the work pool is paused.",
            ("work_pool",),
            _paused,
        ),
        Family(
            "prefect_work_pool_status",
            Kind.GAUGE,
            "Whether this is the status of the work pool.",
            ("work_pool", "status"),
            _status,
        ),
        Family(
            "prefect_work_pool_concurrency_limit",
            Kind.GAUGE,
            "How many flow runs the work pool may run at once.",
            ("work_pool",),
            _limit,
        ),
        Family(
            "prefect_work_pool_slots_used",
            Kind.GAUGE,
            "Flow runs that hold a slot of a work pool with a limit.",
            ("work_pool",),
            _slots_used,
        ),
        Family(
            "prefect_work_pool_needs_worker",
            Kind.GAUGE,
            "Whether the work pool runs nothing without a worker.",
            ("work_pool",),
            _needs_worker,
        ),
    )

    def __init__(self, settings: Settings) -> None:
        self.interval_seconds = settings.interval(self.name, 60.0)
        self._pages = settings.active_pages

    async def poll(self, context: Context, previous: WorkPools | None) -> WorkPools:
        """List the pools."""
        pools, places, more = await placed_pools(context, self._pages)
        rows = [(places[name_of(pool)], pool) for pool in pools]
        return WorkPools(rows, more, folded(places))


async def placed_pools(
    context: Context, max_pages: int
) -> tuple[Sequence[WorkPool], Mapping[Labels, Labels], bool]:
    """Return the selected pools, each once, the places of names, and whether there are more."""
    rows, more = await listed(context.api.work_pools, max_pages)
    pools = {row.name: row for row in rows}
    selected = [row for name, row in pools.items() if name in context.settings.work_pools]
    whole = not more and once(row.name for row in rows)
    names = [name_of(pool) for pool in selected]
    return selected, await context.directory.places("work_pool", names, whole=whole), more


def name_of(pool: WorkPool) -> Labels:
    """Return the pool's name as a label."""
    return (clip(pool.name),)
