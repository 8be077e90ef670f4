"""Work pools, and their types, side by side: how long runs wait, crash and what they cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from prefect_exporter.report.performance.waits import queue_waits
from prefect_exporter.report.remembered import remembered
from prefect_exporter.report.resources.requests import Requests, requests
from prefect_exporter.report.statistics import quantiles
from prefect_exporter.report.workspace import Subject, Workspace

GIB = 2**30

_RUNS = """
SELECT work_pool, flow_id, deployment_id, COUNT(*), SUM(state_type = 'CRASHED'), SUM(seconds)
FROM flow_runs WHERE work_pool <> '' AND deployment_id <> x'' AND ended_us >= ? AND ended_us < ?
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class Spent:
    """The runs of one deployment in one work pool that ended in the period.

    Args:
        cost: At the user's prices; None where none applies.
    """

    work_pool: str
    subject: Subject
    runs: int
    crashed: int
    seconds: float
    cost: float | None


@dataclass(frozen=True, slots=True)
class Compared:
    """One work pool, or all of one type.

    Args:
        names: Of the pools.
        p50, p95: Seconds from due to start; None where no run started.
        cost: None where it is not known of all runs.
    """

    type: str
    names: tuple[str, ...]
    runs: int
    crashed: int
    seconds: float
    p50: float | None
    p95: float | None
    cost: float | None

    @property
    def crash_rate(self) -> float:
        """Share of the runs that crashed."""
        return self.crashed / self.runs if self.runs else 0.0


@remembered
def spent(workspace: Workspace) -> Sequence[Spent]:
    """Return the runs of each deployment in each pool."""
    within = (workspace.period.since_us, workspace.period.until_us)
    found = []
    for pool, flow_id, deployment_id, runs, crashed, seconds in workspace.database.execute(
        _RUNS, within
    ):
        subject = Subject(flow_id, deployment_id)
        cost = _cost(workspace, pool, requested(workspace, pool, subject), seconds)
        found.append(Spent(pool, subject, runs, crashed, seconds, cost))
    return found


def requested(workspace: Workspace, work_pool: str, subject: Subject) -> Requests:
    """Return what the jobs of a deployment ask for in a pool, as both are set now."""
    pool = workspace.catalog.work_pools.get(work_pool)
    deployment = workspace.catalog.deployments.get(subject.deployment_id)
    return requests(pool, deployment) if pool and deployment else Requests()


def by_pool(workspace: Workspace) -> Sequence[Compared]:
    """Return each pool in which runs ended, by type and name."""
    pools = sorted({each.work_pool for each in spent(workspace)})
    found = [_compared(workspace, _type(workspace, name), (name,)) for name in pools]
    return sorted(found, key=lambda each: (each.type, each.names))


def by_type(workspace: Workspace) -> Sequence[Compared]:
    """Return each type of which runs ended."""
    types: dict[str, list[str]] = {}
    for name in sorted({each.work_pool for each in spent(workspace)}):
        types.setdefault(_type(workspace, name), []).append(name)
    return [_compared(workspace, kind, tuple(names)) for kind, names in sorted(types.items())]


def _type(workspace: Workspace, name: str) -> str:
    pool = workspace.catalog.work_pools.get(name)
    return pool.type if pool else "(deleted)"


def _compared(workspace: Workspace, kind: str, names: tuple[str, ...]) -> Compared:
    some = [each for each in spent(workspace) if each.work_pool in names]
    waits = [
        wait for queue in queue_waits(workspace) if queue.work_pool in names for wait in queue.waits
    ]
    p50, p95 = quantiles(waits, 0.5, 0.95) if waits else (None, None)
    costs = [each.cost for each in some if each.cost is not None]
    return Compared(
        kind,
        names,
        sum(each.runs for each in some),
        sum(each.crashed for each in some),
        math.fsum(each.seconds for each in some),
        p50,
        p95,
        math.fsum(costs) if len(costs) == len(some) else None,
    )


def _cost(workspace: Workspace, work_pool: str, asked: Requests, seconds: float) -> float | None:
    prices, hours = workspace.question.prices, seconds / 3600
    if work_pool in prices.per_pool:
        return prices.per_pool[work_pool] * hours
    parts = (
        (prices.cpu_hour, asked.cpu.amount if asked.cpu else None),
        (prices.memory_gib_hour, asked.memory.amount / GIB if asked.memory else None),
    )
    priced = [(price, amount) for price, amount in parts if price]
    if not priced or any(amount is None for _, amount in priced):
        return None
    return math.fsum(price * amount * hours for price, amount in priced if amount is not None)
