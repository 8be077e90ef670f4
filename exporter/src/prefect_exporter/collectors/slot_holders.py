"""Who really holds the slots of concurrency limits: a slot can outlive its run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from uuid import UUID

from prefect_exporter.api import Api, RunFilter
from prefect_exporter.directory import PAGE, pages
from prefect_exporter.errors import Rejected
from prefect_exporter.paging import flow_runs, listed

_NOT_ENDED = ("SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING")
_HOLDING = ("PENDING", "RUNNING", "CANCELLING")
# A run that waits for its retry inside its process keeps its slot.
_RETRYING = "AwaitingRetry"
_NOT_STARTED = ("Scheduled", "Late", "AwaitingConcurrencySlot")


async def holders_of_tags(
    api: Api, tags: Iterable[str], known: Mapping[str, Sequence[UUID]], max_pages: int
) -> tuple[dict[str, int], bool]:
    """Return how many task runs that have not ended hold slots of each tag; and if some are left.

    Args:
        api: Prefect.
        tags: Those of which slots are used.
        known: Who holds slots of some of them, as far as Prefect listed it.
        max_pages: Bounds how many holders are looked up; tags beyond are left out.
    """
    held = {tag: known[tag] if tag in known else await _holders(api, tag) for tag in tags}
    ids = list(dict.fromkeys(key for holders in held.values() for key in holders or ()))
    looked_up = ids[: max_pages * PAGE]
    alive: set[UUID] = set()
    for page in pages(looked_up, PAGE):
        where = RunFilter(ids=tuple(page), state_types=_NOT_ENDED)
        # A server may allow as little as one row a page.
        rows, _ = await listed(partial(api.task_runs, where, "ID_DESC"), PAGE)
        alive |= {row.id for row in rows}
    beyond = set(ids[len(looked_up) :])
    counted = {
        tag: sum(key in alive for key in holders)
        for tag, holders in held.items()
        if holders is not None and beyond.isdisjoint(holders)
    }
    return counted, bool(beyond)


async def _holders(api: Api, tag: str) -> Sequence[UUID] | None:
    # Prefect 3.8 cuts its list of tags among all limits, so others can crowd a tag out of it.
    try:
        return (await api.tag_limit(tag)).active_slots
    except Rejected as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        return None


async def holders_of_deployments(
    api: Api, deployments: Iterable[UUID], max_pages: int
) -> tuple[dict[UUID, int], bool]:
    """Return how many flow runs of each deployment can hold its slots; and if some are left.

    Args:
        api: Prefect.
        deployments: Those of which slots are used.
        max_pages: Bounds the runs that are read for each page of deployments; where there are
            more, these deployments are left out.
    """
    counted: dict[UUID, int] = {}
    left = False
    for page in pages(deployments, PAGE):
        where = RunFilter(
            deployment_ids=tuple(page),
            state_types=(*_HOLDING, "SCHEDULED"),
            not_state_names=_NOT_STARTED,
        )
        rows, more = await flow_runs(api, where, "EXPECTED_START_TIME_ASC", max_pages)
        left |= more
        if not more:
            holding = Counter(
                row.deployment_id
                for row in rows
                if row.state_type in _HOLDING or row.state_name == _RETRYING
            )
            counted |= {key: holding[key] for key in page}
    return counted, left
