"""Why flow runs are late: the causes that ``prefect-exporter why-late`` tells, as a gauge."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from prefect_exporter.api import Interval, RunFilter
from prefect_exporter.collectors.base import Context
from prefect_exporter.directory import DEPLOYMENT_PAGE, pages
from prefect_exporter.labels import clip
from prefect_exporter.lateness.causes import diagnose
from prefect_exporter.lateness.facts import all_facts
from prefect_exporter.lateness.model import Diagnosis, Facts, Plan, Subject
from prefect_exporter.lateness.plans import NEW_US
from prefect_exporter.lateness.reading import read_late, read_surroundings
from prefect_exporter.metrics import Counted, Family, Kind, Labels, Samples
from prefect_exporter.moments import SECOND, micros, moment
from prefect_exporter.roster import Listed
from prefect_exporter.schedules import due, union
from prefect_exporter.settings import Settings
from prefect_exporter.wire import Deployment

# Deployments are dear to ask for, and how they are set changes rarely: so many polls later anew.
REMEMBERED_POLLS = 5


@dataclass(frozen=True, slots=True)
class LateCauses:
    """Why flow runs are late.

    Args:
        late: Every diagnosis, most runs first.
        number: Flow runs by flow, deployment and cause.
        known: The deployments of what is late, as they were shown *age* polls ago.
    """

    late: tuple[Diagnosis, ...]
    number: Mapping[Labels, int]
    truncated: bool
    folded: int = 0
    known: Mapping[UUID, Deployment] = field(default_factory=dict)
    age: int = 0


def _number(state: LateCauses) -> Samples:
    return ((labels, float(number)) for labels, number in state.number.items())


class LateCauseCollector:
    """Look at what is late and at what may hold it back; nothing late costs four small requests."""

    name = "late_causes"
    required = False
    counted: tuple[Counted, ...] = ()
    families = (
        Family(
            "prefect_flow_runs_late_by_cause",
            Kind.GAUGE,
            "Late flow runs by what has to be mended first; 1 for a deployment with no runs made.",
            ("flow", "deployment", "cause"),
            _number,
        ),
    )

    def __init__(self, settings: Settings) -> None:
        self.interval_seconds = settings.interval(self.name, 60.0)
        self._after_us = round(settings.late_after_seconds * SECOND)
        self._pages = settings.active_pages

    async def poll(self, context: Context, previous: LateCauses | None) -> LateCauses:
        """Ask what is late, then what surrounds it."""
        late = await read_late(
            context.api, now_us=context.now_us(), after_us=self._after_us, max_pages=self._pages
        )
        age = previous.age + 1 if previous and previous.age < REMEMBERED_POLLS else 0
        remembered = previous.known if previous and age else {}

        async def deployments(ids: Collection[UUID]) -> Mapping[UUID, Deployment]:
            return await _deployments(context, ids, remembered)

        seen = await read_surroundings(
            context.api, late, context.directory.flows, deployments, self._pages
        )
        facts = all_facts(context.now_us(), late, seen)
        facts += await _unscheduled(context, {each.subject.deployment_id for each in facts})
        takes = context.settings.selection.takes
        diagnoses = tuple(
            found
            for each in facts
            if takes(each.subject.flow, each.subject.deployment, each.subject.work_pool)
            and (found := diagnose(each))
        )
        number = await _counted(context, diagnoses)
        truncated = late.truncated or seen.truncated
        return LateCauses(diagnoses, number, truncated, known=seen.deployments, age=age)


async def _deployments(
    context: Context, ids: Collection[UUID], remembered: Mapping[UUID, Deployment]
) -> Mapping[UUID, Deployment]:
    known = {key: remembered[key] for key in ids if key in remembered}
    for page in pages((key for key in ids if key not in known), DEPLOYMENT_PAGE):
        known |= {row.id: row for row in await context.api.deployments(page)}
    return known


async def _unscheduled(context: Context, late: Collection[UUID | None]) -> Sequence[Facts]:
    """Return deployments not *late* that are due while Prefect holds no run that is to come.

    Of a single deployment without runs the command tells: counting each would be dear.
    """
    roster = context.directory.roster.values()
    waiting = [each for each in roster if each.timings and not each.paused and each.id not in late]
    if not waiting:
        return ()
    now_us = context.now_us()
    to_come = RunFilter(state_types=("SCHEDULED",), due=Interval(after=moment(now_us)))
    if await context.api.count_flow_runs(to_come):
        return ()
    # In a thread: a hostile RRULE takes its time.
    return await asyncio.to_thread(lambda: [_planned(each, now_us) for each in waiting])


def _planned(listed: Listed, now_us: int) -> Facts:
    flow, deployment = listed.name
    subject = Subject(flow, deployment, listed.work_pool, listed.work_queue, listed.id)
    new = listed.created is not None and now_us - micros(listed.created) < NEW_US
    following = union(due(each, moment(now_us)) for each in listed.timings).following
    plan = None if new else Plan(None if following is None else micros(following), to_come=0)
    return Facts(now_us, subject, plan=plan)


async def _counted(context: Context, diagnoses: Sequence[Diagnosis]) -> Mapping[Labels, int]:
    """Return how many runs each cause holds back; a deployment without runs to come counts one."""
    named = [(each, (clip(each.subject.flow), clip(each.subject.deployment))) for each in diagnoses]
    places = await context.directory.places("deployment", {name for _, name in named})
    number: dict[Labels, int] = {}
    for each, name in named:
        labels = (*places[name], str(each.cause))
        number[labels] = number.get(labels, 0) + max(1, each.late)
    return number
