"""The flows and deployments that the seeded runs belong to."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

Row = dict[str, object]
"""One row of a table of Prefect's, by column."""

Tables = Mapping[str, Sequence[Row]]
"""Rows by table, in the order in which they may be written."""

_TASKS = ("extract", "clean", "join", "aggregate", "write", "notify", "check", "upload")


@dataclass(frozen=True, slots=True)
class Pool:
    """A work pool; *limit* bounds the runs at once."""

    id: UUID
    name: str
    type: str = "process"
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Queue:
    """A work queue of a pool."""

    id: UUID
    name: str
    pool: Pool
    priority: int = 1
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A deployment and its flow.

    Args:
        tasks: What the flow's tasks are called; they run one after the other, over and over.
        schedule: As Prefect's JSON; None for none.
        limit: How many of its runs may be under way at once, by the limit *limit_id*.
    """

    id: UUID
    name: str
    flow_id: UUID
    flow: str
    queue: Queue
    tasks: Sequence[str] = _TASKS
    tags: Sequence[str] = ("team:payments", "tier:1")
    paused: bool = False
    schedule: Mapping[str, object] | None = None
    limit_id: UUID | None = None
    limit: int = 5


@dataclass(frozen=True, slots=True)
class Catalog:
    """Deployments, and the queues that they run from."""

    queues: Sequence[Queue]
    deployments: Sequence[Deployment]

    @property
    def pools(self) -> Sequence[Pool]:
        """The pools of the queues."""
        return list({queue.pool.id: queue.pool for queue in self.queues}.values())

    def tables(self, born: datetime) -> Tables:
        """Return everything as rows that were created at *born*."""
        stamps: Row = {"created": born, "updated": born}
        flows = {each.flow_id: each.flow for each in self.deployments}
        limited = [each for each in self.deployments if each.limit_id]
        scheduled = [each for each in self.deployments if each.schedule]
        return {
            "work_pool": [self._pool(each) | stamps for each in self.pools],
            "work_queue": [_queue(each) | stamps for each in self.queues],
            "flow": [{"id": key, "name": name, **stamps} for key, name in flows.items()],
            "concurrency_limit_v2": [_limit(each) | stamps for each in limited],
            "deployment": [_deployment(each) | stamps for each in self.deployments],
            "deployment_schedule": [_schedule(each) | stamps for each in scheduled],
        }

    def _pool(self, pool: Pool) -> Row:
        return {
            "id": pool.id,
            "name": pool.name,
            "type": pool.type,
            "status": "READY",
            "concurrency_limit": pool.limit,
            # Without one, Prefect cannot list the pool.
            "default_queue_id": next(each.id for each in self.queues if each.pool == pool),
        }


def _queue(queue: Queue) -> Row:
    return {
        "id": queue.id,
        "name": queue.name,
        "work_pool_id": queue.pool.id,
        "priority": queue.priority,
        "concurrency_limit": queue.limit,
        "status": "READY",
    }


def _deployment(deployment: Deployment) -> Row:
    return {
        "id": deployment.id,
        "name": deployment.name,
        "flow_id": deployment.flow_id,
        "tags": json.dumps(deployment.tags),
        "entrypoint": "flows.py:main",
        "path": ".",
        "work_queue_name": deployment.queue.name,
        "work_queue_id": deployment.queue.id,
        "paused": deployment.paused,
        "concurrency_limit_id": deployment.limit_id,
        "status": "READY",
    }


def _limit(deployment: Deployment) -> Row:
    return limit_row(
        deployment.limit_id, f"deployment:{deployment.id}", slots=deployment.limit, used=1
    )


def limit_row(key: UUID | None, name: str, *, slots: int, used: int) -> Row:
    """Return the row of a concurrency limit, without its stamps."""
    return {
        "id": key,
        "name": name,
        "limit": slots,
        "active_slots": used,
        "active": True,
        "denied_slots": 0,
        "slot_decay_per_second": 0.0,
        "avg_slot_occupancy_seconds": 2.0,
    }


def _schedule(deployment: Deployment) -> Row:
    return {
        "id": uuid.uuid5(deployment.id, "schedule"),
        "deployment_id": deployment.id,
        "schedule": json.dumps(deployment.schedule),
        "active": True,
    }


def make_catalog(*, flows: int, deployments: int, seed: int) -> Catalog:
    """Return *deployments* of one queue, spread evenly over *flows*.

    The same *seed* gives the same ids.
    """
    source = random.Random(seed)
    named = [(new_id(source), f"flow-{number:03d}") for number in range(flows)]
    queue = Queue(new_id(source), "default", Pool(new_id(source), "bench-pool"))
    rows = [
        Deployment(
            id=new_id(source),
            name=f"deployment-{number:03d}",
            flow_id=named[number % flows][0],
            flow=named[number % flows][1],
            queue=queue,
        )
        for number in range(deployments)
    ]
    return Catalog([queue], rows)


def new_id(source: random.Random) -> UUID:
    """Return a random id that the source's seed decides."""
    return uuid.UUID(int=source.getrandbits(128), version=4)
