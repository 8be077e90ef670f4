"""How the runs of each subject ended, one after the other: broken, flaky, or neither."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import NamedTuple

from prefect_exporter.labels import outcome
from prefect_exporter.report.question import Period
from prefect_exporter.report.remembered import remembered
from prefect_exporter.report.statistics import binomial_tail
from prefect_exporter.report.workspace import FAILED, Subject, Workspace

SHORTEST_STREAK = 3
"""Failures in a row before a flow is called broken: two may be bad luck."""

MOST_CHANCE = 0.01
"""How probable the failures may be: those of a streak by what failed before it, for the flow to be
called broken; all of them by the usual share, for it to be called flaky."""

FEWEST_RUNS = 10
"""Runs before a flow is called flaky."""

FEWEST_EPISODES = 3
"""Times that it went from success to failure: fewer may be one incident, or two."""

USUAL_SHARE = 0.02
"""Of runs that fail now and then in most workspaces: flaky is who fails more often, and that not
by chance alone (``MOST_CHANCE``)."""

_MOST_EXAMPLES = 5
_SELECT = (
    "SELECT flow_id, deployment_id, id, state_type, state_name, ended_us, attempts, seconds"
    " FROM flow_runs WHERE ended_us >= ? AND ended_us < ? AND state_type != 'CANCELLED'"
    " ORDER BY flow_id, deployment_id, ended_us, id"
)


class Verdict(StrEnum):
    """What the order of a subject's failures says."""

    BROKEN = "broken"
    FLAKY = "flaky"
    FAILED = "failed"
    FINE = "fine"


class End(NamedTuple):
    """How one run ended."""

    run_id: bytes
    failed: bool
    at_us: int
    attempts: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Record:
    """The runs of one subject that ended in a period; cancelled ones are left out.

    Args:
        episodes: How often it went from success to failure, the first run included.
        streak: Failures since the last success.
        broken_us: When the first failure of the streak ended; None without one.
        succeeded_us: When a run last succeeded; None where none did.
        failed_seconds: How long the failed runs ran, together.
        streak_seconds: Likewise those of the streak.
        retried: Runs that completed after more than one attempt.
        retried_seconds: Estimated time of their attempts that failed.
        examples: Failed runs, the newest first, five at most.
        retried_examples: Likewise of the retried.
    """

    subject: Subject
    runs: int
    failed: int
    episodes: int
    streak: int
    broken_us: int | None
    succeeded_us: int | None
    failed_seconds: float
    streak_seconds: float
    retried: int
    retried_seconds: float
    examples: tuple[bytes, ...]
    retried_examples: tuple[bytes, ...]

    @property
    def failed_share(self) -> float:
        """Failures of all runs."""
        return self.failed / self.runs

    @property
    def verdict(self) -> Verdict:
        """Broken where every run fails since some time, flaky where failures come and go."""
        if self._is_broken:
            return Verdict.BROKEN
        if self.runs >= FEWEST_RUNS and self.episodes >= FEWEST_EPISODES and self._is_often:
            return Verdict.FLAKY
        return Verdict.FAILED if self.failed else Verdict.FINE

    @property
    def _is_often(self) -> bool:
        return binomial_tail(self.failed, self.runs, USUAL_SHARE) < MOST_CHANCE

    @property
    def _is_broken(self) -> bool:
        if self.streak < SHORTEST_STREAK:
            return False
        before = self.runs - self.streak
        # Half a failure more than there was, so that a short past does not count as a sure one.
        rate = (self.failed - self.streak + 0.5) / (before + 1)
        return not before or rate**self.streak < MOST_CHANCE


@remembered
def records(workspace: Workspace, period: Period) -> Sequence[Record]:
    """Return the record of each subject that had runs, in the order of their ids."""
    rows = workspace.database.execute(_SELECT, (period.since_us, period.until_us))
    subjects = groupby(rows, key=lambda row: Subject(row[0], row[1]))
    return [_record(subject, _ends(of_it)) for subject, of_it in subjects]


def record_of(workspace: Workspace, subject: Subject) -> Record | None:
    """Return a subject's record of the report's period; None without runs."""
    return _by_subject(workspace).get(subject)


@remembered
def _by_subject(workspace: Workspace) -> dict[Subject, Record]:
    return {each.subject: each for each in records(workspace, workspace.period)}


def _ends(rows: Iterable[tuple[bytes, bytes, bytes, str, str, int, int, float]]) -> Iterator[End]:
    for _, _, run_id, state_type, state_name, at_us, attempts, seconds in rows:
        yield End(run_id, outcome(state_type, state_name) in FAILED, at_us, attempts, seconds)


def _record(subject: Subject, ends: Iterable[End]) -> Record:
    runs = failed = episodes = retried = 0
    failed_seconds = retried_seconds = 0.0
    streak: list[End] = []
    examples: list[bytes] = []
    retried_examples: list[bytes] = []
    succeeded_us = None
    for end in ends:
        runs += 1
        if end.failed:
            failed += 1
            episodes += not streak
            streak.append(end)
            failed_seconds += end.seconds
            examples.append(end.run_id)
            continue
        streak.clear()
        succeeded_us = end.at_us
        if end.attempts > 1:
            retried += 1
            retried_seconds += end.seconds * (end.attempts - 1) / end.attempts
            retried_examples.append(end.run_id)
    return Record(
        subject,
        runs,
        failed,
        episodes,
        len(streak),
        streak[0].at_us if streak else None,
        succeeded_us,
        failed_seconds,
        sum(each.seconds for each in streak),
        retried,
        retried_seconds,
        _newest(examples),
        _newest(retried_examples),
    )


def _newest(run_ids: Sequence[bytes]) -> tuple[bytes, ...]:
    return tuple(reversed(run_ids[-_MOST_EXAMPLES:]))
