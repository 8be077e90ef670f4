"""How long runs wait in a queue: from when they could have begun to when they did."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from prefect_exporter.moments import seconds
from prefect_exporter.report.remembered import remembered
from prefect_exporter.report.statistics import quantiles
from prefect_exporter.report.workspace import Workspace

QUEUED_US = "MAX(COALESCE(expected_us, created_us), COALESCE(created_us, expected_us))"
"""SQL for when a run could have begun: ``FlowRunRow.queued_us``."""

_STARTED = f"""
SELECT work_pool, work_queue, started_us, MAX(0, started_us - {QUEUED_US})
FROM flow_runs
WHERE work_pool <> '' AND deployment_id <> x'' AND started_us >= ? AND started_us < ?
ORDER BY work_pool, work_queue, started_us
"""  # noqa: S608 - of constants alone


@dataclass(frozen=True, slots=True)
class QueueWaits:
    """The runs of one work queue that started in the period; times are seconds.

    Args:
        started_us: In order, and *waits* of the same runs.
    """

    work_pool: str
    work_queue: str
    started_us: array[int]
    waits: array[float]
    p50: float
    p95: float
    longest: float


@remembered
def queue_waits(workspace: Workspace) -> Sequence[QueueWaits]:
    """Return the waits of the runs that workers start, by queue, the longest p95 first."""
    within = (workspace.period.since_us, workspace.period.until_us)
    rows = workspace.database.execute(_STARTED, within)
    return sorted(_grouped(rows), key=lambda each: each.p95, reverse=True)


def _grouped(rows: Iterator[tuple[str, str, int, int | None]]) -> Iterator[QueueWaits]:
    for (pool, queue), of_queue in groupby(rows, key=itemgetter(0, 1)):
        started_us, waits = array("q"), array("d")
        for _, _, at_us, wait_us in of_queue:
            if wait_us is not None:
                started_us.append(at_us)
                waits.append(seconds(wait_us))
        if waits:
            yield QueueWaits(pool, queue, started_us, waits, *quantiles(waits, 0.5, 0.95, 1.0))
