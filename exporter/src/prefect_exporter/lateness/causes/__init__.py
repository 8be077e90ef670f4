"""Every cause of lateness, and the order in which causes have to be mended. Pure.

Adding one is adding a function, its name in ``model.Cause``, and its line in ``CAUSES``.
"""

from __future__ import annotations

from collections.abc import Callable

from prefect_exporter.lateness.causes.limits import (
    deployment_limit_full,
    global_limit_full,
    queue_limit_full,
    tag_limit_full,
)
from prefect_exporter.lateness.causes.pauses import deployment_paused, pool_paused, queue_paused
from prefect_exporter.lateness.causes.pools import higher_priority_queue, pool_limit_full
from prefect_exporter.lateness.causes.scheduler import scheduler_behind
from prefect_exporter.lateness.causes.unknown import unknown
from prefect_exporter.lateness.causes.workers import no_worker, not_served, queue_not_polled
from prefect_exporter.lateness.model import Diagnosis, Facts, Reason

# What comes first stops everything that comes after it: a limit is of no use in a paused pool.
CAUSES: tuple[Callable[[Facts], Reason | None], ...] = (
    pool_paused,
    queue_paused,
    deployment_paused,
    scheduler_behind,
    no_worker,
    not_served,
    queue_not_polled,
    queue_limit_full,
    higher_priority_queue,
    pool_limit_full,
    deployment_limit_full,
    global_limit_full,
    tag_limit_full,
)


def diagnose(facts: Facts) -> Diagnosis | None:
    """Return what holds the runs back; None where no run is late and nothing is in the way."""
    reasons = tuple(reason for cause in CAUSES if (reason := cause(facts)))
    if not reasons and facts.late:
        reasons = (unknown(facts),)
    if not reasons:
        return None
    return Diagnosis(facts.subject, facts.late, facts.oldest_us, reasons)
