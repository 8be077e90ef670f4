"""Traces go on from one process to the next: through deployments, workers, queues and signals."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

import otlp_receiver
import traced_scene
from demo.prefect_server import ask
from demo.processes import wait_until
from otlp_receiver import ReceivedSpan
from traced_scene import TESTS, Scene, command

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

FLOWS = ("child", "sleeper", "parent", "parent-task", "suspended")


@dataclass(frozen=True, slots=True)
class Work:
    """A worker with a deployment of each flow, all named `traced`."""

    scene: Scene
    api: httpx.Client

    def start_run(self, flow: str, **body: object) -> str:
        """Ask for a run of a deployment, and return its id."""
        deployment = self._get(f"/deployments/name/{flow}/traced")["id"]
        return str(ask(self.api, f"/deployments/{deployment}/create_flow_run", **body)["id"])

    def run(self, run_id: str) -> Any:  # noqa: ANN401 - JSON
        """Return a run's record."""
        return self._get(f"/flow_runs/{run_id}")

    def wait_for_state(self, run_id: str, *types: str) -> None:
        """Return once the run is in a state of one of the types."""
        wait_until(
            lambda: self.run(run_id)["state_type"] in types,
            within=90,
            what=f"{types} of {run_id}",
        )

    def trace_of(self, run_id: str, count: int) -> tuple[ReceivedSpan, ...]:
        """Return the trace that a run's own span is in, once it has so many spans."""
        receiver = self.scene.receiver

        def found() -> list[ReceivedSpan]:
            own = {
                span.trace_id
                for span in receiver.spans()
                if span.attributes.get("prefect.flow_run.id") == run_id
            }
            return [span for span in receiver.spans() if span.trace_id in own]

        try:
            wait_until(lambda: len(found()) >= count, within=60, what=f"{count} spans")
        except TimeoutError as error:
            raise TimeoutError(f"{error}:\n{otlp_receiver.tree(found())}") from None
        return tuple(found())

    def _get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        return self.api.get(path).raise_for_status().json()


@pytest.fixture(name="work", scope="module")
def _work() -> Iterator[Work]:
    with traced_scene.scene() as scene, scene.server.client() as api:
        _start_worker(scene, api)
        for flow in FLOWS:
            _deploy(api, flow)
        yield Work(scene, api)


def _start_worker(scene: Scene, api: httpx.Client) -> None:
    env = scene.environment("worker", "plugin", "http") | {"PREFECT_WORKER_QUERY_SECONDS": "1"}
    argv = [sys.executable, "-m", "prefect", "worker", "start"]
    scene.start(
        "worker",
        [*argv, "--pool", "pool", "--type", "process"],
        env,
        lambda: bool(ask(api, "/work_pools/pool/workers/filter")),
    )


def _deploy(api: httpx.Client, flow: str) -> None:
    body = {
        "name": "traced",
        "flow_id": ask(api, "/flows/", name=flow)["id"],
        "work_pool_name": "pool",
        "path": str(TESTS),
        "entrypoint": f"deployed_flows.py:{flow.replace('-', '_')}",
        "tags": ["nightly"],
    }
    api.post("/deployments/", json=body).raise_for_status()


def test_worker_runs_a_deployment(work: Work) -> None:
    """A run that a worker starts is a CONSUMER, and says which deployment and pool it is of."""
    run_id = work.start_run("child")
    spans = work.trace_of(run_id, 2)
    flow = next(span for span in spans if span.name == "flow child")
    told = {
        "prefect.flow.name": "child",
        "prefect.deployment.name": "traced",
        "prefect.work_pool.name": "pool",
        "prefect.work_queue.name": "default",
        "prefect.tags": ("nightly",),
        "prefect.run.count": 1,
        "prefect.parameter.type.value": "int",
    }

    assert "flow child Completed\n  task step Completed" == otlp_receiver.tree(spans)
    assert "CONSUMER" == flow.kind
    assert "" == flow.parent_id
    assert told == {name: flow.attributes.get(name) for name in told}


@pytest.mark.parametrize("how", ["client", "function"])
def test_run_belongs_to_the_request_that_asked_for_it(work: Work, how: str) -> None:
    """A run asked for under a span is its child, by the bare client and by `run_deployment`."""
    service = f"service-{how}"
    env = work.scene.environment(service, "setup", "grpc")
    work.scene.start(service, command("setup", "deployed_flows", "trigger", how), env)
    spans = work.scene.spans_of(service, root="POST /orders", count=3)

    assert (
        "POST /orders UNSET\n  flow child Completed\n    task step Completed"
        == otlp_receiver.tree(spans)
    )


def test_run_deployment_in_a_flow(work: Work) -> None:
    """The child of `run_deployment` is within the flow that called it."""
    spans = work.trace_of(work.start_run("parent"), 3)

    assert (
        "flow parent Completed\n  flow child Completed\n    task step Completed"
        == otlp_receiver.tree(spans)
    )


def test_run_deployment_in_a_task(work: Work) -> None:
    """The child of `run_deployment` is within the task that called it, not beside it."""
    spans = work.trace_of(work.start_run("parent-task"), 4)

    assert (
        "flow parent-task Completed\n"
        "  task asks_for_child Completed\n"
        "    flow child Completed\n"
        "      task step Completed"
    ) == otlp_receiver.tree(spans)


def test_scheduled_run_belongs_to_who_scheduled_it(work: Work) -> None:
    """A run of a later time carries the trace that its labels name."""
    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    later = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": later}}
    run_id = work.start_run("child", state=state, labels={"__OTEL_TRACEPARENT": parent})
    spans = work.trace_of(run_id, 2)

    assert {"a" * 32} == {span.trace_id for span in spans}
    assert "b" * 16 in {span.parent_id for span in spans}


def test_run_that_waited_long_links_to_who_asked_for_it(work: Work) -> None:
    """Beyond the setting, a run starts a trace of its own, with a link."""
    parent = f"00-{'c' * 32}-{'d' * 16}-01"
    variables = {"env": {"PREFECT_INSTRUMENTATION_LINK_AFTER": "0.001"}}
    run_id = work.start_run("child", labels={"__OTEL_TRACEPARENT": parent}, job_variables=variables)
    flow = next(span for span in work.trace_of(run_id, 2) if span.name == "flow child")

    assert "" == flow.parent_id
    assert "c" * 32 != flow.trace_id
    assert (("c" * 32, "d" * 16),) == flow.links


def test_suspended_run_is_resumed_in_its_trace(work: Work) -> None:
    """Each process that a run took has a span, the later one within the earlier."""
    run_id = work.start_run("suspended")
    work.wait_for_state(run_id, "PAUSED")
    ask(work.api, f"/flow_runs/{run_id}/resume")
    work.wait_for_state(run_id, "COMPLETED", "FAILED", "CRASHED")
    spans = work.trace_of(run_id, 5)

    assert (
        "flow suspended Suspended\n"
        "  task step Completed\n"
        "  flow suspended Completed\n"
        "    task step Completed\n"
        "    task step Completed"
    ) == otlp_receiver.tree(spans)


def _busy(work: Work, folder: Path) -> tuple[str, int]:
    """Start a run that stays busy, and return its id and its process's once it is."""
    pid_file = folder / "pid"
    run_id = work.start_run("sleeper", parameters={"pid_file": str(pid_file)})
    wait_until(
        lambda: pid_file.exists() and pid_file.read_text() != "", within=60, what="a busy flow"
    )
    return run_id, int(pid_file.read_text())


def test_sigterm_loses_no_span(work: Work, tmp_path: Path) -> None:
    """An evicted run's spans arrive, though the signal ends the process at once."""
    run_id, pid = _busy(work, tmp_path)
    os.kill(pid, signal.SIGTERM)
    work.wait_for_state(run_id, "CRASHED")
    spans = work.trace_of(run_id, 3)

    assert (
        "flow sleeper Crashed !TerminationSignal\n"
        "  task step Completed\n"
        "  task long_step Crashed !TerminationSignal"
    ) == otlp_receiver.tree(spans)
    assert {"infrastructure"} == {
        span.attributes["prefect.error.category"]
        for span in spans
        if "prefect.error.category" in span.attributes
    }


def test_cancelled_run_says_so(work: Work, tmp_path: Path) -> None:
    """A run cancelled in the UI ends as CANCELLED, and its record says that its span arrived."""
    run_id, _ = _busy(work, tmp_path)
    ask(work.api, f"/flow_runs/{run_id}/set_state", state={"type": "CANCELLING"})
    work.wait_for_state(run_id, "CANCELLED")
    spans = work.trace_of(run_id, 3)
    flow = next(span for span in spans if span.name == "flow sleeper")

    assert ("CANCELLED", "Cancelled", "cancelled") == (
        flow.attributes["prefect.state.type"],
        flow.attributes["prefect.state.name"],
        flow.attributes["prefect.error.category"],
    )
    assert "true" == work.run(run_id)["labels"]["__OTEL_SPAN_ENDED"]


def test_sigkill_leaves_what_the_exporter_needs(work: Work, tmp_path: Path) -> None:
    """A killed process sends no span of its run; the record tells which one is missing."""
    run_id, pid = _busy(work, tmp_path)
    task = work.trace_of(run_id, 1)[0]
    os.kill(pid, signal.SIGKILL)
    work.wait_for_state(run_id, "CRASHED")
    labels = work.run(run_id)["labels"]

    assert ["00", task.trace_id, task.parent_id] == labels["__OTEL_TRACEPARENT"].split("-")[:3]
    assert "" == labels["__OTEL_PARENT_SPAN_ID"]
    assert "__OTEL_SPAN_ENDED" not in labels
    assert ["task step"] == [span.name for span in work.trace_of(run_id, 1)]


def test_served_flow_is_traced(work: Work) -> None:
    """A flow that `serve()` runs is traced as a worker's is."""
    env = work.scene.environment("served", "plugin", "grpc")
    server = work.scene.start("served", command("plugin", "deployed_flows", "serve-flow"), env)
    path = "/deployments/name/child/served"
    wait_until(lambda: work.api.get(path).is_success, within=60, what="the served deployment")
    deployment = work.api.get(path).json()["id"]
    ask(work.api, f"/deployments/{deployment}/create_flow_run")
    spans = work.scene.spans_of("served", root="flow child", count=2)
    server.stop()

    assert "flow child Completed\n  task step Completed" == otlp_receiver.tree(spans)


def test_background_tasks_are_in_the_trace_of_who_delayed_them(work: Work) -> None:
    """Tasks of `.delay()` are within the run that called it, with parameters and without."""
    env = work.scene.environment("tasks", "plugin", "http")
    worker = work.scene.start("tasks", command("plugin", "deployed_flows", "serve-tasks"), env)
    env = work.scene.environment("delays", "plugin", "http")
    work.scene.start("delays", command("plugin", "deployed_flows", "delays"), env)
    spans = work.scene.spans_of("delays", root="flow delays", count=5)
    worker.stop()

    assert (
        "flow delays Completed\n"
        "  task background Completed\n"
        "    task step Completed\n"
        "  task background_without_parameters Completed\n"
        "    task step Completed"
    ) == otlp_receiver.tree(spans, by_start=False)
