"""Whether Prefect has made the runs that schedules ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from prefect_exporter.api import Api, Interval, RunFilter
from prefect_exporter.directory import DELETED
from prefect_exporter.lateness.model import Facts, Plan, Subject
from prefect_exporter.moments import SECOND, micros, moment
from prefect_exporter.schedules import due, union
from prefect_exporter.wire import Deployment

# A scheduler that works makes the runs of a new deployment within seconds, all others' every
# minute.
NEW_US = 120 * SECOND
MOST_COUNTS = 200
_PAGES = 5


@dataclass(frozen=True, slots=True)
class Planned:
    """The facts of deployments that nothing is late of; *unseen* is how many were left out."""

    facts: Sequence[Facts]
    unseen: int = 0


async def read_plans(
    api: Api, deployments: Sequence[Deployment], flows: Mapping[UUID, str], now_us: int
) -> Planned:
    """Return what schedules ask for and how many runs there are to come.

    The runs that come next show most deployments in a few pages; the others are counted one by
    one, ``MOST_COUNTS`` at most.

    Raises:
        ApiError: Prefect gave no answer.
    """
    now = moment(now_us)
    wanted = {row.id: following for row in deployments if (following := _following(row, now))}
    seen = await _next_runs(api, set(wanted), now)
    uncounted = [key for key in wanted if key not in seen]
    counted = {key: await _to_come(api, key, now) for key in uncounted[:MOST_COUNTS]}
    left = set(uncounted[MOST_COUNTS:])
    facts = [
        Facts(
            now_us=now_us,
            subject=subject(row, flows),
            paused=row.paused,
            plan=_plan(wanted.get(row.id), counted.get(row.id, 1), row, now_us),
        )
        for row in deployments
        if row.id not in left
    ]
    return Planned(facts, len(left))


def subject(row: Deployment, flows: Mapping[UUID, str]) -> Subject:
    """Return the names of a deployment."""
    flow = flows.get(row.flow_id, DELETED)
    return Subject(flow, row.name, row.work_pool_name or "", row.work_queue_name or "", row.id)


def _plan(following: datetime | None, to_come: int, row: Deployment, now_us: int) -> Plan | None:
    if row.created is not None and now_us - micros(row.created) < NEW_US:
        return None
    return Plan(None if following is None else micros(following), to_come)


def _following(row: Deployment, now: datetime) -> datetime | None:
    if row.paused:
        return None
    return union(due(each.schedule, now) for each in row.schedules if each.active).following


async def _next_runs(api: Api, wanted: set[UUID], now: datetime) -> set[UUID]:
    """Return of which deployments the runs that come next are."""
    seen: set[UUID] = set()
    where = RunFilter(state_types=("SCHEDULED",), due=Interval(after=now))
    offset = 0
    for _ in range(_PAGES if wanted else 0):
        page = await api.flow_runs(where, "NEXT_SCHEDULED_START_TIME_ASC", offset)
        seen |= {row.deployment_id for row in page.rows if row.deployment_id}
        offset += len(page.rows)
        if wanted <= seen or not page.full:
            break
    return seen


async def _to_come(api: Api, deployment: UUID, now: datetime) -> int:
    where = RunFilter(
        state_types=("SCHEDULED",), due=Interval(after=now), deployment_ids=(deployment,)
    )
    return await api.count_flow_runs(where)
