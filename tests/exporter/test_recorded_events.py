"""What Prefect tells by events, over HTTP: as its own answers have it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from contexts import TARGET
from fakes import FakePrefect
from misbehaving import MisbehavingPrefect
from prefect_exporter.client import PrefectClient
from prefect_exporter.collectors.automations import ACTIONS, AutomationCollector
from prefect_exporter.collectors.base import Collector, Context, StateT
from prefect_exporter.collectors.events import EVENTS, EventCollector
from prefect_exporter.collectors.heartbeats import HeartbeatCollector
from prefect_exporter.collectors.task_runs_orphaned import OrphanedTaskRunCollector
from prefect_exporter.directory import Directory
from prefect_exporter.moments import micros
from recorded import RecordedPrefect
from worlds import collecting, counts, run

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HEARTBEAT = "prefect.flow-run.heartbeat"


def ago(minutes: float) -> datetime:
    """Return the time so many minutes ago."""
    return NOW - timedelta(minutes=minutes)


async def over_http(
    prefect: RecordedPrefect, context: Context, collector: Collector[StateT]
) -> StateT:
    """Poll once, at the recorded time, a server that answers as recorded."""
    async with MisbehavingPrefect(prefect) as server:
        connection = replace(context.settings.connection(), url=server.url)
        async with PrefectClient(connection, observe=lambda _: None) as client:
            directory = Directory(TARGET, client, context.store)
            noon = replace(context, api=client, directory=directory, now_us=lambda: micros(NOW))
            return await collector.poll(noon, None)


def test_heartbeats_over_http(tmp_path: Path) -> None:
    """Of each run the newest heartbeat decides, and one that never sent any is left out."""
    prefect = RecordedPrefect()
    for minutes in ((30, 27, 1), (30, 27), ()):
        resource = f"prefect.flow-run.{prefect.add_flow_run('RUNNING', at=ago(31))}"
        for each in minutes:
            prefect.add_event(HEARTBEAT, ago(each), prefect_resource_id=resource)

    with collecting(tmp_path, FakePrefect()) as context:
        state = run(over_http(prefect, context, HeartbeatCollector(context.settings)))

    assert {("etl", "nightly"): 1.0} == state.stale


def test_actions_of_automations_over_http(tmp_path: Path) -> None:
    """Actions count under the name that their event bears."""
    prefect = RecordedPrefect()
    prefect.add_automation("pager")
    with collecting(tmp_path, FakePrefect()) as context:
        collector = AutomationCollector(context.settings)
        run(over_http(prefect, context, collector))
        for outcome in ("triggered", "failed"):
            name = f"prefect.automation.action.{outcome}"
            labels = {"prefect_resource_id": "prefect.automation.1"}
            prefect.add_event(name, ago(1), prefect_resource_name="pager", **labels)
        state = run(over_http(prefect, context, collector))
        found = counts(context, ACTIONS.name)

    assert {("pager",): 1.0} == state.enabled
    assert {("pager", "executed"): 0.0, ("pager", "failed"): 1.0} == found


def test_events_over_http(tmp_path: Path) -> None:
    """A window is asked for as Prefect counts it: both its bounds belong to it."""
    prefect = RecordedPrefect()
    for minutes in (2, 2.5, 3, 3.1):
        prefect.add_event("mine", ago(minutes), prefect_resource_id="x")
    with collecting(tmp_path, FakePrefect()) as context:
        run(over_http(prefect, context, EventCollector(context.settings)))
        found = counts(context, EVENTS.name)

    assert {("mine",): 2.0} == found


def test_orphaned_task_runs_over_http(tmp_path: Path) -> None:
    """Task runs are joined with their flow runs by the server."""
    prefect = RecordedPrefect()
    for minutes in (10, 1):
        flow_run = prefect.add_flow_run("CRASHED", at=ago(minutes))
        prefect.add_task_run("RUNNING", at=ago(20))
        prefect.task_runs[-1]["flow_run_id"] = flow_run
    with collecting(tmp_path, FakePrefect()) as context:
        state = run(over_http(prefect, context, OrphanedTaskRunCollector(context.settings)))

    assert 1 == state.number
