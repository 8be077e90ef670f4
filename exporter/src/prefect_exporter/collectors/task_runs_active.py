"""Task runs that have not ended, by state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prefect_exporter.api import RunFilter
from prefect_exporter.collectors.base import Context
from prefect_exporter.metrics import Counted, Family, Kind, Samples
from prefect_exporter.settings import Settings

STATE_TYPES = ("SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING")


@dataclass(frozen=True, slots=True)
class ActiveTaskRuns:
    """How many task runs are in each state type that is not an end."""

    number: Mapping[str, int]
    truncated: bool = False
    folded: int = 0


def _number(state: ActiveTaskRuns) -> Samples:
    return (((state_type,), float(number)) for state_type, number in state.number.items())


class ActiveTaskRunCollector:
    """Ask for one count per state, so that a common state cannot hide a rare one."""

    name = "task_runs_active"
    required = False
    counted: tuple[Counted, ...] = ()
    families = (
        Family(
            "prefect_task_runs_active",
            Kind.GAUGE,
            "Task runs that have not ended, without the rows that stand for subflows.",
            ("state_type",),
            _number,
        ),
    )

    def __init__(self, settings: Settings) -> None:
        self.interval_seconds = settings.interval(self.name, settings.poll_interval_seconds)

    async def poll(self, context: Context, previous: ActiveTaskRuns | None) -> ActiveTaskRuns:
        """Count each state."""
        return ActiveTaskRuns(
            {
                state_type: await context.api.count_task_runs(
                    RunFilter(state_types=(state_type,), placeholders=False)
                )
                for state_type in STATE_TYPES
            }
        )
