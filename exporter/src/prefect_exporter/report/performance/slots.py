"""How much of a concurrency limit is used: runs at the same time, and runs that wait meanwhile."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from prefect_exporter.moments import DAY, HOUR, SECOND
from prefect_exporter.report.performance.waits import QUEUED_US
from prefect_exporter.report.remembered import remembered
from prefect_exporter.report.workspace import Workspace

SEPARATOR = "\x1f"
"""Between the names of a pool and a queue; Prefect allows it in neither."""

# A run takes part from when it could have begun: it waits, then it runs. A time outside of the
# period counts as its edge. Of one time ends come before starts, else they would make a peak.
_CHANGES = f"""
WITH parts AS (
    SELECT {{key}} AS key, MAX(:since, {QUEUED_US}) AS queued, MAX(:since, started_us) AS started,
        MAX(:since, MIN(:until, COALESCE(ended_us, :until))) AS ended
    FROM flow_runs
    WHERE {{key}} IN (SELECT value FROM json_each(:keys)) AND deployment_id <> x''
        AND (ended_us IS NULL OR ended_us >= :since)
)
SELECT key, MIN(queued, COALESCE(started, ended)) AS at, 0, 1 FROM parts WHERE queued < :until
UNION ALL SELECT key, MIN(:until, COALESCE(started, ended)), 0, -1 FROM parts WHERE queued < :until
UNION ALL SELECT key, started, 1, 0 FROM parts WHERE started < :until AND queued < :until
UNION ALL SELECT key, MAX(started, ended), -1, 0 FROM parts
    WHERE started < :until AND queued < :until
ORDER BY key, at, 3
"""  # noqa: S608 - of constants alone
# Task runs that wait for a tag's slot leave no trace in their row.
_TAG_CHANGES = """
WITH parts AS (
    SELECT tag.value AS key, MAX(:since, task_runs.started_us) AS started,
        MAX(:since, MIN(:until, COALESCE(task_runs.ended_us, :until))) AS ended
    FROM task_runs, json_each(task_runs.tags) AS tag
    WHERE tag.value IN (SELECT value FROM json_each(:keys)) AND task_runs.started_us < :until
        AND (task_runs.ended_us IS NULL OR task_runs.ended_us >= :since)
)
SELECT key, started AS at, 1, 0 FROM parts
UNION ALL SELECT key, MAX(started, ended), -1, 0 FROM parts
ORDER BY key, at, 3
"""


class Place(NamedTuple):
    """What has slots: *kind* is ``work pool``, ``work queue``, ``deployment`` or ``tag``.

    Args:
        name: The pool's, ``pool/queue``, ``flow/deployment`` or the tag.
        limit: None where there is none.
        pool: Of a pool or a queue; *queue* of a queue, *deployment_id* of a deployment.
    """

    kind: str
    name: str
    limit: int | None
    pool: str = ""
    queue: str = ""
    deployment_id: bytes = b""


@dataclass(frozen=True, slots=True)
class Used:
    """What was used of one place in the period; times are seconds.

    Args:
        runs: That took a slot.
        peak: Most at one time.
        mean: Over the whole period.
        full: With all slots taken.
        starved: Full, and runs waited.
        waited: By all runs together while it was full.
        demand: Slots that would have been enough for 95 % of the time in which anything ran or
            waited.
        full_hours: *full* by hour of the day, in UTC.
    """

    place: Place
    runs: int
    peak: int
    mean: float
    full: float
    starved: float
    waited: float
    demand: int
    full_hours: tuple[float, ...]


class _Change(NamedTuple):
    key: str
    at_us: int
    running: int
    waiting: int


@remembered
def used(workspace: Workspace) -> Sequence[Used]:
    """Return the use of all pools, and of the queues, deployments and tags that have a limit."""
    catalog = workspace.catalog
    pools = {
        pool.name: Place("work pool", pool.name, pool.concurrency_limit, pool.name)
        for pool in catalog.work_pools.values()
    }
    queues = {
        f"{queue.work_pool_name}{SEPARATOR}{queue.name}": Place(
            "work queue",
            f"{queue.work_pool_name}/{queue.name}",
            queue.concurrency_limit,
            queue.work_pool_name or "",
            queue.name,
        )
        for queue in catalog.work_queues
        if queue.concurrency_limit is not None
    }
    deployments = {
        deployment.id.hex: Place(
            "deployment",
            f"{workspace.flow_name(deployment.flow_id.bytes)}/{deployment.name}",
            limit.limit,
            deployment_id=deployment.id.bytes,
        )
        for deployment in catalog.deployments.values()
        if (limit := deployment.global_concurrency_limit) and limit.active
    }
    tags = {each.tag: Place("tag", each.tag, each.concurrency_limit) for each in catalog.tag_limits}
    queue_key = f"work_pool || char({ord(SEPARATOR)}) || work_queue"
    return [
        *_swept(workspace, _CHANGES.format(key="work_pool"), pools),
        *_swept(workspace, _CHANGES.format(key=queue_key), queues),
        *_swept(workspace, _CHANGES.format(key="LOWER(HEX(deployment_id))"), deployments),
        *_swept(workspace, _TAG_CHANGES, tags),
    ]


def _swept(workspace: Workspace, query: str, places: Mapping[str, Place]) -> Iterator[Used]:
    """Return the use of *places*, by their keys in the query; one without a run has none."""
    if not places:
        return
    period = workspace.period
    values = {
        "since": period.since_us,
        "until": period.until_us,
        "keys": json.dumps(sorted(places)),
    }
    rows = map(_Change._make, workspace.database.execute(query, values))
    seen = set()
    for key, changes in groupby(rows, key=itemgetter(0)):
        seen.add(key)
        yield _sweep(places[key], changes, (period.until_us - period.since_us) / SECOND)
    for key in places.keys() - seen:
        yield Used(places[key], 0, 0, 0.0, 0.0, 0.0, 0.0, 0, (0.0,) * 24)


def _sweep(place: Place, changes: Iterator[_Change], period_seconds: float) -> Used:
    running = waiting = runs = peak = 0
    levels: Counter[int] = Counter()  # microseconds by how many ran or waited
    taken = full = starved = waited = 0
    hours = [0] * 24
    last_us = 0
    for _, at_us, run, wait in changes:
        lasted = at_us - last_us
        if lasted and (running or waiting):
            levels[running + waiting] += lasted
            taken += running * lasted
            if place.limit and running >= place.limit:
                full += lasted
                starved += lasted if waiting else 0
                waited += waiting * lasted
                _spread(hours, last_us, at_us)
        last_us = at_us
        running += run
        waiting += wait
        runs += run > 0
        peak = max(peak, running)
    return Used(
        place,
        runs,
        peak,
        taken / SECOND / period_seconds,
        full / SECOND,
        starved / SECOND,
        waited / SECOND,
        _enough(levels),
        tuple(each / SECOND for each in hours),
    )


def _spread(hours: list[int], since_us: int, until_us: int) -> None:
    """Add a stretch of time to the hours of the day that it lies in."""
    while since_us < until_us:
        end_us = min(until_us, (since_us // HOUR + 1) * HOUR)
        hours[since_us % DAY // HOUR] += end_us - since_us
        since_us = end_us


def _enough(levels: Counter[int]) -> int:
    rest = levels.total() * 0.95
    for level, lasted in sorted(levels.items()):
        rest -= lasted
        if rest <= 0:
            return level
    return 0
