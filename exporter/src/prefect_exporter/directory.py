"""What flows and deployments are called: asked once, in pages of ids, kept within bounds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import TypeVar
from uuid import UUID

from prefect_exporter.api import Api, RunFilter
from prefect_exporter.labels import clip
from prefect_exporter.ledger.names import DeploymentName
from prefect_exporter.metrics import Labels
from prefect_exporter.roster import Listed
from prefect_exporter.store import Store
from prefect_exporter.wire import Deployment, FlowRun

T = TypeVar("T")

PAGE = 200
DEPLOYMENT_PAGE = 50
FLOWS_KEPT = 10_000
RUNS_KEPT = 20_000
# A run can outlive what it belongs to; Prefect then has no name for it any more.
DELETED = "(deleted)"


class Recent(OrderedDict[UUID, str]):
    """The names last used; beyond *size*, the one not used for longest goes."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def take(self, keys: Iterable[UUID]) -> dict[UUID, str]:
        """Return the names that are known, and keep them for longer."""
        found = {key: self[key] for key in keys if key in self}
        for key in found:
            self.move_to_end(key)
        return found

    def put(self, names: Mapping[UUID, str]) -> None:
        """Keep names; the oldest ones make room."""
        self.update(names)
        while len(self) > self._size:
            self.popitem(last=False)


class Directory:
    """The names of one target, and the label values that stand for them.

    ``roster`` has the deployments that the last listing showed, by flow and deployment. ``listed``
    says whether there was a listing since the start, and ``whole`` whether one left nothing out.

    Args:
        target: The Prefect server or workspace.
        api: Who to ask; every method raises its ``ApiError``.
        store: Where deployments' names outlive them, and where names are given their places.
    """

    def __init__(self, target: str, api: Api, store: Store) -> None:
        self._target = target
        self._api = api
        self._store = store
        self._flows = Recent(FLOWS_KEPT)
        self._flow_of_run = Recent(RUNS_KEPT)
        self.roster: dict[Labels, Listed] = {}
        self.listed = False
        self.whole = False

    async def flows(self, ids: Collection[UUID]) -> dict[UUID, str]:
        """Return flow names by id."""
        names = self._flows.take(ids)
        for page in pages((key for key in ids if key not in names), PAGE):
            found = {flow.id: clip(flow.name) for flow in await self._api.flows(page)}
            names |= {key: found.get(key, DELETED) for key in page}
            self._flows.put(found)
        return names

    async def flow_tags(self, ids: Collection[UUID]) -> dict[UUID, Sequence[str]]:
        """Return flows' tags by id; they change, so they are asked for each time."""
        found = [flow for page in pages(ids, PAGE) for flow in await self._api.flows(page)]
        self._flows.put({flow.id: clip(flow.name) for flow in found})
        return {flow.id: flow.tags for flow in found}

    async def deployments(self, ids: Collection[UUID]) -> dict[UUID, DeploymentName]:
        """Return deployments' names by id, also of those that were deleted since we saw them."""
        names = {key: row for key in ids if (row := self._deployment(key))}
        for page in pages((key for key in ids if key not in names), DEPLOYMENT_PAGE):
            await self.learn(await self._api.deployments(page))
            for key in page:
                names[key] = self._deployment(key) or DeploymentName(key, DELETED, DELETED)
        return names

    def _deployment(self, key: UUID) -> DeploymentName | None:
        return self._store.ledger.names.deployment(self._target, key)

    async def learn(self, rows: Sequence[Deployment]) -> Sequence[DeploymentName]:
        """Keep the names of deployments that Prefect has just shown."""
        flows = await self.flows({row.flow_id for row in rows})
        named = [DeploymentName(row.id, flows[row.flow_id], clip(row.name)) for row in rows]
        await self._store.run(self._store.ledger.remember_deployments, self._target, named)
        return named

    async def flows_of_runs(self, ids: Collection[UUID]) -> dict[UUID, str]:
        """Return the flow names of flow runs by the run's id."""
        names = self._flow_of_run.take(ids)
        for page in pages((key for key in ids if key not in names), PAGE):
            runs = await self._runs(page)
            flows = await self.flows({run.flow_id for run in runs})
            found = {run.id: flows[run.flow_id] for run in runs}
            names |= {key: found.get(key, DELETED) for key in page}
            self._flow_of_run.put(found)
        return names

    async def _runs(self, ids: Collection[UUID]) -> Sequence[FlowRun]:
        """Return the flow runs of *ids* that exist, also where a page holds fewer of them."""
        runs: list[FlowRun] = []
        left = set(ids)
        while left:
            page = await self._api.flow_runs(RunFilter(ids=tuple(left)), "ID_DESC")
            runs += page.rows
            left -= {run.id for run in page.rows}
            if not page.full:
                break
        return runs

    async def places(
        self, scope: str, names: Collection[Labels], *, whole: bool = False
    ) -> dict[Labels, Labels]:
        """Return the label values for each name: its own, or ``other`` beyond the limit.

        Args:
            scope: Which limit.
            names: What is to be named.
            whole: Whether there are no others, so that the places of others are free. Only for
                scopes that no counter uses: its series would move.
        """
        ledger = self._store.ledger
        return await self._store.run(ledger.admit, self._target, scope, names, whole=whole)


def pages(items: Iterable[T], size: int) -> Iterable[Sequence[T]]:
    """Cut *items* into pieces of *size*."""
    rest = iter(items)
    while page := list(islice(rest, size)):
        yield page
