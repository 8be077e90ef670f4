"""Workers: how many of each pool are heard of, and when each was heard last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import nlargest
from http import HTTPStatus

from prefect_exporter.api import Api, Page
from prefect_exporter.collectors.base import Context
from prefect_exporter.collectors.folding import folded, highest, sums
from prefect_exporter.collectors.work_pools import name_of, placed_pools
from prefect_exporter.errors import Rejected
from prefect_exporter.labels import OTHER, clip
from prefect_exporter.metrics import Counted, Family, Kind, Labels, Samples
from prefect_exporter.moments import DAY, micros, moment, seconds
from prefect_exporter.paging import listed
from prefect_exporter.settings import Settings
from prefect_exporter.wire import Worker

STATUSES = ("ONLINE", "OFFLINE")
# Prefect keeps workers for ever, and those of containers come under a new name each time.
FORGOTTEN_AFTER_US = DAY


@dataclass(frozen=True, slots=True)
class Workers:
    """The workers of each pool that were heard of lately, and the heartbeats of the last heard."""

    pools: Mapping[Labels, Sequence[Worker]]
    heartbeats: Sequence[tuple[Labels, float]]
    truncated: bool
    folded: int


def _number(state: Workers) -> Samples:
    none = (((*at, each), 0.0) for at in state.pools for each in STATUSES)
    some = (
        ((*at, row.status if row.status in STATUSES else OTHER), 1.0)
        for at, rows in state.pools.items()
        for row in rows
    )
    return sums([*none, *some])


def _heartbeat(state: Workers) -> Samples:
    return highest(state.heartbeats)


class WorkerCollector:
    """Ask each pool for its workers: there is no list of all."""

    name = "workers"
    required = False
    counted: tuple[Counted, ...] = ()
    families = (
        Family(
            "prefect_workers",
            Kind.GAUGE,
            "Workers of the pool that sent a heartbeat within a day, by status.",
            ("work_pool", "status"),
            _number,
        ),
        Family(
            "prefect_worker_last_heartbeat_timestamp_seconds",
            Kind.GAUGE,
            "When the worker sent its last heartbeat, for a day.",
            ("work_pool", "worker"),
            _heartbeat,
        ),
    )

    def __init__(self, settings: Settings) -> None:
        self.interval_seconds = settings.interval(self.name, 60.0)
        self._pages = settings.active_pages
        self._limit = settings.max_workers

    async def poll(self, context: Context, previous: Workers | None) -> Workers:
        """Ask for the pools that have a place of their own, so that the limit bounds requests."""
        pools, places, more = await placed_pools(context, self._pages)
        names = {name_of(pool): pool.name for pool in pools}
        since = moment(context.now_us() - FORGOTTEN_AFTER_US)
        found: dict[Labels, Sequence[Worker]] = {}
        for name, pool in names.items():
            if places[name] != name:
                continue
            try:
                found[name], cut = await _heard(context.api, pool, since, self._pages)
            except Rejected as error:
                # Deleted since it was listed.
                if error.status != HTTPStatus.NOT_FOUND:
                    raise
            else:
                more |= cut
        workers = sum(len(rows) for rows in found.values())
        without = folded(places) + max(workers - self._limit, 0)
        return Workers(found, _latest(found, self._limit), more, without)


async def _heard(
    api: Api, pool: str, since: datetime, max_pages: int
) -> tuple[Sequence[Worker], bool]:
    async def read(offset: int) -> Page[Worker]:
        page = await api.workers(pool, offset)
        # Prefect gives those first that were heard last: after an old one there are only older.
        rows = [
            row for row in page.rows if row.last_heartbeat_time and row.last_heartbeat_time >= since
        ]
        return Page(rows, page.full and len(rows) == len(page.rows))

    rows, more = await listed(read, max_pages)
    # One that is heard while the pages are read moves to the front and shifts the others.
    return list({row.name: row for row in rows}.values()), more


def _latest(pools: Mapping[Labels, Sequence[Worker]], limit: int) -> Sequence[tuple[Labels, float]]:
    heartbeats = (
        ((*at, clip(row.name)), seconds(micros(row.last_heartbeat_time)))
        for at, rows in pools.items()
        for row in rows
        if row.last_heartbeat_time
    )
    return nlargest(limit, heartbeats, key=lambda heartbeat: heartbeat[1])
