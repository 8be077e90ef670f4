"""Concurrency limits of tags, of deployments and global ones: how full, and who holds the slots."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from uuid import UUID

from prefect_exporter.collectors.base import Context
from prefect_exporter.collectors.folding import folded, sums
from prefect_exporter.collectors.slot_holders import holders_of_deployments, holders_of_tags
from prefect_exporter.errors import Rejected
from prefect_exporter.labels import clip
from prefect_exporter.metrics import Counted, Family, Kind, Labels, Samples
from prefect_exporter.paging import listed, once
from prefect_exporter.settings import Settings
from prefect_exporter.wire import ConcurrencyLimit, TagLimit

TAG, DEPLOYMENT, GLOBAL = "tag", "deployment", "global"


@dataclass(frozen=True, slots=True)
class Key:
    """What a limit is for: a tag, a deployment by its id, or whatever a global one is named."""

    kind: str
    name: str
    deployment_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Slots:
    """How many slots a limit has, how many are used, and by how many who have not ended.

    ``holders`` is None where Prefect does not say who holds them.
    """

    slots: int
    used: float
    holders: int | None = None


@dataclass(frozen=True, slots=True)
class ConcurrencyLimits:
    """The limits in force, each in its place."""

    rows: Sequence[tuple[Labels, Slots]]
    truncated: bool
    folded: int


def _slots(state: ConcurrencyLimits) -> Samples:
    return sums((at, row.slots) for at, row in state.rows)


def _used(state: ConcurrencyLimits) -> Samples:
    return sums((at, row.used) for at, row in state.rows)


def _holders(state: ConcurrencyLimits) -> Samples:
    unknown = {at for at, row in state.rows if row.holders is None}
    return sums((at, row.holders) for at, row in state.rows if at not in unknown)


LABELS = ("limit", "kind")


class ConcurrencyLimitCollector:
    """List the limits, and look up the runs that hold their slots."""

    name = "concurrency_limits"
    required = False
    counted: tuple[Counted, ...] = ()
    families = (
        Family(
            "prefect_concurrency_limit_slots",
            Kind.GAUGE,
            "How many slots the concurrency limit has.",
            LABELS,
            _slots,
        ),
        Family(
            "prefect_concurrency_limit_slots_used",
            Kind.GAUGE,
            "How many of them are in use.",
            LABELS,
            _used,
        ),
        Family(
            "prefect_concurrency_limit_holders",
            Kind.GAUGE,
            "Runs that have not ended and may hold these slots.",
            LABELS,
            _holders,
        ),
    )

    def __init__(self, settings: Settings) -> None:
        self.interval_seconds = settings.interval(self.name, 60.0)
        self._pages = settings.active_pages

    async def poll(self, context: Context, previous: ConcurrencyLimits | None) -> ConcurrencyLimits:
        """List limits, then the tags of task runs, then look up who holds what is used."""
        rows, more = await listed(context.api.concurrency_limits, self._pages)
        tags, more_tags = await self._tags(context)
        limits = _limits(rows, tags)
        names = await _names(context, limits)
        used = {key: slots for key, slots in limits.items() if key in names and slots.used}
        holders, left = await self._holders(context, used, tags)
        no_repeats = once(row.name for row in rows) and once(tag.tag for tag in tags)
        whole = no_repeats and not more and not more_tags
        places = await context.directory.places(
            "concurrency_limit", list(names.values()), whole=whole
        )
        found = [
            # A folded limit keeps its kind.
            ((places[name][0], key.kind), _held(key, limits[key], holders))
            for key, name in names.items()
        ]
        return ConcurrencyLimits(found, more or more_tags or left, folded(places))

    async def _tags(self, context: Context) -> tuple[Sequence[TagLimit], bool]:
        try:
            return await listed(context.api.tag_limits, self._pages)
        except Rejected as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return (), False

    async def _holders(
        self, context: Context, used: Iterable[Key], tags: Sequence[TagLimit]
    ) -> tuple[Mapping[Key, int], bool]:
        listed_tags = {tag.tag: tag.active_slots for tag in tags}
        of_tags, more = await holders_of_tags(
            context.api, [key.name for key in used if key.kind == TAG], listed_tags, self._pages
        )
        ids = [key.deployment_id for key in used if key.deployment_id]
        of_deployments, more_runs = await holders_of_deployments(context.api, ids, self._pages)
        holders = {Key(TAG, tag): number for tag, number in of_tags.items()}
        holders |= {_deployment(key): number for key, number in of_deployments.items()}
        return holders, more or more_runs


def _limits(rows: Sequence[ConcurrencyLimit], tags: Iterable[TagLimit]) -> dict[Key, Slots]:
    limits = {_key(row.name): Slots(row.limit, row.active_slots) for row in rows if row.active}
    names = {row.name for row in rows}
    # Servers before the two kinds were merged have limits of tags only in their own list.
    return limits | {
        Key(TAG, tag.tag): Slots(tag.concurrency_limit, len(tag.active_slots))
        for tag in tags
        if f"tag:{tag.tag}" not in names
    }


def _key(name: str) -> Key:
    kind, _, rest = name.partition(":")
    if kind == TAG:
        return Key(TAG, rest)
    if kind == DEPLOYMENT:
        with suppress(ValueError):
            return _deployment(UUID(rest))
    return Key(GLOBAL, name)


def _deployment(key: UUID) -> Key:
    return Key(DEPLOYMENT, str(key), key)


async def _names(context: Context, keys: Collection[Key]) -> dict[Key, Labels]:
    ids = {key.deployment_id for key in keys if key.deployment_id}
    deployments = await context.directory.deployments(ids)
    names: dict[Key, Labels] = {}
    for key in keys:
        if key.deployment_id is None:
            names[key] = clip(key.name), key.kind
            continue
        deployment = deployments[key.deployment_id]
        if context.settings.selection.takes(deployment.flow, deployment.name):
            names[key] = clip(f"{deployment.flow}/{deployment.name}"), key.kind
    return names


def _held(key: Key, slots: Slots, holders: Mapping[Key, int]) -> Slots:
    if key.kind == GLOBAL:
        return slots
    return replace(slots, holders=holders.get(key) if slots.used else 0)
