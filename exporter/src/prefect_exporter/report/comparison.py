"""The numbers of a period against those of the one before: by how much, and more than by chance?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from prefect_exporter.moments import SECOND
from prefect_exporter.report.hazards.punctuality import LATE_SECONDS
from prefect_exporter.report.model import Kind
from prefect_exporter.report.question import Period
from prefect_exporter.report.remembered import remembered
from prefect_exporter.report.statistics import poisson_ratio
from prefect_exporter.report.workspace import Workspace

MOST_CHANCE = 0.01
"""How often chance alone may show as much, for a change to be called more than that."""

MOST_UNKNOWN = 0.2
"""Of the period before: a day and a half of a week, more than a night or a Sunday."""

# An inline subflow's time is its parent's too: it counts once.
_SELECT = (
    "SELECT COUNT(*), coalesce(SUM(state_type = 'COMPLETED'), 0),"
    " coalesce(SUM(state_type IN ('FAILED', 'CRASHED')), 0),"
    " coalesce(SUM(CASE WHEN parent_task_run_id = x'' OR deployment_id != x''"
    " THEN seconds ELSE 0 END), 0) / 3600, coalesce(SUM(max(attempts - 1, 0)), 0),"
    " coalesce(SUM(auto_scheduled AND started_us IS NOT NULL), 0),"
    " coalesce(SUM(auto_scheduled AND started_us - expected_us > ?), 0)"
    " FROM flow_runs WHERE ended_us >= ? AND ended_us < ?"
)


_FIRST = "SELECT MIN(ended_us) FROM flow_runs WHERE ended_us >= ? AND ended_us < ?"


class Headline(NamedTuple):
    """The numbers of the flow runs that ended in a period.

    Args:
        failures: Runs that failed, timed out or crashed.
        hours: How long they ran, inline subflows as their parents' time.
        retries: Attempts beyond the first.
        scheduled: Runs of schedules that started.
        late: Of these, more than ``LATE_SECONDS`` after they were due.
    """

    runs: int
    successes: int
    failures: int
    hours: float
    retries: int
    scheduled: int
    late: int

    @property
    def success_share(self) -> float | None:
        """Successes of all that succeeded or failed; None without any."""
        decided = self.successes + self.failures
        return self.successes / decided if decided else None


@dataclass(frozen=True, slots=True)
class Change:
    """One number, now and before.

    Args:
        now: Of the period; *before* of the one before it, None where that is not compared.
        p: How often chance alone would show as much, by the Poisson rate ratio test; None where
            it is not tested.
    """

    name: str
    kind: Kind
    now: float | None
    before: float | None = None
    p: float | None = None

    @property
    def absolute(self) -> float | None:
        """How much more."""
        return None if self.now is None or self.before is None else self.now - self.before

    @property
    def relative(self) -> float | None:
        """How much more as a share of before; None where that was nothing."""
        return self.absolute / self.before if self.absolute is not None and self.before else None

    @property
    def is_more_than_chance(self) -> bool:
        """Whether it is tested, and chance does hardly explain it."""
        return self.p is not None and self.p < MOST_CHANCE


@remembered
def headline(workspace: Workspace, period: Period) -> Headline:
    """Return the numbers of a period."""
    values = (round(LATE_SECONDS * SECOND), period.since_us, period.until_us)
    return Headline(*workspace.database.execute(_SELECT, values).fetchone())


def changes(workspace: Workspace) -> Sequence[Change]:
    """Return the headline numbers, against the period before if that is compared and had runs."""
    now = headline(workspace, workspace.period)
    compare = workspace.question.compare and known_since(workspace) is None
    before = headline(workspace, workspace.period.before) if compare else None
    return _compared(now, before) if before and before.runs else _alone(now)


@remembered
def known_since(workspace: Workspace) -> int | None:
    """Return since when the period before is known, where much of it is not; else None.

    A Prefect that deletes old runs, or a new one, has none of its beginning: to hold such a period
    against a whole one would show a growth that there is not.
    """
    before, now = workspace.period.before, workspace.period
    most_us = MOST_UNKNOWN * (now.until_us - now.since_us)
    first_us, first_now_us = _first_us(workspace, before), _first_us(workspace, now)
    if first_us is None or first_now_us is None:
        return None
    # What began late in this period too has its rhythm, or seldom runs.
    is_whole = first_now_us - now.since_us <= most_us / 2
    return first_us if is_whole and first_us - before.since_us > most_us else None


def _first_us(workspace: Workspace, period: Period) -> int | None:
    values = (period.since_us, period.until_us)
    first: int | None = workspace.database.execute(_FIRST, values).fetchone()[0]
    return first


def _alone(now: Headline) -> Sequence[Change]:
    return [Change(name, kind, value) for name, kind, value in _numbers(now)]


def _compared(now: Headline, before: Headline) -> Sequence[Change]:
    # Failures and retries are held against the runs: more of these are no change for the worse.
    failing = poisson_ratio(now.failures, now.runs, before.failures, before.runs).p
    chances = (
        poisson_ratio(now.runs, 1.0, before.runs, 1.0).p,
        failing,
        failing,
        None,
        poisson_ratio(now.retries, now.runs, before.retries, before.runs).p,
        poisson_ratio(now.late, now.scheduled, before.late, before.scheduled).p,
    )
    return [
        Change(name, kind, value, past, p)
        for (name, kind, value), (_, _, past), p in zip(
            _numbers(now), _numbers(before), chances, strict=True
        )
    ]


def _numbers(of: Headline) -> Sequence[tuple[str, Kind, float | None]]:
    return (
        ("Flow runs that ended", Kind.COUNT, of.runs),
        ("Succeeded", Kind.SHARE, of.success_share),
        ("Failed, timed out or crashed", Kind.COUNT, of.failures),
        ("Time of running", Kind.HOURS, of.hours),
        ("Attempts beyond the first", Kind.COUNT, of.retries),
        ("Scheduled runs that started late", Kind.COUNT, of.late),
    )
