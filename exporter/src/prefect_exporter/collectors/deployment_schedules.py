"""When deployments are due, reckoned from the schedules that the listing of deployments keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter

from prefect_exporter.collectors.base import Context
from prefect_exporter.collectors.deployments import NAME
from prefect_exporter.errors import Waiting
from prefect_exporter.metrics import Counted, Family, Kind, Labels, Samples
from prefect_exporter.moments import moment, seconds
from prefect_exporter.roster import Listed
from prefect_exporter.schedules import Due, due, union
from prefect_exporter.settings import Settings
from prefect_exporter.wire import Timing

# Schedules that take long to reckon are spread over polls.
BUDGET_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """When a deployment is due, as times in seconds since 1970; None where there is no such time.

    Args:
        interval_seconds: From the time before now to the one after, also of a new deployment.
    """

    interval_seconds: float | None
    previous: float | None
    following: float | None


@dataclass(frozen=True, slots=True)
class DeploymentSchedules:
    """When each deployment with an active schedule is due.

    Args:
        plans: By flow and deployment.
        truncated: Whether some schedules wait for the next poll to be reckoned.
        known: By schedule, until its next time has come.
        idle: When deployments were last seen paused, or without an active schedule.
    """

    plans: Mapping[Labels, Plan]
    truncated: bool = False
    folded: int = 0
    known: Mapping[Timing, Due] = field(default_factory=dict)
    idle: Mapping[Labels, float] = field(default_factory=dict)


def _each(value: Callable[[Plan], float | None]) -> Callable[[DeploymentSchedules], Samples]:
    def read(state: DeploymentSchedules) -> Iterator[tuple[Labels, float]]:
        for name, plan in state.plans.items():
            if (number := value(plan)) is not None:
                yield name, number

    return read


class DeploymentScheduleCollector:
    """Reckon when deployments are due; Prefect is asked nothing."""

    name = "deployment_schedules"
    required = False
    counted: tuple[Counted, ...] = ()
    families = (
        Family(
            "prefect_deployment_schedule_interval_seconds",
            Kind.GAUGE,
            "From when the deployment was due last to when it is due next.",
            NAME,
            _each(attrgetter("interval_seconds")),
        ),
        Family(
            "prefect_deployment_next_run_timestamp_seconds",
            Kind.GAUGE,
            "When the deployment is due next.",
            NAME,
            _each(attrgetter("following")),
        ),
        Family(
            "prefect_deployment_previous_expected_run_timestamp_seconds",
            Kind.GAUGE,
            "When the deployment was due last.",
            NAME,
            _each(attrgetter("previous")),
        ),
    )

    def __init__(self, settings: Settings) -> None:
        self.interval_seconds = settings.interval(self.name, settings.poll_interval_seconds)

    async def poll(
        self, context: Context, previous: DeploymentSchedules | None
    ) -> DeploymentSchedules:
        """Reckon again what has come due since the last poll.

        Raises:
            Waiting: Deployments have not been listed yet.
        """
        if not context.directory.listed:
            message = "waits for the first listing of deployments"
            raise Waiting(message)
        roster = context.directory.roster.values()
        deployments = [each for each in roster if each.timings and not each.paused]
        before = previous.idle if previous else {}
        idle = {each.name: before[each.name] for each in deployments if each.name in before}
        at = seconds(context.now_us())
        idle |= {each.name: at for each in roster if each.paused or not each.timings}
        timings = {timing for each in deployments for timing in each.timings}
        now, known = moment(context.now_us()), previous.known if previous else {}
        # In a thread, since a long one must not hold up scrapes.
        known = await asyncio.to_thread(_reckon, timings, known, now, context.monotonic)
        plans = {each.name: _plan(each, known, idle.get(each.name, 0.0)) for each in deployments}
        return DeploymentSchedules(
            plans, truncated=len(known) < len(timings), known=known, idle=idle
        )


def _reckon(
    timings: Iterable[Timing],
    known: Mapping[Timing, Due],
    now: datetime,
    monotonic: Callable[[], float],
) -> dict[Timing, Due]:
    """Return when schedules are due: as known where that still holds, else anew while time is."""
    dues = {each: known[each] for each in timings if each in known and _holds(known[each], now)}
    until = monotonic() + BUDGET_SECONDS
    for timing in timings:
        if timing not in dues and monotonic() < until:
            dues[timing] = due(timing, now)
    return dues


def _holds(each: Due, now: datetime) -> bool:
    """Return whether nothing has come due since, nor the clock been set back."""
    return (each.following is None or now < each.following) and (
        each.previous is None or each.previous <= now
    )


def _plan(deployment: Listed, known: Mapping[Timing, Due], idle: float) -> Plan:
    each = union(known[timing] for timing in deployment.timings if timing in known)
    previous, following = _seconds(each.previous), _seconds(each.following)
    interval = None if previous is None or following is None else following - previous
    if previous is not None and previous < max(_seconds(deployment.created) or 0.0, idle):
        # Nothing was expected of a deployment that was not there, or paused.
        previous = None
    return Plan(interval, previous, following)


def _seconds(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()
