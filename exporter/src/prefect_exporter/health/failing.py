"""Deployments whose last runs failed, those that failed most often in a row first."""

from __future__ import annotations

from prefect_exporter.health.model import Failing, Found
from prefect_exporter.health.readings import Readings
from prefect_exporter.ledger.streaks import Streak
from prefect_exporter.metrics import Labels

HISTORY = "deployment_history"


def failing(readings: Readings) -> Found[Failing]:
    """Return the deployments that have failed since they last succeeded."""
    state, urls = readings.state(HISTORY), readings.deployment_urls()
    rows = []
    for name, streak in state.streaks.items() if state else ():
        if streak.failures:
            rows.append(_row(readings, name, streak, urls.get(name)))
    return Found(rows, known=readings.known(HISTORY))


def badness(row: Failing) -> tuple[int, float, str, str, str]:
    """Return what to sort by, the worst least."""
    return -row.failures, row.failed_seconds, row.target, row.flow, row.deployment


def _row(readings: Readings, name: Labels, streak: Streak, url: str | None) -> Failing:
    flow, deployment = name
    succeeded = streak.succeeded_us
    return Failing(
        target=readings.name,
        flow=flow,
        deployment=deployment,
        failures=streak.failures or 0,
        failed_seconds=readings.ago(streak.failed_us or 0),
        succeeded_seconds=None if succeeded is None else readings.ago(succeeded),
        url=url,
    )
