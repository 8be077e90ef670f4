"""Traces go on from one process to the next: through deployments, workers, queues and signals."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

import otlp_receiver
import traced_docs
import traced_scene
from demo.api import ask
from demo.processes import answers_at, free_port, wait_until
from otlp_receiver import ReceivedSpan
from traced_scene import TESTS, Scene, command

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

TREES = traced_docs.cases("trace-between")

SETTLED_AFTER_SECONDS = 4
"""Longer than the exporter's interval and what it waits after a run's end, together."""

FLOWS = ("child", "sleeper", "parent", "parent-task", "suspended")


@dataclass(frozen=True, slots=True)
class Work:
    """A worker with a deployment of each flow, all named `traced`."""

    scene: Scene
    api: httpx.Client
    exporter_url: str

    def start_run(self, flow: str, **body: object) -> str:
        """Ask for a run of a deployment, and return its id."""
        deployment = self.get(f"/deployments/name/{flow}/traced")["id"]
        return str(ask(self.api, f"/deployments/{deployment}/create_flow_run", **body)["id"])

    def run(self, run_id: str) -> Any:  # noqa: ANN401 - JSON
        """Return a run's record."""
        return self.get(f"/flow_runs/{run_id}")

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
            wait_until(lambda: len(found()) >= count, within=100, what=f"{count} spans")
        except TimeoutError as error:
            raise TimeoutError(f"{error}:\n{otlp_receiver.tree(found())}") from None
        return tuple(found())

    def get(self, path: str, within: float = 30) -> Any:  # noqa: ANN401 - JSON
        """Return what is there, once it is, and the server has time to say so."""
        found: list[Any] = []

        def is_there() -> bool:
            found[:] = [self.api.get(path).raise_for_status().json()]
            return True

        wait_until(is_there, within=within, what=path)
        return found[0]


@pytest.fixture(name="work", scope="module")
def _work() -> Iterator[Work]:
    with traced_scene.scene() as scene, scene.server.client() as api:
        _start_worker(scene, api)
        for flow in FLOWS:
            _deploy(api, flow)
        yield Work(scene, api, _start_exporter(scene))


def _start_worker(scene: Scene, api: httpx.Client) -> None:
    env = scene.environment("worker", "plugin", "http") | {"PREFECT_WORKER_QUERY_SECONDS": "1"}
    argv = [sys.executable, "-m", "prefect", "worker", "start"]
    scene.start(
        "worker",
        [*argv, "--pool", "pool", "--type", "process"],
        env,
        lambda: bool(ask(api, "/work_pools/pool/workers/filter")),
    )


def _start_exporter(scene: Scene) -> str:
    address = f"127.0.0.1:{free_port()}"
    env = scene.environment("exporter", "setup", "http") | {
        "PREFECT_EXPORTER_LISTEN_ADDRESS": address,
        "PREFECT_EXPORTER_STATE_PATH": str(scene.sandbox.subfolder("exporter") / "state.db"),
        "PREFECT_EXPORTER_POLL_INTERVAL": "1s",
        "PREFECT_EXPORTER_TERMINAL_SPANS": "true",
        "PREFECT_EXPORTER_TERMINAL_SPANS_AFTER": "1s",
    }
    program = [sys.executable, "-m", "prefect_exporter", "serve"]
    scene.start("exporter", program, env, answers_at(f"http://{address}/readyz"))
    return f"http://{address}"


def _own_spans(work: Work) -> float:
    """Return of how many runs the exporter has found that they sent their spans themselves."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(httpx.get(f"{work.exporter_url}/metrics").text)
        for sample in family.samples
        if sample.name == "prefect_exporter_terminal_spans_total"
        and sample.labels["result"] == "own_span"
    )


def _settled_own_spans(work: Work) -> float:
    """Return the same once no run of another test is left to be judged."""
    seen = _own_spans(work)
    since = time.monotonic()

    def is_settled() -> bool:
        nonlocal seen, since
        if (now := _own_spans(work)) != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since > SETTLED_AFTER_SECONDS

    wait_until(is_settled, within=60, what="an exporter that has judged all runs")
    return seen


def _doubled(work: Work) -> list[str]:
    """Return the names of spans that arrived twice, from this test or any other."""
    found = Counter(
        (span.trace_id, span.span_id, span.name) for span in work.scene.receiver.spans()
    )
    return [name for (_, _, name), times in found.items() if times > 1]


def _deploy(api: httpx.Client, flow: str) -> None:
    body = {
        "name": "traced",
        "flow_id": ask(api, "/flows/", name=flow)["id"],
        "work_pool_name": "pool",
        "path": str(TESTS),
        "entrypoint": f"deployed_flows.py:{flow.replace('-', '_')}",
        "tags": ["nightly"],
    }
    ask(api, "/deployments/", **body)


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

    assert TREES["worker"].tree == TREES["worker"].draw(spans)
    assert "CONSUMER" == flow.kind
    assert "" == flow.parent_id
    assert told == {name: flow.attributes.get(name) for name in told}


@pytest.mark.parametrize("how", ["client", "function"])
def test_run_belongs_to_the_request_that_asked_for_it(work: Work, how: str) -> None:
    """A run that a request starts has its trace, correlation id and baggage, however started."""
    service = f"service-{how}"
    env = work.scene.environment(service, "setup", "grpc")
    work.scene.start(service, command("setup", "deployed_flows", "trigger", how), env)
    spans = work.scene.spans_of(service, root="POST /orders", count=3)

    (flow,) = (span for span in spans if span.name == "flow child")
    labels = work.run(str(flow.attributes["prefect.flow_run.id"]))["labels"]

    assert TREES["request"].tree == TREES["request"].draw(spans)
    assert {"POST /orders"} == {span.name for span in spans if span.kind == "SERVER"}
    assert ("ord-42", "tenant=acme") == (labels["__CORRELATION_ID"], labels["__OTEL_BAGGAGE"])


def test_run_deployment_in_a_flow(work: Work) -> None:
    """The child of `run_deployment` is within the flow that called it."""
    spans = work.trace_of(work.start_run("parent"), 3)

    assert TREES["flow-calls"].tree == TREES["flow-calls"].draw(spans)


def test_run_deployment_in_a_task(work: Work) -> None:
    """The child of `run_deployment` is within the task that called it, not beside it."""
    spans = work.trace_of(work.start_run("parent-task"), 4)

    assert TREES["task-calls"].tree == TREES["task-calls"].draw(spans)


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

    assert TREES["suspended"].tree == TREES["suspended"].draw(spans)


def _busy(work: Work, folder: Path) -> tuple[str, int]:
    """Start a run that stays busy, and return its id and its process's once it is."""
    pid_file = folder / "pid"
    run_id = work.start_run("sleeper", parameters={"pid_file": str(pid_file)})
    wait_until(
        lambda: pid_file.exists() and pid_file.read_text() != "", within=60, what="a busy flow"
    )
    return run_id, int(pid_file.read_text())


def test_sigterm_loses_no_span(work: Work, tmp_path: Path) -> None:
    """An evicted run's spans arrive, though the signal ends the process at once; once each."""
    run_id, pid = _busy(work, tmp_path)
    known = _settled_own_spans(work)
    os.kill(pid, signal.SIGTERM)
    work.wait_for_state(run_id, "CRASHED")
    spans = work.trace_of(run_id, 3)

    assert TREES["sigterm"].tree == TREES["sigterm"].draw(spans)

    wait_until(lambda: _own_spans(work) > known, within=60, what="the exporter's judgement")

    assert [] == _doubled(work)


def test_cancelled_run_says_so(work: Work, tmp_path: Path) -> None:
    """A run cancelled in the UI ends as CANCELLED, and its record says that its span arrived."""
    run_id, _ = _busy(work, tmp_path)
    ask(work.api, f"/flow_runs/{run_id}/set_state", state={"type": "CANCELLING"})
    work.wait_for_state(run_id, "CANCELLED")
    spans = work.trace_of(run_id, 3)

    assert TREES["cancelled"].tree == TREES["cancelled"].draw(spans)
    assert "true" == work.run(run_id)["labels"]["__OTEL_SPAN_ENDED"]


def test_killed_run_has_its_span_from_the_exporter(work: Work, tmp_path: Path) -> None:
    """A killed process sends no span of its run; the exporter does, and of that run alone."""
    run_id, pid = _busy(work, tmp_path)
    assert ["task step"] == [span.name for span in work.trace_of(run_id, 1)]
    os.kill(pid, signal.SIGKILL)
    work.wait_for_state(run_id, "CRASHED")
    spans = work.trace_of(run_id, 2)

    assert TREES["sigkill"].tree == TREES["sigkill"].draw(spans)


def test_sampler_decides_for_all_processes(work: Work) -> None:
    """Where the process that asks for a run does not sample, no other makes spans of it."""
    env = work.scene.environment("unsampled", "setup", "http") | {
        "OTEL_TRACES_SAMPLER": "always_off"
    }
    before = {run["id"] for run in ask(work.api, "/flow_runs/filter")}
    work.scene.start("unsampled", command("setup", "deployed_flows", "trigger", "client"), env)
    wait_until(
        lambda: bool({run["id"] for run in ask(work.api, "/flow_runs/filter")} - before),
        within=60,
        what="the run",
    )
    (run_id,) = {run["id"] for run in ask(work.api, "/flow_runs/filter")} - before
    work.wait_for_state(run_id, "COMPLETED")
    after = work.start_run("child")
    work.trace_of(after, 2)

    assert work.run(run_id)["labels"]["__OTEL_TRACEPARENT"].endswith(("-00", "-02"))
    assert [] == [
        span.name
        for span in work.scene.receiver.spans()
        if span.attributes.get("prefect.flow_run.id") == run_id
    ]


def test_served_flow_is_traced(work: Work) -> None:
    """A flow that `serve()` runs is traced as a worker's is."""
    env = work.scene.environment("served", "plugin", "grpc")
    server = work.scene.start("served", command("plugin", "deployed_flows", "serve-flow"), env)
    path = "/deployments/name/child/served"
    deployment = work.get(path, within=60)["id"]
    ask(work.api, f"/deployments/{deployment}/create_flow_run")
    spans = work.scene.spans_of("served", root="flow child", count=2)
    server.stop()

    assert TREES["serve"].tree == TREES["serve"].draw(spans)


def test_background_tasks_are_in_the_trace_of_who_delayed_them(work: Work) -> None:
    """Tasks of `.delay()` are within the run, or the request, that called it.

    Within a run that is so without parameters too.
    """
    env = work.scene.environment("tasks", "plugin", "http")
    worker = work.scene.start("tasks", command("plugin", "deployed_flows", "serve-tasks"), env)
    env = work.scene.environment("delays", "plugin", "http")
    work.scene.start("delays", command("plugin", "deployed_flows", "delays"), env)
    spans = work.scene.spans_of("delays", root="flow delays", count=5)
    env = work.scene.environment("service-delay", "setup", "grpc")
    work.scene.start("service-delay", command("setup", "deployed_flows", "trigger", "delay"), env)
    of_request = work.scene.spans_of("service-delay", root="POST /orders", count=3)
    worker.stop()

    assert TREES["background"].tree == TREES["background"].draw(spans, by_start=False)
    assert TREES["request-delays"].tree == TREES["request-delays"].draw(of_request)
