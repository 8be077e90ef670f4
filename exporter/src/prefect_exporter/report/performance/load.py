"""When runs begin: by hour of the day and day of the week, in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

from prefect_exporter.moments import DAY, HOUR
from prefect_exporter.report.workspace import Workspace

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

# 1970-01-01 was a Thursday.
_STARTS = f"""
SELECT (started_us / {DAY} + 3) % 7, started_us % {DAY} / {HOUR}, auto_scheduled, COUNT(*)
FROM flow_runs WHERE started_us >= ? AND started_us < ?
GROUP BY 1, 2, 3
"""  # noqa: S608 - of constants alone


@dataclass(frozen=True, slots=True)
class Load:
    """Flow runs that started in the period.

    Args:
        week: By day, Monday first, and hour.
        scheduled: By hour of the day, those that a schedule made; *others* all others.
    """

    week: tuple[tuple[int, ...], ...]
    scheduled: tuple[int, ...]
    others: tuple[int, ...]

    @property
    def busiest(self) -> tuple[int, int, int]:
        """Day, hour, and how many runs began in it; the first of those that are equal."""
        runs, place = max((n, -at) for at, n in enumerate(chain.from_iterable(self.week)))
        return *divmod(-place, 24), runs


def load(workspace: Workspace) -> Load:
    """Return when the period's runs began."""
    week = [[0] * 24 for _ in DAYS]
    hours = ([0] * 24, [0] * 24)
    within = (workspace.period.since_us, workspace.period.until_us)
    for day, hour, scheduled, runs in workspace.database.execute(_STARTS, within):
        week[day][hour] += runs
        hours[bool(scheduled)][hour] += runs
    return Load(tuple(map(tuple, week)), tuple(hours[True]), tuple(hours[False]))
