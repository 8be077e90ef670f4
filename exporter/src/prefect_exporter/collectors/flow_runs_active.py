"""Flow runs under way: how many, and since when the oldest is in its state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from prefect_exporter.api import RunFilter
from prefect_exporter.collectors.base import Context
from prefect_exporter.metrics import Counted, Family, Kind, Labels, Samples
from prefect_exporter.moments import micros, seconds
from prefect_exporter.paging import flow_runs
from prefect_exporter.selection import Selection
from prefect_exporter.settings import Settings
from prefect_exporter.wire import FlowRun

ACTIVE = RunFilter(state_types=("PENDING", "RUNNING", "PAUSED", "CANCELLING"))
# Scheduled ones that wait for something else than their time.
WAITING = RunFilter(state_types=("SCHEDULED",), not_state_names=("Scheduled",))
# The names that Prefect gives beside its types; names of the user's own would not be bounded.
SPECIAL_STATES = frozenset(
    {
        "AwaitingConcurrencySlot",
        "AwaitingRetry",
        "InfrastructurePending",
        "Late",
        "NotReady",
        "Resuming",
        "Retrying",
        "Submitting",
        "Suspended",
    }
)


@dataclass(frozen=True, slots=True)
class ActiveFlowRuns:
    """Flow runs that have not ended, by flow, deployment, state type and special state."""

    number: Mapping[Labels, int]
    oldest_seconds: Mapping[Labels, float]
    truncated: bool
    folded: int = 0


def _number(state: ActiveFlowRuns) -> Samples:
    return ((labels, float(number)) for labels, number in state.number.items())


def _oldest(state: ActiveFlowRuns) -> Samples:
    return state.oldest_seconds.items()


LABELS = ("flow", "deployment", "state_type", "state")


class ActiveFlowRunCollector:
    """List the flow runs that have not ended, up to a limit of pages."""

    name = "flow_runs_active"
    # Names of deployments are dear to ask for: the counters need not wait for these gauges.
    required = False
    counted: tuple[Counted, ...] = ()
    families = (
        Family(
            "prefect_flow_runs_active",
            Kind.GAUGE,
            "Flow runs that have started or wait for a slot, a retry or a worker, by state.",
            LABELS,
            _number,
        ),
        Family(
            "prefect_flow_run_oldest_active_seconds",
            Kind.GAUGE,
            "How long the oldest of these has been in its state.",
            LABELS,
            _oldest,
        ),
    )

    def __init__(self, settings: Settings) -> None:
        self.interval_seconds = settings.interval(self.name, settings.poll_interval_seconds)
        self._pages = settings.active_pages

    async def poll(self, context: Context, previous: ActiveFlowRuns | None) -> ActiveFlowRuns:
        """Ask for the oldest first, so that a limit cannot hide them."""
        sort = "EXPECTED_START_TIME_ASC"
        active, more = await flow_runs(context.api, ACTIVE, sort, self._pages)
        waiting, more_wait = await flow_runs(context.api, WAITING, sort, self._pages)
        labelled = await _labelled(context, [*active, *waiting])
        number: dict[Labels, int] = {}
        oldest: dict[Labels, float] = {}
        now_us = context.now_us()
        for labels, row in labelled:
            number[labels] = number.get(labels, 0) + 1
            since = micros(row.state.timestamp) if row.state else now_us
            oldest[labels] = max(oldest.get(labels, 0.0), seconds(now_us - since))
        return ActiveFlowRuns(number, oldest, more or more_wait)


async def _labelled(context: Context, rows: list[FlowRun]) -> Iterable[tuple[Labels, FlowRun]]:
    places = await deployment_places(context, rows)
    return [
        ((*place, row.state_type or "", _special(row.state_name)), row)
        for row in rows
        if (place := places.get(row.id))
    ]


async def deployment_places(context: Context, rows: Iterable[FlowRun]) -> dict[UUID, Labels]:
    """Return the flow and deployment labels of the runs that are selected, by the run's id."""
    names = await _names(context, rows)
    places = await context.directory.places("deployment", set(names.values()))
    return {key: places[name] for key, name in names.items()}


async def selected_runs(context: Context, rows: Sequence[FlowRun]) -> Sequence[FlowRun]:
    """Return the runs that are selected; asks for no name where everything is."""
    if context.settings.selection == Selection():
        return rows
    names = await _names(context, rows)
    return [row for row in rows if row.id in names]


async def _names(context: Context, rows: Iterable[FlowRun]) -> dict[UUID, tuple[str, str]]:
    rows = list(rows)
    flows = await context.directory.flows({row.flow_id for row in rows})
    ids = {row.deployment_id for row in rows if row.deployment_id}
    deployments = await context.directory.deployments(ids)
    takes = context.settings.selection.takes
    names = {}
    for row in rows:
        deployment = deployments[row.deployment_id].name if row.deployment_id else ""
        if takes(flows[row.flow_id], deployment, row.work_pool_name or ""):
            names[row.id] = flows[row.flow_id], deployment
    return names


def _special(state_name: str | None) -> str:
    return state_name if state_name in SPECIAL_STATES and state_name else ""
