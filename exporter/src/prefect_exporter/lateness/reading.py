"""Ask Prefect for what is late and what may hold it back; few requests, shared by all that is late.

Where nothing is late three lists are asked for, and nothing more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TypeAlias
from uuid import UUID

from prefect_exporter.api import Api, Interval, RunFilter
from prefect_exporter.lateness.causes.limits import OF_TAG
from prefect_exporter.moments import moment
from prefect_exporter.paging import flow_runs, listed
from prefect_exporter.wire import (
    ConcurrencyLimit,
    Deployment,
    FlowRun,
    TaskRun,
    Worker,
    WorkPool,
    WorkQueue,
)

# A run that found no slot is due again half a minute later, and so on: it is late all the same.
AWAITING_SLOT = "AwaitingConcurrencySlot"
# Scheduled ones that wait for something else than their time; Prefect filters no better.
_WAITING = RunFilter(state_types=("SCHEDULED",), not_state_names=("Scheduled",))
# A slot of a pool is held from the submission on; one of a deployment until a cancelled run ended.
HOLDING = RunFilter(state_types=("PENDING", "RUNNING", "CANCELLING"))

FlowNames: TypeAlias = Callable[[Collection[UUID]], Awaitable[Mapping[UUID, str]]]
Deployments: TypeAlias = Callable[[Collection[UUID]], Awaitable[Mapping[UUID, Deployment]]]


@dataclass(frozen=True, slots=True)
class Late:
    """What waits.

    Args:
        runs: Flow runs that are late.
        limits: The limits in force, by name.
        stalled: Task runs that wait for a slot of a tag whose limit is full.
        truncated: Whether there is more than was read.
    """

    runs: Sequence[FlowRun]
    limits: Mapping[str, ConcurrencyLimit]
    stalled: Sequence[TaskRun] = ()
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What may hold runs back.

    Args:
        active: Flow runs that may hold slots.
        flows: Names of flows by id.
        workers: By pool, of the pools in which something is late.
        tag_holders: Of tags for which task runs wait: the flow runs that hold their slots.
    """

    active: Sequence[FlowRun] = ()
    flows: Mapping[UUID, str] = field(default_factory=dict)
    deployments: Mapping[UUID, Deployment] = field(default_factory=dict)
    pools: Mapping[str, WorkPool] = field(default_factory=dict)
    queues: Mapping[tuple[str, str], WorkQueue] = field(default_factory=dict)
    workers: Mapping[str, Sequence[Worker]] = field(default_factory=dict)
    tag_holders: Mapping[str, Collection[UUID]] = field(default_factory=dict)
    truncated: bool = False


async def read_late(api: Api, *, now_us: int, after_us: int, max_pages: int) -> Late:
    """Return what is late for longer than *after_us*, the oldest first.

    Raises:
        ApiError: Prefect gave no answer; as everything here does.
    """
    until = moment(now_us - after_us)
    due = RunFilter(state_types=("SCHEDULED",), due=Interval(before=until))
    rows, more = await flow_runs(api, due, "NEXT_SCHEDULED_START_TIME_ASC", max_pages)
    waiting, more_wait = await flow_runs(api, _WAITING, "EXPECTED_START_TIME_ASC", max_pages)
    runs = {row.id: row for row in rows}
    runs |= {row.id: row for row in waiting if _awaits_slot(row, Interval(before=until))}
    limits, more_limits = await listed(api.concurrency_limits, max_pages)
    in_force = {row.name: row for row in limits if row.active}
    stalled, more_tasks = await _stalled(api, in_force, Interval(before=until), max_pages)
    truncated = more or more_wait or more_limits or more_tasks
    ordered = sorted(runs.values(), key=lambda row: (due_at(row) or until, row.id))
    return Late(ordered, in_force, stalled, truncated)


def due_at(run: FlowRun) -> datetime | None:
    """Return when a run that waits was due."""
    if run.state_name == AWAITING_SLOT:
        return run.expected_start_time
    return run.next_scheduled_start_time


async def read_surroundings(
    api: Api, late: Late, flows: FlowNames, deployments: Deployments, max_pages: int
) -> Surroundings:
    """Return what may hold back what is late.

    Args:
        api: Prefect.
        late: What is late.
        flows: Names flows.
        deployments: Shows deployments; they are dear to ask for.
        max_pages: Bounds each list.
    """
    if not late.runs and not late.stalled:
        return Surroundings()
    active, more = await flow_runs(api, HOLDING, "EXPECTED_START_TIME_ASC", max_pages)
    tasks = {task.flow_run_id for task in late.stalled}
    hit = [*late.runs, *(run for run in active if run.id in tasks)]
    pools: list[WorkPool] = []
    queues: list[WorkQueue] = []
    workers: dict[str, Sequence[Worker]] = {}
    if used := {run.work_pool_name for run in late.runs if run.work_pool_name}:
        pools, more_pools = await listed(api.work_pools, max_pages)
        queues, more_queues = await listed(api.work_queues, max_pages)
        more |= more_pools or more_queues
        for pool in sorted(used & {row.name for row in pools}):
            workers[pool], more_workers = await listed(partial(api.workers, pool), max_pages)
            more |= more_workers
    return Surroundings(
        active=active,
        flows=await flows({run.flow_id for run in (*hit, *active)}),
        deployments=await deployments({run.deployment_id for run in hit if run.deployment_id}),
        pools={row.name: row for row in pools},
        queues={(row.work_pool_name or "", row.name): row for row in queues},
        workers=workers,
        tag_holders=await _tag_holders(api, late.stalled, late.limits),
        truncated=more,
    )


def full_tags(limits: Mapping[str, ConcurrencyLimit], tags: Iterable[str]) -> list[str]:
    """Return those of *tags* whose limits are full."""
    found = ((tag, limits.get(f"{OF_TAG}{tag}")) for tag in tags)
    return [tag for tag, limit in found if limit and limit.active_slots >= limit.limit]


def _awaits_slot(run: FlowRun, due: Interval) -> bool:
    return run.state_name == AWAITING_SLOT and due.holds(run.expected_start_time)


async def _stalled(
    api: Api, limits: Mapping[str, ConcurrencyLimit], due: Interval, max_pages: int
) -> tuple[Sequence[TaskRun], bool]:
    """Return task runs that wait for a full tag; asks for none where no tag's limit is full."""
    tags = (name.removeprefix(OF_TAG) for name in limits if name.startswith(OF_TAG))
    if not full_tags(limits, tags):
        return (), False
    # A task run that waits for a slot is PENDING; Prefect 3 has no state of its own for that.
    within = RunFilter(state_types=("RUNNING",))
    where = RunFilter(state_types=("PENDING",), placeholders=False, of=within)
    rows, more = await listed(partial(api.task_runs, where, "ID_DESC"), max_pages)
    waiting = [
        row for row in rows if due.holds(row.expected_start_time) and full_tags(limits, row.tags)
    ]
    return waiting, more


async def _tag_holders(
    api: Api, stalled: Iterable[TaskRun], limits: Mapping[str, ConcurrencyLimit]
) -> dict[str, Collection[UUID]]:
    """Return the flow runs whose tasks hold the slots of the tags that are waited for."""
    tags = sorted({tag for row in stalled for tag in full_tags(limits, row.tags)})
    held = {tag: (await api.tag_limit(tag)).active_slots for tag in tags}
    ids = tuple(dict.fromkeys(key for slots in held.values() for key in slots))
    if not ids:
        return {}
    rows = (await api.task_runs(RunFilter(ids=ids[:200]), "ID_DESC")).rows
    flow_run = {row.id: row.flow_run_id for row in rows if row.flow_run_id}
    return {tag: {flow_run[key] for key in slots if key in flow_run} for tag, slots in held.items()}
