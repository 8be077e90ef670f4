"""Every collector that the exporter has; adding one is adding a line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prefect_exporter.collectors.audits import flow_run_audit, task_run_audit
from prefect_exporter.collectors.base import Collector
from prefect_exporter.collectors.deployments import DeploymentCollector
from prefect_exporter.collectors.flow_run_events import FlowRunEventCollector
from prefect_exporter.collectors.flow_run_starts import FlowRunStartCollector
from prefect_exporter.collectors.flow_runs import FlowRunCollector
from prefect_exporter.collectors.flow_runs_active import ActiveFlowRunCollector
from prefect_exporter.collectors.flow_runs_late import LateFlowRunCollector
from prefect_exporter.collectors.server import ServerCollector
from prefect_exporter.collectors.task_runs import TaskRunCollector
from prefect_exporter.collectors.task_runs_active import ActiveTaskRunCollector
from prefect_exporter.settings import Settings

COLLECTORS: tuple[Callable[[Settings], Collector[Any]], ...] = (
    FlowRunCollector,
    FlowRunEventCollector,
    FlowRunStartCollector,
    ActiveFlowRunCollector,
    LateFlowRunCollector,
    TaskRunCollector,
    ActiveTaskRunCollector,
    DeploymentCollector,
    ServerCollector,
    flow_run_audit,
    task_run_audit,
)


def build(settings: Settings) -> tuple[Collector[Any], ...]:
    """Return the collectors that the settings ask for."""
    collectors = (make(settings) for make in COLLECTORS)
    return tuple(
        collector
        for collector in collectors
        if settings.events or collector.name != FlowRunEventCollector.name
    )
