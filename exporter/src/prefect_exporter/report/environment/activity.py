"""What ran, and what was meant to: by that a thing forgotten is told from one at rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from prefect_exporter.moments import DAY, micros, moment
from prefect_exporter.report.cadence import active, per_day
from prefect_exporter.report.question import Period
from prefect_exporter.report.remembered import remembered
from prefect_exporter.report.wire import ToldDeployment
from prefect_exporter.report.workspace import Workspace
from prefect_exporter.schedules import due
from prefect_exporter.wire import Timing

FORGOTTEN_US = 7 * DAY
"""How long a thing has to be idle: a pause over a weekend, or a freeze of some days, is meant."""

FEWEST_MISSED = 2
"""Times that something would have been due: one may have been left out on purpose."""

_KNOWN = "SELECT DISTINCT deployment_id FROM flow_runs"
_STARTED = (
    " FROM flow_runs WHERE started_us < :until AND coalesce(ended_us, :until) >= :since GROUP BY "
)
_WAITING = (
    " FROM flow_runs WHERE state_type = 'SCHEDULED' AND started_us IS NULL"
    " AND expected_us < :until GROUP BY "
)


@remembered
def known(workspace: Workspace) -> frozenset[bytes]:
    """Return the ids of deployments of which any run at all was read."""
    return frozenset(key for (key,) in workspace.database.execute(_KNOWN))


@remembered
def started(workspace: Workspace, *columns: str) -> Mapping[tuple[object, ...], int]:
    """Return how many runs were under way in the period, by columns of ``flow_runs``."""
    return _counted(workspace, _STARTED, columns)


@remembered
def waiting(workspace: Workspace, *columns: str) -> Mapping[tuple[object, ...], int]:
    """Return how many runs are past due and have not begun, likewise."""
    return _counted(workspace, _WAITING, columns)


def missed(workspace: Workspace, timings: Iterable[Timing], made: datetime | None) -> int:
    """Return about how often schedules were due in the period, since they were *made*.

    0 where that cannot be told.
    """
    period = workspace.period
    if made is not None:
        period = Period(min(max(period.since_us, micros(made)), period.until_us), period.until_us)
    count = 0.0
    for timing in timings:
        last = due(timing, moment(period.until_us - 1)).previous
        if last is not None and period.holds(micros(last)):
            often = per_day(timing, moment(period.since_us)) or 0.0
            count += max(1.0, often * (period.until_us - period.since_us) / DAY)
    return round(count)


@dataclass(frozen=True, slots=True)
class Meant:
    """What should have run somewhere in the period.

    Args:
        deployments: That have an active schedule.
        times: How often they were due together, about.
    """

    deployments: int
    times: int


def meant(workspace: Workspace, users: Iterable[ToldDeployment]) -> Meant:
    """Return what should have run of some deployments."""
    timings = [(active(each.schedules), each.created) for each in users if not each.paused]
    due_of = [missed(workspace, each, made) for each, made in timings if each]
    return Meant(len(due_of), sum(due_of))


def _counted(
    workspace: Workspace, query: str, columns: tuple[str, ...]
) -> dict[tuple[object, ...], int]:
    names = ", ".join(columns)
    period = workspace.period
    values = {"since": period.since_us, "until": period.until_us}
    rows = workspace.database.execute(f"SELECT {names}, count(*){query}{names}", values)
    return {tuple(row[:-1]): row[-1] for row in rows}
