"""Deployments, as far as counting needs them: their names, and their counters at 0."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from uuid import UUID

from prefect_exporter.collectors.base import Context
from prefect_exporter.collectors.flow_runs import FINISHED, RETRIES
from prefect_exporter.facts import Change, Series
from prefect_exporter.labels import OUTCOMES
from prefect_exporter.metrics import Counted, Family, Kind, Labels, Samples
from prefect_exporter.moments import SECOND
from prefect_exporter.settings import Settings
from prefect_exporter.wire import Deployment

# The server takes about 20 ms for each deployment, whatever is asked of it: small pages keep it
# answering others.
PAGE = 25
# After the first listing, it may spend so much of its time on us, until half an interval went by in
# pauses.
SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Deployments:
    """How many deployments there are."""

    number: int
    truncated: bool


def _number(state: Deployments) -> Samples:
    yield (), float(state.number)


class DeploymentCollector:
    """List deployments slowly, and let each one's counters exist before they count."""

    name = "deployments"
    required = False
    counted: tuple[Counted, ...] = ()
    families = (
        Family(
            "prefect_deployments",
            Kind.GAUGE,
            "Deployments that the last whole listing showed.",
            (),
            _number,
        ),
    )

    def __init__(self, settings: Settings) -> None:
        self.interval_seconds = settings.slow_interval_seconds
        self._limit = settings.max_deployments
        self._retire_after_us = round(settings.retire_after_seconds * SECOND)

    async def poll(self, context: Context, previous: Deployments | None) -> Deployments:
        """List, seed, and retire what is gone for long."""
        listed: set[UUID] = set()
        more, paused = True, 0.0
        while more and len(listed) < self._limit:
            asked_us = context.now_us()
            page = await context.api.deployment_page(len(listed), PAGE)
            took_us = max(context.now_us() - asked_us, 0)
            await _seed(context, list(page.rows))
            known = len(listed)
            listed |= {row.id for row in page.rows}
            more = page.full
            if more and len(listed) == known:
                # The server gives the same page again: this is no whole list, and retires nothing.
                break
            if more and previous is not None and paused < self.interval_seconds / 2:
                pause = took_us / SECOND * (1 / SHARE - 1)
                await asyncio.sleep(pause)
                paused += pause
        if not more:
            await context.store.run(
                context.store.ledger.retire,
                context.target,
                listed,
                context.now_us(),
                self._retire_after_us,
            )
        return Deployments(len(listed), truncated=more)


async def _seed(context: Context, rows: list[Deployment]) -> None:
    named = await context.directory.learn(rows)
    names = {(row.flow, row.name) for row in named}
    places = await context.directory.places("deployment", names)
    own = [place for name, place in places.items() if place == name]
    seeds = tuple(series for place in own for series in seeds_of(context.target, place))
    await context.store.run(
        context.store.ledger.commit, Change(context.target, DeploymentCollector.name, seeds=seeds)
    )


def seeds_of(target: str, deployment: Labels) -> list[Series]:
    """Return the series that a deployment has before it ever ran."""
    ends = [Series(FINISHED.name, (target, *deployment, "false", how)) for how in OUTCOMES]
    return [*ends, Series(RETRIES.name, (target, *deployment))]
