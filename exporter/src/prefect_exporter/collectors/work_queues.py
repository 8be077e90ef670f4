"""Work queues: whether anything comes out of them, and what waits in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from prefect_exporter.api import Interval, RunFilter
from prefect_exporter.collectors.base import Context
from prefect_exporter.collectors.flow_runs_active import selected_runs
from prefect_exporter.collectors.folding import folded, highest, status_set, sums
from prefect_exporter.collectors.work_pools import STATUSES
from prefect_exporter.labels import clip
from prefect_exporter.metrics import Counted, Family, Kind, Labels, Samples
from prefect_exporter.moments import micros, moment, seconds
from prefect_exporter.paging import flow_runs, listed
from prefect_exporter.settings import Settings
from prefect_exporter.wire import WorkQueue


@dataclass(frozen=True, slots=True)
class Queue:
    """A work queue in its place; *backlog* is None where it was not counted."""

    at: Labels
    row: WorkQueue
    backlog: int | None


@dataclass(frozen=True, slots=True)
class WorkQueues:
    """All work queues."""

    queues: Sequence[Queue]
    truncated: bool
    folded: int


def _paused(state: WorkQueues) -> Samples:
    return highest((each.at, each.row.is_paused) for each in state.queues)


def _status(state: WorkQueues) -> Samples:
    return status_set(STATUSES, ((each.at, each.row.status) for each in state.queues))


def _priority(state: WorkQueues) -> Samples:
    return highest((each.at, each.row.priority) for each in state.queues)


def _limit(state: WorkQueues) -> Samples:
    return sums((each.at, each.row.concurrency_limit) for each in state.queues)


def _slots_used(state: WorkQueues) -> Samples:
    return sums((each.at, each.row.active_slots) for each in state.queues)


def _last_polled(state: WorkQueues) -> Samples:
    return highest(
        (each.at, seconds(micros(each.row.last_polled)))
        for each in state.queues
        if each.row.last_polled
    )


def _backlog(state: WorkQueues) -> Samples:
    return sums((each.at, each.backlog) for each in state.queues)


LABELS = ("work_pool", "work_queue")


class WorkQueueCollector:
    """List the queues of all pools, and count the due runs in each."""

    name = "work_queues"
    required = False
    counted: tuple[Counted, ...] = ()
    families = (
        Family(
            "prefect_work_queue_paused",
            Kind.GAUGE,
            "Whether the work queue is paused.",
            LABELS,
            _paused,
        ),
        Family(
            "prefect_work_queue_status",
            Kind.GAUGE,
            "Whether this is the status of the work queue.",
            (*LABELS, "status"),
            _status,
        ),
        Family(
            "prefect_work_queue_priority",
            Kind.GAUGE,
            "The priority of the work queue in its pool; 1 is served first.",
            LABELS,
            _priority,
        ),
        Family(
            "prefect_work_queue_concurrency_limit",
            Kind.GAUGE,
            "How many flow runs of the work queue may run at once.",
            LABELS,
            _limit,
        ),
        Family(
            "prefect_work_queue_slots_used",
            Kind.GAUGE,
            "Flow runs that hold a slot of a work queue with a limit.",
            LABELS,
            _slots_used,
        ),
        Family(
            "prefect_work_queue_last_polled_timestamp_seconds",
            Kind.GAUGE,
            "When a worker last asked the work queue for runs.",
            LABELS,
            _last_polled,
        ),
        Family(
            "prefect_work_queue_backlog",
            Kind.GAUGE,
            "Flow runs of the work queue that are due and have not started.",
            LABELS,
            _backlog,
        ),
    )

    def __init__(self, settings: Settings) -> None:
        self.interval_seconds = settings.interval(self.name, 60.0)
        self._pages = settings.active_pages

    async def poll(self, context: Context, previous: WorkQueues | None) -> WorkQueues:
        """List queues, then what is due in all of them."""
        rows, more = await listed(context.api.work_queues, self._pages)
        # Prefect sorts them by name alone: of equal names, PostgreSQL may give one on two pages,
        # and so another on none.
        more |= len({(row.work_pool_name, row.name) for row in rows}) < len(rows)
        takes = context.settings.selection.takes
        queues = {
            _name(row.work_pool_name, row.name): row
            for row in rows
            if takes("", work_pool=row.work_pool_name or "")
        }
        places = await context.directory.places("work_queue", queues)
        due, cut = await self._due(context)
        found = [
            # Not seen is not none, where not all were read.
            Queue(places[name], row, due[name] or (None if cut else 0))
            for name, row in queues.items()
        ]
        return WorkQueues(found, more or cut, folded(places))

    async def _due(self, context: Context) -> tuple[Counter[Labels], bool]:
        due = Interval(before=moment(context.now_us()))
        where = RunFilter(state_types=("SCHEDULED",), due=due)
        sort = "NEXT_SCHEDULED_START_TIME_ASC"
        rows, more = await flow_runs(context.api, where, sort, self._pages)
        taken = await selected_runs(context, rows)
        return Counter(_name(row.work_pool_name, row.work_queue_name) for row in taken), more


def _name(pool: str | None, queue: str | None) -> Labels:
    return clip(pool or ""), clip(queue or "")
