"""Deployments: what they are, whose they are, and their counters at 0 before they count."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import structlog

from prefect_exporter.collectors.base import Context
from prefect_exporter.collectors.flow_runs import FINISHED, RETRIES
from prefect_exporter.facts import Change, Series
from prefect_exporter.labels import OTHER, OUTCOMES
from prefect_exporter.metrics import Counted, Family, Kind, Labels, Samples
from prefect_exporter.moments import SECOND
from prefect_exporter.roster import Listed, listed
from prefect_exporter.settings import Settings
from prefect_exporter.values import tag_label
from prefect_exporter.wire import Deployment

# The server takes about 20 ms for each deployment, whatever is asked of it: small pages keep it
# answering others.
PAGE = 25
# After the first listing, it may spend so much of its time on us, until half an interval went by in
# pauses.
SHARE = 0.2
STATUSES = ("READY", "NOT_READY")
REFUSED_TOLD = 5

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Deployments:
    """The deployments that are selected.

    Args:
        number: How many there are.
        listed: Those that have series of their own.
        folded: How many have not, since their name came after the limit was reached.
        bad_objectives: How many tags of theirs name an objective that is none.
        refused: Which ones, as flow, deployment and tag.
    """

    number: int
    truncated: bool
    listed: tuple[Listed, ...] = ()
    folded: int = 0
    bad_objectives: int = 0
    refused: frozenset[Labels] = frozenset()


@dataclass(slots=True)
class _Listing:
    """What the pages of one listing have shown so far."""

    seen: set[UUID] = field(default_factory=set)
    selected: set[UUID] = field(default_factory=set)
    shown: dict[Labels, Listed] = field(default_factory=dict)
    folded: int = 0
    bad_objectives: int = 0
    refused: set[Labels] = field(default_factory=set)
    shifted: bool = False


def _number(state: Deployments) -> Samples:
    yield (), float(state.number)


def _info(state: Deployments) -> Samples:
    for each in state.listed:
        yield (*each.name, each.work_pool, each.work_queue, *each.owners), 1.0


def _status(state: Deployments) -> Samples:
    for each in state.listed:
        if each.status is not None:
            for status in STATUSES:
                yield (*each.name, status), float(each.status == status)
            if each.status not in STATUSES:
                yield (*each.name, OTHER), 1.0


def _objectives(state: Deployments) -> Samples:
    for each in state.listed:
        for objective, value in each.objectives.items():
            yield (*each.name, objective), value


def _bad_objectives(state: Deployments) -> Samples:
    yield (), float(state.bad_objectives)


def _each(value: Callable[[Listed], float | None]) -> Callable[[Deployments], Samples]:
    """Return the reader of one number of each deployment; None has no sample."""

    def read(state: Deployments) -> Iterator[tuple[Labels, float]]:
        for each in state.listed:
            if (number := value(each)) is not None:
                yield each.name, float(number)

    return read


NAME = ("flow", "deployment")


FAMILIES = (
    Family(
        "prefect_deployments",
        Kind.GAUGE,
        "Deployments that the last whole listing showed.",
        (),
        _number,
    ),
    Family(
        "prefect_deployment_paused",
        Kind.GAUGE,
        "Whether the deployment is paused: then its schedules make no runs.",
        NAME,
        _each(lambda each: each.paused),
    ),
    Family(
        "prefect_deployment_status",
        Kind.GAUGE,
        "Whether a worker has lately asked for the deployment's runs: 1 for its status.",
        (*NAME, "status"),
        _status,
    ),
    Family(
        "prefect_deployment_concurrency_limit",
        Kind.GAUGE,
        "How many flow runs of the deployment may be under way at once, where that is limited.",
        NAME,
        _each(lambda each: each.limit),
    ),
    Family(
        "prefect_deployment_schedules",
        Kind.GAUGE,
        "Schedules of the deployment.",
        NAME,
        _each(lambda each: each.schedules),
    ),
    Family(
        "prefect_deployment_schedules_active",
        Kind.GAUGE,
        "Those of them that are active.",
        NAME,
        _each(lambda each: len(each.timings)),
    ),
    Family(
        "prefect_deployment_objective",
        Kind.GAUGE,
        "What a tag asks of the deployment: seconds, or of success a ratio.",
        (*NAME, "objective"),
        _objectives,
    ),
    Family(
        "prefect_exporter_bad_objectives",
        Kind.GAUGE,
        "Tags of deployments that name an objective that is none.",
        (),
        _bad_objectives,
    ),
)


def _info_family(tag_labels: Labels) -> Family[Deployments]:
    return Family(
        "prefect_deployment_info",
        Kind.GAUGE,
        "What a deployment is, and whose; to be joined to the others.",
        (*NAME, "work_pool", "work_queue", *tag_labels),
        _info,
    )


class DeploymentCollector:
    """List deployments slowly, and let each one's counters exist before they count."""

    name = "deployments"
    required = False
    counted: tuple[Counted, ...] = ()

    def __init__(self, settings: Settings) -> None:
        self.interval_seconds = settings.interval(self.name, settings.slow_interval_seconds)
        self.families = (_info_family(tuple(map(tag_label, settings.tag_labels))), *FAMILIES)
        self._limit = settings.max_deployments
        self._retire_after_us = round(settings.retire_after_seconds * SECOND)

    async def poll(self, context: Context, previous: Deployments | None) -> Deployments:
        """List, seed, and retire what is gone for long."""
        listing = _Listing()
        more, paused = True, 0.0
        while more and len(listing.seen) < self._limit:
            asked_us = context.now_us()
            page = await context.api.deployment_page(len(listing.seen), PAGE)
            took_us = max(context.now_us() - asked_us, 0)
            known = len(listing.seen)
            listing.seen |= {row.id for row in page.rows}
            listing.shifted |= len(listing.seen) < known + len(page.rows)
            await _take(context, page.rows, listing)
            more = page.full
            if more and len(listing.seen) == known:
                # The server gives the same page again: this is no whole list, and retires nothing.
                break
            if more and previous is not None and paused < self.interval_seconds / 2:
                pause = took_us / SECOND * (1 / SHARE - 1)
                await asyncio.sleep(pause)
                paused += pause
        # Where a row comes twice, another may not have come at all.
        await self._finish(context, listing, whole=not more and not listing.shifted)
        refused = frozenset(listing.refused)
        if refused and (previous is None or refused != previous.refused):
            _tell(context.target, refused)
        return Deployments(
            len(listing.selected),
            truncated=more,
            listed=tuple(context.directory.roster.values()),
            folded=listing.folded,
            bad_objectives=listing.bad_objectives,
            refused=refused,
        )

    async def _finish(self, context: Context, listing: _Listing, *, whole: bool) -> None:
        """Let go of what a whole listing did not show; what others did not reach may still be."""
        roster = context.directory.roster
        missed = [name for name in roster if name not in listing.shown]
        for name in missed if whole else missed[max(self._limit - len(listing.seen), 0) :]:
            del roster[name]
        context.directory.listed = True
        context.directory.whole |= whole
        if whole:
            await context.store.run(
                context.store.ledger.retire,
                context.target,
                listing.selected,
                context.now_us(),
                self._retire_after_us,
            )


def _tell(target: str, refused: Collection[Labels]) -> None:
    first = [list(each) for each in sorted(refused)[:REFUSED_TOLD]]
    _log.warning("deployments.objectives_refused", target=target, number=len(refused), first=first)


async def _take(context: Context, rows: Sequence[Deployment], listing: _Listing) -> None:
    """Take in one page: seed what is selected, and keep what has a name of its own."""
    tags = await context.directory.flow_tags({row.flow_id for row in rows})
    names = [(each.flow, each.name) for each in await context.directory.learn(rows)]
    selection = context.settings.selection
    selected = [
        (row, name)
        for row, name in zip(rows, names, strict=True)
        if selection.takes(*name, row.work_pool_name or "")
    ]
    listing.selected |= {row.id for row, _ in selected}
    own = await _seed(context, [name for _, name in selected])
    for row, name in selected:
        if name not in own:
            listing.folded += 1
            continue
        shown = listed(row, name, tags.get(row.flow_id, ()), context.settings.tag_labels)
        listing.bad_objectives += len(shown.refused)
        listing.refused |= {(*name, tag) for tag in shown.refused}
        listing.shown[name] = context.directory.roster[name] = shown


async def _seed(context: Context, names: Collection[Labels]) -> set[Labels]:
    """Let the series of deployments exist; return those names that have series of their own."""
    places = await context.directory.places("deployment", tuple(dict.fromkeys(names)))
    own = {name for name, place in places.items() if place == name}
    seeds = tuple(series for name in own for series in seeds_of(context.target, name))
    await context.store.run(
        context.store.ledger.commit, Change(context.target, DeploymentCollector.name, seeds=seeds)
    )
    return own


def seeds_of(target: str, deployment: Labels) -> list[Series]:
    """Return the series that a deployment has before it ever ran."""
    ends = [Series(FINISHED.name, (target, *deployment, "false", how)) for how in OUTCOMES]
    return [*ends, Series(RETRIES.name, (target, *deployment))]
