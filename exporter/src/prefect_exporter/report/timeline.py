"""A period in steps that begin on the hour or the day, for charts over time. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prefect_exporter.moments import DAY, HOUR, MINUTE, moment
from prefect_exporter.report.question import Period

MOST_STEPS = 48
"""Of a chart: more than that is not told apart."""

_STEPS = (5 * MINUTE, HOUR, 6 * HOUR, DAY, 7 * DAY)


@dataclass(frozen=True, slots=True)
class Timeline:
    """The steps of a period; the first and the last may be cut by it.

    Args:
        first: Number of the first step since 1970.
        step_us: Its length.
        count: How many there are.
    """

    first: int
    step_us: int
    count: int

    def index(self, at_us: int) -> int:
        """Return in which step a time of the period is, from 0."""
        return min(max(at_us // self.step_us - self.first, 0), self.count - 1)

    @property
    def labels(self) -> Sequence[str]:
        """When each step begins, in UTC."""
        form = "%m-%d" if self.step_us >= DAY else "%m-%d %H:%M"
        starts = range(self.first, self.first + self.count)
        return [format(moment(start * self.step_us), form) for start in starts]


def timeline(period: Period) -> Timeline:
    """Return the steps of a period, the shortest of five lengths of which there are few enough."""
    for step_us in _STEPS:
        first = period.since_us // step_us
        count = (period.until_us - 1) // step_us - first + 1
        if count <= MOST_STEPS:
            return Timeline(first, step_us, count)
    # Years: weeks would be too many, so that a step is as long as it has to be.
    days = -(-(period.until_us - period.since_us) // DAY)
    step_us = -(-days // (MOST_STEPS - 1)) * DAY
    first = period.since_us // step_us
    return Timeline(first, step_us, (period.until_us - 1) // step_us - first + 1)
