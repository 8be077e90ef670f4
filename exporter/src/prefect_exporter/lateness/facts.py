"""From rows of Prefect's to the facts that causes are judged by. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from prefect_exporter.directory import DELETED
from prefect_exporter.lateness.causes.limits import OF_TAG
from prefect_exporter.lateness.model import (
    Ahead,
    Facts,
    Holder,
    PoolSeen,
    QueueSeen,
    Slots,
    Subject,
    WorkerSeen,
)
from prefect_exporter.lateness.reading import Late, Surroundings, due_at, full_tags
from prefect_exporter.moments import MINUTE, micros
from prefect_exporter.wire import Deployment, FlowRun, Worker, WorkQueue

MOST_HOLDERS = 5
# Prefect says itself who is offline. Where its service for that stands still, this says so.
SILENT_US = 10 * MINUTE
_IN_POOL = ("PENDING", "RUNNING")


class Place(NamedTuple):
    """Runs of one place have the same facts."""

    flow_id: UUID
    deployment_id: UUID | None
    work_pool: str
    work_queue: str


def place_of(run: FlowRun) -> Place:
    """Return where a run waits."""
    return Place(
        run.flow_id, run.deployment_id, run.work_pool_name or "", run.work_queue_name or ""
    )


def all_facts(now_us: int, late: Late, seen: Surroundings) -> list[Facts]:
    """Return the facts of every place in which something waits, most runs first."""
    world = _World(now_us, late, seen)
    return sorted(
        (*world.late_facts(), *world.stalled_facts()),
        key=lambda each: (-each.late, each.oldest_us or now_us, each.subject.name),
    )


def subject_of(place: Place, seen: Surroundings) -> Subject:
    """Return the names of a place."""
    deployment = ""
    if place.deployment_id is not None:
        row = seen.deployments.get(place.deployment_id)
        deployment = row.name if row else DELETED
    flow = seen.flows.get(place.flow_id, DELETED)
    return Subject(flow, deployment, place.work_pool, place.work_queue, place.deployment_id)


class _World:
    """All that was read, with what several places share reckoned once."""

    def __init__(self, now_us: int, late: Late, seen: Surroundings) -> None:
        self._now_us = now_us
        self._late = late
        self._seen = seen
        self._pools: dict[str, PoolSeen | None] = {}
        self._due = Counter((run.work_pool_name, run.work_queue_name) for run in late.runs)

    def late_facts(self) -> Iterator[Facts]:
        """Return the facts of runs that have not started."""
        runs: dict[Place, list[FlowRun]] = defaultdict(list)
        for run in self._late.runs:
            runs[place_of(run)].append(run)
        for place, waiting in runs.items():
            deployment = self._deployment(place)
            yield Facts(
                now_us=self._now_us,
                subject=subject_of(place, self._seen),
                late=len(waiting),
                oldest_us=_us(due_at(waiting[0])),
                pool=self._pool(place.work_pool),
                queue=self._queue(place),
                ahead=tuple(self._ahead(place)),
                limit=self._limit(deployment),
                paused=bool(deployment and deployment.paused),
                ready=_ready(deployment),
            )

    def stalled_facts(self) -> Iterator[Facts]:
        """Return the facts of runs whose task runs wait for a tag."""
        active = {run.id: run for run in self._seen.active}
        tags: dict[Place, Counter[str]] = defaultdict(Counter)
        runs: dict[Place, dict[UUID, int]] = defaultdict(dict)
        for task in self._late.stalled:
            # Of a run that has ended meanwhile nothing waits.
            run = active.get(task.flow_run_id) if task.flow_run_id else None
            if run is None or task.expected_start_time is None:
                continue
            place, since = place_of(run), micros(task.expected_start_time)
            tags[place].update(full_tags(self._late.limits, task.tags))
            runs[place][run.id] = min(since, runs[place].get(run.id, since))
        for place, waiting in runs.items():
            yield Facts(
                now_us=self._now_us,
                subject=subject_of(place, self._seen),
                late=len(waiting),
                oldest_us=min(waiting.values()),
                tags=tuple(self._tag(tag, number) for tag, number in tags[place].items()),
            )

    def _deployment(self, place: Place) -> Deployment | None:
        return self._seen.deployments.get(place.deployment_id) if place.deployment_id else None

    def _pool(self, name: str) -> PoolSeen | None:
        if name not in self._pools:
            self._pools[name] = self._pool_seen(name)
        return self._pools[name]

    def _pool_seen(self, name: str) -> PoolSeen | None:
        row = self._seen.pools.get(name)
        if row is None:
            return None
        held = [run for run in self._in_pool() if run.work_pool_name == name]
        slots = None
        if row.concurrency_limit is not None:
            slots = self._slots(name, row.concurrency_limit, row.active_slots, held)
        workers = tuple(self._worker(each) for each in self._seen.workers.get(name, ()))
        return PoolSeen(name, row.type, row.is_paused, slots, workers)

    def _queue(self, place: Place) -> QueueSeen | None:
        row = self._seen.queues.get((place.work_pool, place.work_queue))
        if row is None:
            return None
        held = [
            run
            for run in self._in_pool()
            if (run.work_pool_name, run.work_queue_name) == (place.work_pool, row.name)
        ]
        slots = None
        if row.concurrency_limit is not None:
            slots = self._slots(row.name, row.concurrency_limit, row.active_slots, held)
        return QueueSeen(row.name, row.is_paused, slots, row.priority, _us(row.last_polled))

    def _ahead(self, place: Place) -> Iterator[Ahead]:
        own = self._seen.queues.get((place.work_pool, place.work_queue))
        if own is None or own.priority is None:
            return
        held = Counter(
            run.work_queue_name for run in self._in_pool() if run.work_pool_name == place.work_pool
        )
        for row in self._first(place.work_pool, own.priority):
            waiting = self._due[place.work_pool, row.name]
            yield Ahead(row.name, row.priority or 0, held[row.name], waiting)

    def _first(self, pool: str, priority: int) -> Iterator[WorkQueue]:
        for (of, _), row in self._seen.queues.items():
            if of == pool and not row.is_paused and row.priority and row.priority < priority:
                yield row

    def _limit(self, deployment: Deployment | None) -> Slots | None:
        if deployment is None or deployment.global_concurrency_limit is None:
            return None
        told = deployment.global_concurrency_limit
        # The list of limits is newer than what is remembered of the deployment.
        row = self._late.limits.get(told.name, told)
        if not row.active:
            return None
        held = [run for run in self._seen.active if run.deployment_id == deployment.id]
        return self._slots(row.name, row.limit, row.active_slots, held)

    def _tag(self, tag: str, waiting: int) -> Slots:
        row = self._late.limits[f"{OF_TAG}{tag}"]
        holding = self._seen.tag_holders.get(tag, ())
        holders = self._holders(run for run in self._seen.active if run.id in holding)
        return Slots(row.name, row.limit, row.active_slots, holders, waiting)

    def _slots(self, name: str, limit: int, used: float | None, held: Collection[FlowRun]) -> Slots:
        return Slots(name, limit, len(held) if used is None else used, self._holders(held))

    def _holders(self, runs: Iterable[FlowRun]) -> tuple[Holder, ...]:
        flows = self._seen.flows
        found = [
            Holder(
                run.id,
                flows.get(run.flow_id, DELETED),
                run.work_queue_name or "",
                _us(run.start_time or (run.state.timestamp if run.state else None)),
            )
            for run in runs
        ]
        found.sort(key=lambda each: (each.since_us or self._now_us, each.run_id))
        return tuple(found[:MOST_HOLDERS])

    def _in_pool(self) -> Sequence[FlowRun]:
        return [run for run in self._seen.active if run.state_type in _IN_POOL]

    def _worker(self, row: Worker) -> WorkerSeen:
        heard = _us(row.last_heartbeat_time)
        silent = heard is None or self._now_us - heard > SILENT_US
        return WorkerSeen(row.name, row.status == "ONLINE" and not silent, heard)


def _ready(deployment: Deployment | None) -> bool | None:
    if deployment is None or deployment.status is None:
        return None
    return deployment.status == "READY"


def _us(at: datetime | None) -> int | None:
    return None if at is None else micros(at)
