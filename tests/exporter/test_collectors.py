"""Each collector against a Prefect with a bit of everything: its exposition, whole.

``UPDATE_GOLDEN=1`` writes the files anew in place of comparing; read the difference before you
keep it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from contexts import settings_of
from fakes import START_US, FakePrefect, after_seconds, flow_run_event
from fronts import plain
from prefect_exporter.api import Api, Page
from prefect_exporter.collectors import build
from prefect_exporter.collectors.base import Collector, Context
from prefect_exporter.collectors.deployments import DeploymentCollector
from prefect_exporter.collectors.flow_runs import FlowRunCollector
from prefect_exporter.collectors.server import Server, ServerCollector
from prefect_exporter.collectors.task_runs import TaskRunCollector
from prefect_exporter.errors import ExporterError, Rejected, Throttled, Unreachable
from prefect_exporter.exposition import Exposition
from prefect_exporter.facts import Series
from prefect_exporter.moments import SECOND
from prefect_exporter.publisher import Publisher
from prefect_exporter.runner import Outages, Runner
from prefect_exporter.traffic import Traffic
from prefect_exporter.wire import (
    Automation,
    ConcurrencyLimit,
    Deployment,
    Event,
    FlowRun,
    FlowRunRecord,
    Schedule,
    StateRecord,
    TagLimit,
    TaskRun,
    Timing,
    ToldLog,
    Worker,
    WorkPool,
    WorkQueue,
)
from worlds import (
    collecting,
    deployment,
    deployment_id,
    ended,
    poll,
    prefect_of,
    put,
    run,
    run_id,
    task_run,
    tell,
    text_of,
    waiting,
)

GOLDEN = Path(__file__).parent / "golden"
NAMES = [each.name for each in build(settings_of())]
# The rows come first: events and audits wait for them.
FIRST = ("flow_runs", "flow_run_starts", "task_runs")

DAILY: dict[str, Any] = {
    "deployment_id": deployment_id(1),
    "work_pool_name": "k8s",
    "work_queue_name": "default",
}
NIGHTLY: dict[str, Any] = {"deployment_id": deployment_id(2), "work_pool_name": "local"}
PARENT: dict[str, Any] = {"parent_task_run_id": UUID(int=77)}


def _deployments(prefect: FakePrefect) -> None:
    """Let there be a deployment with everything that one can have, and a plain one."""
    crons = ("0 6 * * *", True), ("0 18 * * *", True), ("0 0 * * 0", False)
    daily = deployment(
        1,
        "daily",
        created=after_seconds(-86_400),
        tags=["team:core", "slo:fresh=2h", "slo:success=99.5%", "slo:delay=soon"],
        status="READY",
        schedules=[Schedule(Timing(cron=cron), active=active) for cron, active in crons],
        work_pool_name="k8s",
        work_queue_name="default",
        global_concurrency_limit=ConcurrencyLimit("deployment:1", 4, 0.0),
    )
    put(prefect, daily, deployment(2, "nightly", paused=True, status="NOT_READY"))
    began: dict[str, Any] = {"start_time": after_seconds(-70)}
    put(
        prefect,
        ended(501, -60, **DAILY, **began),
        ended(502, -50, "FAILED", **NIGHTLY, **began),
        ended(503, -40, "CRASHED", **NIGHTLY, **began),
    )


def _ends(prefect: FakePrefect) -> None:
    """Let runs end in every way that there is."""
    due: dict[str, Any] = {"expected_start_time": after_seconds(0), "start_time": after_seconds(4)}
    put(
        prefect,
        ended(1, 10, total_run_time=6.0, **DAILY, **due),
        ended(2, 11, state_name="Cached", total_run_time=0.0, **DAILY, **due),
        ended(3, 12, "FAILED", run_count=3, total_run_time=75.0, **DAILY, **due),
        ended(4, 13, "FAILED", state_name="TimedOut", total_run_time=3600.0, **DAILY, **due),
        ended(5, 14, "CRASHED", total_run_time=90_000.0, **NIGHTLY, **due),
        ended(6, 15, "CANCELLED", start_time=None, **NIGHTLY),
        ended(7, 16, "COMPLETED", state_name="Looks good"),
        ended(8, 17, **PARENT),
        ended(9, 18, **PARENT, **NIGHTLY, **due),
        ended(10, 19, deployment_id=deployment_id(99), **due),
    )
    _late(prefect, ended(13, 20), ended(14, 700))
    tell(prefect, ended(11, 19, "FAILED"))
    prefect.event_rows.append(
        (
            START_US,
            flow_run_event(
                ended(12, 19, run_count=2),
                START_US + 19 * SECOND,
                "RUNNING",
                ("COMPLETED", "Completed"),
                [("flow", "etl"), ("deployment", "daily"), ("work-pool", "k8s")],
            ),
        )
    )


def _say(prefect: FakePrefect) -> None:
    """Let the runs that failed say why, and one of them have logged it."""
    for row in list(prefect.flow_rows.values()):
        if row.state_type in ("FAILED", "CRASHED"):
            put(prefect, _record(row, f"Flow run encountered an exception: ValueError: {row.id}"))
    put(prefect, _record(prefect.flow_rows[run_id(4)], "Flow run exceeded timeout of 7 second(s)"))
    text = (
        "Encountered exception during execution: ValueError('no')\n"
        "Traceback (most recent call last):\n"
        '  File "/srv/flows.py", line 7, in load\n'
        "ValueError: no"
    )
    prefect.log_rows = [ToldLog("prefect.flow_runs", 40, text, after_seconds(12), run_id(3))]


def _record(row: FlowRun, message: str) -> FlowRunRecord:
    fields = {name: getattr(row, name) for name in FlowRun.__struct_fields__}
    at = row.end_time or after_seconds(0)
    state = StateRecord(row.state_type or "", row.state_name or "", at, message)
    return FlowRunRecord(**{**fields, "name": f"run-{row.id.int}", "state": state})


def _late(prefect: FakePrefect, hidden: FlowRun | TaskRun, newer: FlowRun | TaskRun) -> None:
    """Let one row show long after it ended, when newer ones were read."""
    put(prefect, hidden, newer)
    prefect.visible_us[hidden.id] = START_US + 780 * SECOND
    prefect.visible_us[newer.id] = START_US + 700 * SECOND


def _tasks(prefect: FakePrefect) -> None:
    """Let task runs end, and others be under way."""
    put(
        prefect,
        task_run(201, 10),
        task_run(202, 11, state_name="Cached", total_run_time=0.0),
        task_run(203, 12, "FAILED", run_count=4, total_run_time=30.0),
        task_run(204, 13, "CRASHED", start_time=None),
        task_run(205, 14, task_key="send", flow_run_id=None),
        task_run(206, 15),
        task_run(207, None, "RUNNING"),
        task_run(208, None, "PENDING", start_time=None),
    )
    prefect.placeholders.add(run_id(206))
    _late(prefect, task_run(213, 20), task_run(214, 700))


def _active(prefect: FakePrefect) -> None:
    """Let runs be under way, late, and still to come."""
    put(
        prefect,
        waiting(0, "RUNNING", "Running"),
        waiting(301, "RUNNING", "Running", **DAILY),
        waiting(302, "RUNNING", "Retrying", **DAILY),
        waiting(303, "PENDING", "InfrastructurePending", **DAILY),
        waiting(304, "PAUSED", "Suspended", **NIGHTLY),
        waiting(305, "RUNNING", "A name of the user's", **NIGHTLY),
        waiting(306, "SCHEDULED", "AwaitingConcurrencySlot", start_time=None, **DAILY),
    )
    for number, due, name in [(401, 10, "Late"), (402, 30, "Scheduled"), (403, 600, "Scheduled")]:
        row = waiting(
            number,
            "SCHEDULED",
            name,
            start_time=None,
            next_scheduled_start_time=after_seconds(due),
            **(DAILY if number < 402 else NIGHTLY),
        )
        put(prefect, row)


def _pools(prefect: FakePrefect) -> None:
    """Let there be pools of every kind, with workers and queues."""
    prefect.pool_rows = [
        WorkPool("agents", "prefect-agent"),
        WorkPool("cloud", "prefect:managed", is_paused=True, status="PAUSED"),
        WorkPool("k8s", "kubernetes", status="READY", concurrency_limit=10, active_slots=3),
        WorkPool("local", "process", status="A new one"),
        WorkPool("push", "ecs:push", status="NOT_READY"),
    ]
    prefect.worker_rows = {
        "k8s": [
            Worker("worker-2", "ONLINE", after_seconds(50)),
            Worker("worker-1", "ONLINE", after_seconds(40)),
            Worker("worker-0", "OFFLINE", after_seconds(-3600)),
            Worker("worker-of-last-week", "OFFLINE", after_seconds(-7 * 86_400)),
        ]
    }
    prefect.queue_rows = [
        WorkQueue("default", "k8s", status="READY", priority=1, last_polled=after_seconds(55)),
        WorkQueue("default", "local", is_paused=True, status="PAUSED", priority=1),
        WorkQueue("fast", "k8s", priority=2, concurrency_limit=4, active_slots=2),
    ]


def _limits(prefect: FakePrefect) -> None:
    """Let slots of tags, deployments and global limits be used, some of them by nobody."""
    prefect.limit_rows = [
        ConcurrencyLimit("api", 10, 4.0),
        ConcurrencyLimit(f"deployment:{deployment_id(1)}", 4, 4.0),
        ConcurrencyLimit("off", 10, 2.0, active=False),
        ConcurrencyLimit("tag:database", 5, 3.0),
        ConcurrencyLimit("tag:free", 5, 0.0),
    ]
    prefect.tag_rows = [
        TagLimit("database", 5, [run_id(201), run_id(207), run_id(999)]),
        TagLimit("free", 5),
        TagLimit("old", 2, [run_id(208)]),
    ]


def _told(prefect: FakePrefect) -> None:
    """Let automations act, runs send heartbeats or cease to, and other events be stored."""
    prefect.automation_rows = [
        Automation(UUID(int=71), "pager"),
        Automation(UUID(int=72), "pager", enabled=False),
        Automation(UUID(int=73), "retired", enabled=False),
    ]
    hook: dict[str, str | None] = {"prefect.resource.name": "pager"}
    gone: dict[str, str | None] = {"prefect.resource.name": "deleted since"}
    none: dict[str, str | None] = {}
    for number, (seconds, name, resource) in enumerate(
        [
            (70, "prefect.automation.action.triggered", hook),
            (71, "prefect.automation.action.failed", hook),
            (72, "prefect.automation.action.executed", hook),
            (80, "prefect.automation.action.failed", gone),
            *((at, "prefect.flow-run.heartbeat", _runs(0)) for at in (1, 31, 61)),
            (5, "prefect.flow-run.heartbeat", _runs(301)),
            (60, "prefect.flow-run.heartbeat", _runs(302)),
            (-100, "prefect.work-queue.ready", none),
            (-55, "prefect.work-queue.ready", none),
            (-50, "my.event", none),
            (-35, "my.event", none),
        ]
    ):
        event = Event(after_seconds(seconds), resource, id=UUID(int=7000 + number), name=name)
        prefect.event_rows.append((START_US + seconds * SECOND, event))


def _runs(number: int) -> dict[str, str | None]:
    return {"prefect.resource.id": f"prefect.flow-run.{run_id(number)}"}


def rich(context: Context, prefect: FakePrefect) -> None:
    """Let the first poll pass, then a minute in which a bit of everything happens."""
    collectors = {each.name: each for each in build(context.settings)}
    _deployments(prefect)
    for name in FIRST:
        poll(collectors[name], context)
    _ends(prefect)
    _say(prefect)
    _tasks(prefect)
    _active(prefect)
    _pools(prefect)
    _limits(prefect)
    _told(prefect)


def polled(context: Context, prefect: FakePrefect, collector: Collector[Any]) -> object:
    """Poll a collector as often as it needs to have seen everything."""
    # What is told of deployments is told of those that were listed.
    before = (*FIRST, "deployments") if collector.name.startswith("deployment_") else FIRST
    rows = [each for each in build(context.settings) if each.name in before]
    state = None
    for seconds in (60, 720, 800) if collector.name.endswith("audit") else (60, 75, 90):
        prefect.now_us = START_US + seconds * SECOND
        for each in rows:
            poll(each, context)
        if collector.name not in FIRST:
            state = poll(collector, context, state)
    return state


def exposed(context: Context, collector: Collector[Any], state: object) -> str:
    """Return all that a collector shows, its series in order and none held back."""
    tally = context.store.ledger.tally
    for series in list(tally.held):
        tally.show(series)
    metrics: list[Metric] = [each.fill([("test", state)]) for each in collector.families]
    for family in collector.counted:
        labels = sorted([*tally.scalars[family.name], *tally.histograms[family.name]])
        shown = [(each, tally.shown(Series(family.name, each))) for each in labels]
        metrics.append(family.fill([(each, value) for each, value in shown if value is not None]))
    return text_of(*metrics)


@pytest.fixture(name="prefect")
def _prefect() -> FakePrefect:
    return prefect_of()


@pytest.fixture(name="context")
def _context(tmp_path: Path, prefect: FakePrefect) -> Iterator[Context]:
    with collecting(tmp_path, prefect, HEARTBEAT_STALE_AFTER="1m") as context:
        yield context


@pytest.mark.parametrize("name", NAMES)
def test_exposition_is_as_kept(context: Context, prefect: FakePrefect, name: str) -> None:
    """Of a known minute a collector shows what its golden file has, to the letter."""
    (collector,) = (each for each in build(context.settings) if each.name == name)
    rich(context, prefect)
    shown = exposed(context, collector, polled(context, prefect, collector))
    file = GOLDEN / f"{name}.prom"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(shown)

    assert file.read_text() == shown


def test_every_golden_file_has_its_collector() -> None:
    """No file is left of a collector that is gone."""
    assert {f"{name}.prom" for name in NAMES} == {path.name for path in GOLDEN.iterdir()}


HOSTILE = (
    "",
    " ",
    "a\nfake_total 1",
    '"',
    '",x="',
    "\\",
    "\\n",
    "}",
    "# EOF",
    "\x00\x7f",
    "☃" * 10_000,
)


def everything(context: Context) -> Exposition:
    """Poll all collectors, and return the publication after all holds."""
    outages = Outages("test", lambda: 0.0)
    runners = [Runner(each, context, outages) for each in build(context.settings)]
    publisher = Publisher(runners, {"test": Traffic()}, context.store, hold_seconds=0.0)
    for runner in runners:
        run(runner.tick())
    for _ in range(2):
        run(publisher.publish())
    assert [] == [runner.status() for runner in runners if runner.status().succeeded is not True]
    return publisher.current


@pytest.fixture(name="hostile")
def _hostile(context: Context, prefect: FakePrefect) -> Exposition:
    """A publication of runs under every bad name."""
    rich(context, prefect)
    for number, name in enumerate(HOSTILE):
        flow = UUID(int=9000 + number)
        prefect.flow_names[flow] = name
        fields: dict[str, Any] = {
            "flow_id": flow,
            "deployment_id": deployment_id(50 + number),
            "work_pool_name": name,
            "work_queue_name": name,
            "expected_start_time": after_seconds(0),
        }
        put(
            prefect,
            deployment(50 + number, name, flow),
            ended(600 + number, 20, state_name=name, **fields),
            _record(ended(950 + number, 20, "FAILED", **fields), name),
            waiting(700 + number, "RUNNING", name, **fields),
            waiting(
                800 + number,
                "SCHEDULED",
                name,
                next_scheduled_start_time=after_seconds(1),
                **fields,
            ),
            task_run(900 + number, 20, task_key=name, flow_run_id=run_id(600 + number)),
        )
    prefect.now_us = START_US + 60 * SECOND
    return everything(context)


def deployments_of(metrics: list[Metric]) -> set[str]:
    """Return the deployments whose ends are counted."""
    samples = [sample for metric in metrics for sample in metric.samples]
    return {
        sample.labels["deployment"]
        for sample in samples
        if sample.name == "prefect_flow_runs_finished_total"
    }


def test_hostile_names_are_read_back(hostile: Exposition) -> None:
    """Whatever flows, deployments, tasks, pools and queues are called, both formats parse."""
    text = list(parse_text(plain(hostile.text).decode()))
    openmetrics = list(parse_openmetrics(plain(hostile.openmetrics).decode()))  # type: ignore[no-untyped-call]  # theirs

    assert deployments_of(text) == deployments_of(openmetrics)
    assert {name for name in HOSTILE if len(name) < 128} <= deployments_of(text)
    assert all(len(name) <= 128 for name in deployments_of(text))


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool comes with Prometheus")
def test_prometheus_finds_no_fault(hostile: Exposition) -> None:
    """Prometheus reads the whole page, and its linter has nothing to say."""
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=plain(hostile.text),
        capture_output=True,
        check=False,
    )

    assert (0, b"", b"") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in NAMES
        if name != "server" and "audit" not in name and not name.startswith("deployment_")
    ],
)
def test_no_answer_is_no_state(context: Context, prefect: FakePrefect, name: str) -> None:
    """Where Prefect does not answer, a collector raises; it makes no number up."""
    (collector,) = (each for each in build(context.settings) if each.name == name)
    rich(context, prefect)
    prefect.now_us = START_US + 60 * SECOND
    prefect.down(Unreachable("flow_runs/filter", "connection refused"))

    with pytest.raises(ExporterError):
        poll(collector, context)


def test_server_that_does_not_answer_is_down(context: Context, prefect: FakePrefect) -> None:
    """For the server's own state no answer is an answer, and its version stays known."""
    (collector,) = (each for each in build(context.settings) if each.name == "server")
    up = poll(collector, context)
    prefect.down(Rejected("ready", "no", status=500))
    down = exposed(context, collector, poll(collector, context, up))

    assert 'prefect_server_up{target="test"} 0.0\n' in down
    assert 'prefect_server_ready{target="test"} 0.0\n' in down
    assert 'prefect_server_info{target="test",version="3.8.8"} 1.0\n' in down


@pytest.mark.parametrize("name", ["flow_runs_active", "flow_runs_late"])
def test_limit_of_pages_is_told(tmp_path: Path, name: str) -> None:
    """Where there is more than may be read, the oldest are shown, and that there is more."""
    prefect = prefect_of(page_size=2)
    for number in range(9):
        due = after_seconds(-100 + number)
        late = waiting(
            number, "SCHEDULED", "Late", next_scheduled_start_time=due, expected_start_time=due
        )
        put(prefect, late, waiting(100 + number, "RUNNING", "Running", expected_start_time=due))
    with collecting(tmp_path, prefect, ACTIVE_PAGES="2") as context:
        (collector,) = (each for each in build(context.settings) if each.name == name)
        state = poll(collector, context)
        shown = exposed(context, collector, state)

    assert state.truncated
    assert " 4.0\n" in shown


def test_listing_that_is_cut_off_retires_nothing(tmp_path: Path, prefect: FakePrefect) -> None:
    """Beyond the limit of deployments nobody knows which are gone."""
    put(prefect, *(deployment(number, f"d{number:02}") for number in range(60)))
    with collecting(tmp_path, prefect, MAX_DEPLOYMENTS="30", RETIRE_AFTER="1h") as context:
        (collector,) = (each for each in build(context.settings) if each.name == "deployments")
        state = poll(collector, context)
        before = len(context.store.ledger.tally)
        prefect.now_us += 3 * 3600 * SECOND
        state = poll(collector, context)

        assert state.truncated
        assert before == len(context.store.ledger.tally) > 0


def test_deleted_deployment_retires_after_its_time(context: Context, prefect: FakePrefect) -> None:
    """A deployment's series go a week after the listing that did not show it any more."""
    put(prefect, deployment(1, "daily"), deployment(2, "nightly"))
    (collector,) = (each for each in build(context.settings) if each.name == "deployments")
    numbers = []
    poll(collector, context)
    del prefect.deployment_rows[deployment_id(1)]
    for days in (0, 7, 7.1):
        prefect.now_us = START_US + round(days * 86_400) * SECOND
        poll(collector, context)
        numbers.append(len(context.store.ledger.tally))

    assert [14, 14, 7] == numbers


def test_pause_that_prefect_asks_for_is_no_outage(tmp_path: Path, prefect: FakePrefect) -> None:
    """While nothing may be asked, the server is as up as it was: no zero that was not measured."""
    with collecting(tmp_path, prefect) as context:
        runner = Runner(ServerCollector(context.settings), context, Outages("test", lambda: 0.0))
        run(runner.tick())
        prefect.down(Throttled("ready", "not asked", status=429, retry_after=60.0))
        run(runner.tick())

        assert Server(up=True, ready=True, version="3.8.8") == runner.state
        assert "throttled" == runner.status().error_kind


def test_time_that_ran_backwards_lowers_no_sum(tmp_path: Path, prefect: FakePrefect) -> None:
    """A task whose machine's clock was set back has taken no time, and not less than none."""
    with collecting(tmp_path, prefect) as context:
        poll(TaskRunCollector(context.settings), context)
        put(prefect, task_run(1, 5), task_run(2, 6, total_run_time=-3600.0))
        poll(TaskRunCollector(context.settings), context)
        (histogram,) = context.store.ledger.tally.histograms[
            "prefect_task_run_duration_seconds"
        ].values()

        assert (2, 0.5) == (sum(histogram.counts), histogram.total)


def test_folded_queues_are_told(tmp_path: Path, prefect: FakePrefect) -> None:
    """An end whose work queue stands under `other` is one that was folded."""
    with collecting(tmp_path, prefect, MAX_WORK_QUEUES="1") as context:
        poll(FlowRunCollector(context.settings), context)
        for number, queue in enumerate(("a", "b", "c")):
            put(prefect, ended(number, 5 + number, work_pool_name="p", work_queue_name=queue))
        poll(FlowRunCollector(context.settings), context)
        folded = context.store.ledger.tally.scalars["prefect_exporter_labels_folded_total"]

        assert {("test", "work_queue"): 2.0} == folded


def test_list_that_never_ends_retires_nothing(tmp_path: Path, prefect: FakePrefect) -> None:
    """Where the server gives the same page for ever, the listing ends, and is no whole one."""
    put(prefect, *(deployment(number, f"d{number:02}") for number in range(30)))

    async def first_page(_offset: int, limit: int) -> Page[Deployment]:
        return await FakePrefect.deployment_page(prefect, 0, limit)

    with collecting(tmp_path, prefect, RETIRE_AFTER="1h") as context:
        collector = DeploymentCollector(context.settings)
        poll(collector, context)
        before = len(context.store.ledger.tally)
        stuck = SimpleNamespace(deployment_page=first_page, flows=prefect.flows)
        for _ in range(2):
            prefect.now_us += 7200 * SECOND
            state = poll(collector, replace(context, api=cast("Api", stuck)))

        assert (30, True) == (len(state.listed), state.truncated)
        assert before == len(context.store.ledger.tally)
