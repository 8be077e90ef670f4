"""Answer the question: why is this deployment late, or everything that is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from prefect_exporter.api import Api
from prefect_exporter.directory import DEPLOYMENT_PAGE, PAGE, pages
from prefect_exporter.lateness.causes import diagnose
from prefect_exporter.lateness.facts import all_facts
from prefect_exporter.lateness.model import Diagnosis, Facts, Subject
from prefect_exporter.lateness.plans import read_plans
from prefect_exporter.lateness.reading import read_late, read_surroundings
from prefect_exporter.wire import Deployment

DEPLOYMENTS_AT_ONCE = 25
MOST_DEPLOYMENTS = 5_000


class NoSuchDeploymentError(Exception):
    """Prefect has no deployment that is called so."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is late, most runs first.

    Args:
        found: The facts that were judged, of the deployment that was asked for.
        notes: What was not read.
    """

    diagnoses: Sequence[Diagnosis]
    found: Sequence[Facts] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked.

    Args:
        wanted: ``flow/deployment``, a deployment's name or its id; None for all.
        after_us: From when on a run counts as late.
        max_pages: Bounds each list.
    """

    wanted: str | None
    now_us: int
    after_us: int
    max_pages: int


async def answer(api: Api, query: Query, progress: Callable[[str], None]) -> Answer:
    """Return why runs are late; *progress* is told before what may take long.

    Raises:
        ApiError: Prefect gave no answer.
        NoSuchDeploymentError: There is none of that name.
    """
    asking = _Asking(api)
    late = await read_late(
        api, now_us=query.now_us, after_us=query.after_us, max_pages=query.max_pages
    )
    seen = await read_surroundings(api, late, asking.flows, asking.deployments, query.max_pages)
    notes = _notes(truncated=late.truncated or seen.truncated)
    facts = all_facts(query.now_us, late, seen)
    if query.wanted is not None:
        facts = [each for each in facts if called(each.subject, query.wanted)]
    planned, left = ((), ()) if query.wanted and facts else await _planned(asking, query, progress)
    found = [*facts, *planned]
    if query.wanted is None:
        # A pause is somebody's will: it is told to who asks for that deployment.
        found = [each for each in found if each.late or not each.paused]
    diagnoses = [diagnosis for each in found if (diagnosis := diagnose(each))]
    return Answer(diagnoses, found, (*notes, *left))


def called(subject: Subject, wanted: str) -> bool:
    """Return whether a deployment is meant."""
    return wanted in (subject.name, subject.deployment, str(subject.deployment_id))


class _Asking:
    """Names and deployments, asked for in pages."""

    def __init__(self, api: Api) -> None:
        self.api = api

    async def flows(self, ids: Collection[UUID]) -> Mapping[UUID, str]:
        return {row.id: row.name for page in pages(ids, PAGE) for row in await self.api.flows(page)}

    async def deployments(self, ids: Collection[UUID]) -> Mapping[UUID, Deployment]:
        return {
            row.id: row
            for page in pages(ids, DEPLOYMENT_PAGE)
            for row in await self.api.deployments(page)
        }


async def _planned(
    asking: _Asking, query: Query, progress: Callable[[str], None]
) -> tuple[Sequence[Facts], tuple[str, ...]]:
    """Return what the schedules of deployments ask for that nothing is late of."""
    rows, notes = await _listed(asking, query.wanted, progress)
    flows = await asking.flows({row.flow_id for row in rows})
    if query.wanted is not None:
        rows = [row for row in rows if _meant(row, flows, query.wanted)]
        if not rows:
            raise NoSuchDeploymentError(query.wanted)
    planned = await read_plans(asking.api, rows, flows, query.now_us)
    if planned.unseen:
        notes = (*notes, f"the schedules of {planned.unseen} deployments were not looked at")
    return planned.facts, notes


def _meant(row: Deployment, flows: Mapping[UUID, str], wanted: str) -> bool:
    return called(Subject(flows.get(row.flow_id, ""), row.name, deployment_id=row.id), wanted)


async def _listed(
    asking: _Asking, wanted: str | None, progress: Callable[[str], None]
) -> tuple[Sequence[Deployment], tuple[str, ...]]:
    if wanted is not None and (key := _uuid(wanted)):
        return list((await asking.deployments([key])).values()), ()
    rows: list[Deployment] = []
    while len(rows) < MOST_DEPLOYMENTS:
        if rows:
            progress(f"read {len(rows)} deployments")
        page = await asking.api.deployment_page(len(rows), DEPLOYMENTS_AT_ONCE)
        rows += page.rows
        if not page.full:
            return rows, ()
    return rows, (f"only the newest {MOST_DEPLOYMENTS} deployments were looked at",)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _notes(*, truncated: bool) -> tuple[str, ...]:
    if not truncated:
        return ()
    return ("Prefect has more than was read: PREFECT_EXPORTER_ACTIVE_PAGES allows more",)
