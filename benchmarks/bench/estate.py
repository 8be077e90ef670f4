"""A large workspace: a bit of everything that Prefect has, in known numbers."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from bench.catalog import Catalog, Deployment, Pool, Queue, Row, Tables, limit_row, new_id

_TYPES = ("process", "kubernetes", "docker", "ecs", "cloud-run-v2:push")
_SECONDS = (300.0, 900.0, 3600.0, 86400.0)
_OBJECTIVES = ("slo:fresh=26h", "slo:success=99.5%", "slo:duration=30m", "slo:delay=5m")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much there is of everything.

    Args:
        tasks: Names of tasks, each of one flow.
        tag_limits: Limits of tags, whose slots running task runs hold.
        limits: Global limits.
    """

    flows: int = 200
    deployments: int = 1000
    pools: int = 20
    queues: int = 50
    workers: int = 60
    tasks: int = 300
    tag_limits: int = 10
    limits: int = 20
    automations: int = 10


TENTH = Scale(
    flows=20,
    deployments=100,
    pools=4,
    queues=10,
    workers=6,
    tasks=30,
    tag_limits=3,
    limits=4,
    automations=3,
)


def large_catalog(scale: Scale, seed: int) -> Catalog:
    """Return deployments of every sort; the same *seed* gives the same ids."""
    source = random.Random(seed)
    pools = [_pool(new_id(source), number) for number in range(scale.pools)]
    queues = [_queue(new_id(source), pools, number) for number in range(scale.queues)]
    flows = [new_id(source) for _ in range(scale.flows)]
    return Catalog(
        queues,
        [
            _deployment(scale, new_id(source), flows[number % scale.flows], queues, number)
            for number in range(scale.deployments)
        ],
    )


def _pool(key: UUID, number: int) -> Pool:
    limit = 100 if number % 2 == 0 else None
    return Pool(key, f"pool-{number:02d}", _TYPES[number % len(_TYPES)], limit)


def _queue(key: UUID, pools: Sequence[Pool], number: int) -> Queue:
    turn, place = divmod(number, len(pools))
    name = f"queue-{turn}" if turn else "default"
    return Queue(key, name, pools[place], turn + 1, 20 if number % 3 == 1 else None)


def _deployment(
    scale: Scale, key: UUID, flow_id: UUID, queues: Sequence[Queue], number: int
) -> Deployment:
    flow = number % scale.flows
    slo = (_OBJECTIVES[number // 4 % len(_OBJECTIVES)],) if number % 4 == 0 else ()
    return Deployment(
        id=key,
        name=f"deployment-{number:04d}",
        flow_id=flow_id,
        flow=f"flow-{flow:03d}",
        queue=queues[number % len(queues)],
        tasks=[f"task-{task:03d}" for task in range(flow, scale.tasks, scale.flows)],
        tags=(f"team:team-{flow % 12:02d}", f"tier:{number % 3}", *slo),
        paused=number % 20 == 0,
        schedule=_schedule(number),
        limit_id=uuid.uuid5(key, "limit") if number % 10 == 1 else None,
    )


def _schedule(number: int) -> Mapping[str, object] | None:
    minute, hour = number % 60, number // 60 % 24
    sorts: tuple[Mapping[str, object] | None, ...] = (
        {
            "interval": _SECONDS[number // 4 % len(_SECONDS)],
            "anchor_date": f"2026-01-01T00:{minute:02d}:00Z",
            "timezone": "UTC",
        },
        {"cron": f"{minute} {hour} * * *", "timezone": "Europe/Berlin", "day_or": True},
        {"rrule": f"FREQ=DAILY;BYHOUR={hour};BYMINUTE={minute}", "timezone": "America/New_York"},
        None,
    )
    return sorts[number % len(sorts)]


def holdings(
    scale: Scale, catalog: Catalog, now: datetime, holders: Sequence[UUID], seed: int
) -> Tables:
    """Return what there is beside deployments and runs: workers, limits, automations.

    The workers were last heard of *now*; *holders* are the task runs that hold the slots of the
    tags' limits.
    """
    source = random.Random(seed)
    stamps: Row = {"created": now, "updated": now}
    served = [pool for pool in catalog.pools if not pool.type.endswith(":push")]
    workers = [_worker(served, number) for number in range(scale.workers)]
    tags = [
        _tag_limit(number, holders[number :: scale.tag_limits])
        for number in range(scale.tag_limits)
    ]
    limits = [
        limit_row(None, f"limit-{number:02d}", slots=10, used=number % 11)
        for number in range(scale.limits)
    ]
    automations = [_automation(number) for number in range(scale.automations)]
    rows = {
        "worker": [each | {"last_heartbeat_time": now} for each in workers],
        "concurrency_limit": tags,
        "concurrency_limit_v2": limits,
        "automation": automations,
    }
    return {
        table: [each | stamps | {"id": new_id(source)} for each in some]
        for table, some in rows.items()
    }


def _worker(pools: Sequence[Pool], number: int) -> Row:
    return {
        "work_pool_id": pools[number % len(pools)].id,
        "name": f"worker-{number:03d}",
        # So that they stay online without sending any more.
        "heartbeat_interval_seconds": 3600,
        "status": "ONLINE",
    }


def _tag_limit(number: int, holders: Sequence[UUID]) -> Row:
    return {
        "tag": f"database-{number}",
        "concurrency_limit": len(holders) + 5,
        "active_slots": json.dumps([str(each) for each in holders]),
    }


def _automation(number: int) -> Row:
    trigger = {
        "type": "event",
        "id": str(uuid.UUID(int=number, version=4)),
        "match": {"prefect.resource.id": "prefect.flow-run.*"},
        "match_related": {},
        "after": [],
        "expect": ["prefect.flow-run.Failed"],
        "for_each": ["prefect.resource.id"],
        "posture": "Reactive",
        "threshold": 1,
        "within": 0,
    }
    return {
        "name": f"automation-{number:02d}",
        "description": "",
        "enabled": number % 4 != 1,
        "trigger": json.dumps(trigger),
        "actions": json.dumps([{"type": "do-nothing"}]),
    }
