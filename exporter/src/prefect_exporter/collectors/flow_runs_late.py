"""Flow runs that are due and have not started, and those that are still to come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prefect_exporter.api import Interval, RunFilter
from prefect_exporter.collectors.base import Context
from prefect_exporter.collectors.flow_runs_active import deployment_places
from prefect_exporter.labels import clip
from prefect_exporter.metrics import Counted, Family, Kind, Labels, Samples
from prefect_exporter.moments import SECOND, micros, moment, seconds
from prefect_exporter.paging import flow_runs
from prefect_exporter.settings import Settings


@dataclass(frozen=True, slots=True)
class LateFlowRuns:
    """Due flow runs by flow, deployment, work pool and work queue; and how many are not due."""

    number: Mapping[Labels, int]
    oldest_seconds: Mapping[Labels, float]
    scheduled: int
    truncated: bool
    folded: int = 0


def _number(state: LateFlowRuns) -> Samples:
    return ((labels, float(number)) for labels, number in state.number.items())


def _oldest(state: LateFlowRuns) -> Samples:
    return state.oldest_seconds.items()


def _scheduled(state: LateFlowRuns) -> Samples:
    yield (), float(state.scheduled)


LABELS = ("flow", "deployment", "work_pool", "work_queue")


class LateFlowRunCollector:
    """Tell lateness from the due time: Prefect names a run Late only while a service does so."""

    name = "flow_runs_late"
    # Names of deployments are dear to ask for: the counters need not wait for these gauges.
    required = False
    counted: tuple[Counted, ...] = ()
    families = (
        Family(
            "prefect_flow_runs_late",
            Kind.GAUGE,
            "Flow runs that were due longer ago than PREFECT_EXPORTER_LATE_AFTER and wait.",
            LABELS,
            _number,
        ),
        Family(
            "prefect_flow_run_oldest_late_seconds",
            Kind.GAUGE,
            "How long ago the oldest of these was due.",
            LABELS,
            _oldest,
        ),
        Family(
            "prefect_flow_runs_scheduled",
            Kind.GAUGE,
            "Flow runs whose time is still to come.",
            (),
            _scheduled,
        ),
    )

    def __init__(self, settings: Settings) -> None:
        self.interval_seconds = settings.interval(self.name, settings.poll_interval_seconds)
        self._after_us = round(settings.late_after_seconds * SECOND)
        self._pages = settings.active_pages

    async def poll(self, context: Context, previous: LateFlowRuns | None) -> LateFlowRuns:
        """Ask for the oldest first, so that a limit cannot hide them."""
        now_us = context.now_us()
        due = Interval(before=moment(now_us - self._after_us))
        where = RunFilter(state_types=("SCHEDULED",), due=due)
        sort = "NEXT_SCHEDULED_START_TIME_ASC"
        rows, more = await flow_runs(context.api, where, sort, self._pages)
        names = await deployment_places(context, rows)
        rows = [row for row in rows if row.id in names]
        queues = {
            row.id: (clip(row.work_pool_name or ""), clip(row.work_queue_name or ""))
            for row in rows
        }
        places = await context.directory.places("work_queue", set(queues.values()))
        number: dict[Labels, int] = {}
        oldest: dict[Labels, float] = {}
        for row in rows:
            labels = (*names[row.id], *places[queues[row.id]])
            number[labels] = number.get(labels, 0) + 1
            since = micros(row.next_scheduled_start_time or moment(now_us))
            oldest[labels] = max(oldest.get(labels, 0.0), seconds(now_us - since))
        to_come = RunFilter(state_types=("SCHEDULED",), due=Interval(after=moment(now_us)))
        scheduled = await context.api.count_flow_runs(to_come)
        return LateFlowRuns(number, oldest, scheduled, more)
