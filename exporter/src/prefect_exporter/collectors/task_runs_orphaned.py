"""Task runs that still run although their flow run has ended: nobody will end them."""

from __future__ import annotations

from dataclasses import dataclass

from prefect_exporter.api import Interval, RunFilter
from prefect_exporter.collectors.base import Context
from prefect_exporter.metrics import Counted, Family, Kind, Samples
from prefect_exporter.moments import MINUTE, moment
from prefect_exporter.settings import Settings

# A task run's end is an event that its client sends, and may come so long after its flow run's.
SETTLED_US = 5 * MINUTE


@dataclass(frozen=True, slots=True)
class OrphanedTaskRuns:
    """How many there are."""

    number: int
    truncated: bool = False
    folded: int = 0


def _number(state: OrphanedTaskRuns) -> Samples:
    yield (), float(state.number)


class OrphanedTaskRunCollector:
    """Ask for one count, slowly: Prefect joins task runs with their flow runs for it."""

    name = "task_runs_orphaned"
    required = False
    counted: tuple[Counted, ...] = ()
    families = (
        Family(
            "prefect_task_runs_active_in_finished_flow_runs",
            Kind.GAUGE,
            "Task runs in a running state whose flow run ended more than five minutes ago.",
            (),
            _number,
        ),
    )

    def __init__(self, settings: Settings) -> None:
        self.interval_seconds = settings.interval(self.name, settings.slow_interval_seconds)

    async def poll(self, context: Context, previous: OrphanedTaskRuns | None) -> OrphanedTaskRuns:
        """Count them."""
        ended = RunFilter(ended=Interval(before=moment(context.now_us() - SETTLED_US)))
        where = RunFilter(state_types=("RUNNING",), placeholders=False, of=ended)
        return OrphanedTaskRuns(await context.api.count_task_runs(where))
