"""How the scheduled runs of each deployment follow each other: gaps, overlaps, lateness."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby

from prefect_exporter.moments import SECOND
from prefect_exporter.report.question import Period
from prefect_exporter.report.remembered import remembered
from prefect_exporter.report.workspace import Subject, Workspace

LATE_SECONDS = 300.0
"""After it was due, for a start to be called late: beyond a worker's polling and a cold start."""

PARTS = 3
"""Of the period: who is late in each of them is not late by one bad night."""

_SELECT = (
    "SELECT flow_id, deployment_id, id, expected_us, started_us, ended_us FROM flow_runs"
    " WHERE auto_scheduled AND deployment_id != x'' AND expected_us >= ? AND expected_us < ?"
    " ORDER BY flow_id, deployment_id, expected_us"
)


@dataclass(slots=True)
class Punctuality:
    """The scheduled runs of one deployment that were due in the period.

    Args:
        gaps: Seconds from one due time to the next.
        waits: Seconds from due to start, of the runs that started.
        late: Runs that started more than ``LATE_SECONDS`` late, by parts of the period.
        late_seconds: How late those were, together.
        overlaps: Runs that began before an earlier one had ended.
        latest: The run that started the latest, and how late, in seconds.
    """

    gaps: array[float] = field(default_factory=lambda: array("d"))
    waits: array[float] = field(default_factory=lambda: array("d"))
    late: list[int] = field(default_factory=lambda: [0] * PARTS)
    late_seconds: float = 0.0
    overlaps: int = 0
    latest: tuple[float, bytes] = (0.0, b"")


@remembered
def punctuality(workspace: Workspace) -> Mapping[Subject, Punctuality]:
    """Return the punctuality of each deployment with scheduled runs in the report's period."""
    period = workspace.period
    rows = workspace.database.execute(_SELECT, (period.since_us, period.until_us))
    subjects = groupby(rows, key=lambda row: Subject(row[0], row[1]))
    return {subject: _punctuality(period, of_it) for subject, of_it in subjects}


def _punctuality(
    period: Period, rows: Iterable[tuple[bytes, bytes, bytes, int, int | None, int | None]]
) -> Punctuality:
    found = Punctuality()
    last_us = busy_us = None
    for _, _, run_id, expected_us, started_us, ended_us in rows:
        if last_us is not None and expected_us > last_us:
            found.gaps.append((expected_us - last_us) / SECOND)
        last_us = expected_us
        if started_us is None:
            continue
        found.overlaps += busy_us is not None and started_us < busy_us
        busy_us = max(busy_us or 0, ended_us or period.until_us)
        _count_wait(found, period, run_id, expected_us, (started_us - expected_us) / SECOND)
    return found


def _count_wait(
    found: Punctuality, period: Period, run_id: bytes, expected_us: int, wait: float
) -> None:
    found.waits.append(max(0.0, wait))
    if wait <= LATE_SECONDS:
        return
    part = (expected_us - period.since_us) * PARTS // (period.until_us - period.since_us)
    found.late[part] += 1
    found.late_seconds += wait
    found.latest = max(found.latest, (wait, run_id))
