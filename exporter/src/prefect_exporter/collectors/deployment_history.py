"""When deployments last succeeded and failed, and how often in a row, from the first hour on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prefect_exporter.api import Interval, RunFilter
from prefect_exporter.collectors.base import Context
from prefect_exporter.collectors.deployments import NAME, SHARE
from prefect_exporter.collectors.flow_runs import FEED
from prefect_exporter.errors import Waiting
from prefect_exporter.facts import Change, End, History
from prefect_exporter.ledger.streaks import LONGEST, Streak
from prefect_exporter.metrics import Counted, Family, Kind, Labels, Samples
from prefect_exporter.moments import micros, moment, seconds
from prefect_exporter.roster import Listed
from prefect_exporter.settings import Settings

# So many deployments a poll are asked for, once ever: 1,000 take a quarter of an hour.
DEPLOYMENTS_PER_POLL = 20
SUCCESS, FAILURE = ("COMPLETED",), ("FAILED", "CRASHED")


@dataclass(frozen=True, slots=True)
class DeploymentHistory:
    """What is known of how deployments' runs ended, by flow and deployment.

    Args:
        truncated: Whether some deployments' history is not asked for yet.
    """

    streaks: Mapping[Labels, Streak]
    truncated: bool
    folded: int = 0


def _each(value: Callable[[Streak], float | None]) -> Callable[[DeploymentHistory], Samples]:
    def read(state: DeploymentHistory) -> Iterator[tuple[Labels, float]]:
        for name, streak in state.streaks.items():
            if (number := value(streak)) is not None:
                yield name, number

    return read


def _succeeded(streak: Streak) -> float | None:
    return None if streak.succeeded_us is None else seconds(streak.succeeded_us)


def _failed(streak: Streak) -> float | None:
    return None if streak.failed_us is None else seconds(streak.failed_us)


def _failures(streak: Streak) -> float | None:
    return None if streak.failures is None else float(streak.failures)


class DeploymentHistoryCollector:
    """Ask once for what was before the first count; from then on, counted ends tell.

    An end is either older than where counting began: then it could be seen when Prefect was asked,
    which is after that. Or it is counted some time, before or after the answer is kept. Both are
    united in the ledger, so it does not matter which came first (see ``ledger.streaks``).
    """

    name = "deployment_history"
    required = False
    counted: tuple[Counted, ...] = ()
    families = (
        Family(
            "prefect_deployment_last_success_timestamp_seconds",
            Kind.GAUGE,
            "When a run of the deployment last completed.",
            NAME,
            _each(_succeeded),
        ),
        Family(
            "prefect_deployment_last_failure_timestamp_seconds",
            Kind.GAUGE,
            "When a run of the deployment last failed, timed out or crashed.",
            NAME,
            _each(_failed),
        ),
        Family(
            "prefect_deployment_consecutive_failures",
            Kind.GAUGE,
            "Runs of the deployment that failed since one completed; 20 stands for 20 or more.",
            NAME,
            _each(_failures),
        ),
    )

    def __init__(self, settings: Settings) -> None:
        self.interval_seconds = settings.interval(self.name, settings.poll_interval_seconds)

    async def poll(self, context: Context, previous: DeploymentHistory | None) -> DeploymentHistory:
        """Ask for some deployments that nothing is known of, and show what is known.

        Raises:
            Waiting: Deployments have not been listed yet, and nothing is known of any.
        """
        if not context.directory.listed and not await _streaks(context):
            message = "waits for the first listing of deployments"
            raise Waiting(message)
        unknown: list[Listed] = []
        # Only what ends after counting has begun is sure to be counted.
        if context.store.ledger.cursor(context.target, FEED) is not None:
            known = await _streaks(context)
            roster = context.directory.roster.values()
            unknown = [each for each in roster if not known.get(each.name, Streak()).whole]
        asked = await self._ask(context, unknown[:DEPLOYMENTS_PER_POLL])
        truncated = asked < len(unknown) or not context.directory.listed
        state = DeploymentHistory(await _shown(context), truncated=truncated)
        return previous if previous == state else state

    async def _ask(self, context: Context, deployments: list[Listed]) -> int:
        """Ask for one deployment after the other; return for how many there was time."""
        began = context.monotonic()
        for number, each in enumerate(deployments):
            at = context.monotonic()
            if at - began > self.interval_seconds / 2:
                return number
            await _learn(context, each)
            await asyncio.sleep((context.monotonic() - at) * (1 / SHARE - 1))
        return len(deployments)


async def _streaks(context: Context) -> dict[Labels, Streak]:
    return await context.store.run(context.store.ledger.streaks.of, context.target)


async def _shown(context: Context) -> dict[Labels, Streak]:
    """Return what is known of the deployments that are there.

    After a restart that is not known at once: an alert must not miss the last successes till then.
    """
    streaks, directory = await _streaks(context), context.directory
    if not directory.whole:
        return streaks
    return {name: streak for name, streak in streaks.items() if name in directory.roster}


async def _learn(context: Context, deployment: Listed) -> None:
    """Keep the newest success and the newest failures that Prefect has."""
    ends = [
        *await _ends(context, deployment, SUCCESS, 1),
        *await _ends(context, deployment, FAILURE, LONGEST),
    ]
    history = History((context.target, *deployment.name), tuple(ends))
    change = Change(context.target, DeploymentHistoryCollector.name, histories=(history,))
    await context.store.run(context.store.ledger.commit, change)


async def _ends(
    context: Context, deployment: Listed, states: tuple[str, ...], limit: int
) -> list[End]:
    where = RunFilter(
        ended=Interval(after=moment(0)), state_types=states, deployment_ids=(deployment.id,)
    )
    page = await context.api.flow_runs(where, "END_TIME_DESC", limit=limit)
    return [
        End(micros(row.end_time), row.id, row.state_type in SUCCESS)
        for row in page.rows
        if row.end_time is not None
    ]
