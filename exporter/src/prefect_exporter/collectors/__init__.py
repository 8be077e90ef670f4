"""Every collector that the exporter has; adding one is adding a line here."""

from __future__ import annotations

from typing import Any, Protocol

from prefect_exporter.collectors.audits import FlowRunAudit, TaskRunAudit
from prefect_exporter.collectors.automations import AutomationCollector
from prefect_exporter.collectors.base import Collector
from prefect_exporter.collectors.concurrency_limits import ConcurrencyLimitCollector
from prefect_exporter.collectors.deployment_history import DeploymentHistoryCollector
from prefect_exporter.collectors.deployment_schedules import DeploymentScheduleCollector
from prefect_exporter.collectors.deployments import DeploymentCollector
from prefect_exporter.collectors.events import EventCollector
from prefect_exporter.collectors.failure_groups import FailureGroupCollector
from prefect_exporter.collectors.flow_run_events import FlowRunEventCollector
from prefect_exporter.collectors.flow_run_starts import FlowRunStartCollector
from prefect_exporter.collectors.flow_runs import FlowRunCollector
from prefect_exporter.collectors.flow_runs_active import ActiveFlowRunCollector
from prefect_exporter.collectors.flow_runs_late import LateFlowRunCollector
from prefect_exporter.collectors.heartbeats import HeartbeatCollector
from prefect_exporter.collectors.late_causes import LateCauseCollector
from prefect_exporter.collectors.server import ServerCollector
from prefect_exporter.collectors.task_runs import TaskRunCollector
from prefect_exporter.collectors.task_runs_active import ActiveTaskRunCollector
from prefect_exporter.collectors.task_runs_orphaned import OrphanedTaskRunCollector
from prefect_exporter.collectors.terminal_spans import TerminalSpanCollector
from prefect_exporter.collectors.work_pools import WorkPoolCollector
from prefect_exporter.collectors.work_queues import WorkQueueCollector
from prefect_exporter.collectors.workers import WorkerCollector
from prefect_exporter.settings import Settings


class Factory(Protocol):
    """A collector's class."""

    name: str

    def __call__(self, settings: Settings, /) -> Collector[Any]:
        """Return the collector."""
        ...


COLLECTORS: tuple[Factory, ...] = (
    FlowRunCollector,
    FlowRunEventCollector,
    FlowRunStartCollector,
    ActiveFlowRunCollector,
    LateFlowRunCollector,
    LateCauseCollector,
    HeartbeatCollector,
    TaskRunCollector,
    ActiveTaskRunCollector,
    OrphanedTaskRunCollector,
    DeploymentCollector,
    DeploymentScheduleCollector,
    DeploymentHistoryCollector,
    WorkPoolCollector,
    WorkerCollector,
    WorkQueueCollector,
    ConcurrencyLimitCollector,
    AutomationCollector,
    FailureGroupCollector,
    EventCollector,
    ServerCollector,
    FlowRunAudit,
    TaskRunAudit,
)


def build(settings: Settings) -> tuple[Collector[Any], ...]:
    """Return the collectors that the settings do not switch off, and that which they switch on."""
    off = {name for name, interval in settings.collectors.items() if interval is None}
    if DeploymentCollector.name in off:
        # They tell of what it lists, and would wait for that for ever.
        off |= {DeploymentScheduleCollector.name, DeploymentHistoryCollector.name}
    spans = (TerminalSpanCollector(settings),) if settings.terminal_spans else ()
    return (*(each for each in every(settings) if each.name not in off), *spans)


def every(settings: Settings) -> tuple[Collector[Any], ...]:
    """Return all collectors that count, switched off or not."""
    return tuple(make(settings) for make in COLLECTORS)


def names() -> tuple[str, ...]:
    """Return the names of all collectors."""
    return tuple(make.name for make in COLLECTORS)
