"""What is left of a flow run's trace when its pod has to go; real processes, no cluster."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

import flow_pods
import otlp_receiver
import traced_scene
from demo.api import ask
from demo.processes import Process, wait_until
from kubernetes.instrument_pool import GRACE_SECONDS, instrumented
from otlp_receiver import ReceivedSpan
from traced_scene import TESTS, Scene

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

CORRELATION_ID = "ord-42"


@dataclass(slots=True)
class Pod:
    """A run's container, as kubelet has started it.

    Args:
        run_id: the flow run.
        marker: a file that its first task makes once it is busy.
        first: whether its process is PID 1 of a namespace.
        ended: its exit status, and the seconds from the signal to its end.
    """

    run_id: str
    name: str
    process: Process
    marker: Path
    first: bool
    ended: tuple[int, float] | None = None

    def wait_until_busy(self) -> None:
        """Return once it has something to lose."""

        def is_busy() -> bool:
            self.process.check()
            return self.marker.exists()

        wait_until(is_busy, within=180, what=f"a busy pod {self.name}")

    def end(self, number: signal.Signals, *, to_group: bool = False) -> tuple[int, float]:
        """Signal its process, unless a test has; return its exit status, and its last seconds."""
        if self.ended is None:
            began = time.monotonic()
            self.send(number, to_group=to_group)
            self.ended = self.process.wait(GRACE_SECONDS), time.monotonic() - began
        return self.ended

    def send(self, number: signal.Signals, *, to_group: bool = False) -> None:
        """Signal its process, or all of its group."""
        pid = self.process.pid
        if self.first:
            (inner,) = psutil.Process(pid).children()
            pid = inner.pid
        if to_group:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)

    def lines(self) -> list[dict[str, Any]]:
        """Return the log lines of its run, from the moment that the flow is loaded."""
        written = self.process.log.read_text(encoding="utf-8").splitlines()
        told = [json.loads(line) for line in written if line.startswith("{")]
        return [line for line in told if "flow" in line]


@dataclass(slots=True)
class Cluster:
    """A Prefect server with a pool, and whoever starts pods for its runs."""

    scene: Scene
    api: httpx.Client
    first: Sequence[str]
    pods: dict[str, Pod] = field(default_factory=dict)

    def deploy(self, flow: str) -> str:
        """Make a deployment of a flow, and return its id."""
        body = {
            "name": "nightly",
            "flow_id": ask(self.api, "/flows/", name=flow)["id"],
            "work_pool_name": "kubernetes",
            "path": str(TESTS),
            "entrypoint": f"pod_flows.py:{flow}",
        }
        return str(ask(self.api, "/deployments/", **body)["id"])

    def start_run(self, deployment: str, name: str, **job_variables: object) -> Pod:
        """Ask for a run of a deployment, and start its pod."""
        marker = self.scene.sandbox.subfolder(name) / "busy"
        path = f"/deployments/{deployment}/create_flow_run"
        labels = {"__CORRELATION_ID": CORRELATION_ID}
        run = ask(self.api, path, parameters={"marker": str(marker)}, labels=labels)
        return self.start_pod(name, run["id"], marker, **job_variables)

    def start_pod(self, name: str, run_id: str, marker: Path, **job_variables: object) -> Pod:
        """Start a pod for a run that there is."""
        pool = self.api.get("/work_pools/kubernetes").raise_for_status().json()
        run = flow_pods.run_of("evictable", "nightly", run_id)
        api_url = self.scene.server.api_url
        job = flow_pods.job(pool["base_job_template"], run, job_variables, api_url)
        env = self.scene.sandbox.prefect_environment(name) | flow_pods.variables(
            job, flow_pods.fields(f"job-{name}", name)
        )
        env["PREFECT_HOME"] = str(self.scene.sandbox.subfolder(name))
        # Where a machine is busy, the usual second may be too short to send what is left.
        env["PREFECT_INSTRUMENTATION_EXIT_TIMEOUT"] = "30s"
        argv = [*self.first, *flow_pods.container_of(job)["args"]]
        process = self.scene.start(name, argv, env)
        self.pods[name] = Pod(run_id, name, process, marker, bool(self.first))
        return self.pods[name]

    def spans(self, pod: Pod) -> list[ReceivedSpan]:
        """Return the spans of a pod's run that have arrived, over all of its pods."""
        return [
            span
            for span in self.scene.receiver.spans()
            if span.attributes.get("prefect.flow_run.id") == pod.run_id
        ]

    def state(self, pod: Pod) -> tuple[str, str]:
        """Return type and name of the state of a pod's run."""
        run = self.api.get(f"/flow_runs/{pod.run_id}").raise_for_status().json()
        return run["state_type"], run["state_name"]


@pytest.fixture(name="cluster", scope="module")
def _cluster() -> Iterator[Cluster]:
    """A pod for each way to end, all busy: they start side by side, as that takes longest."""
    with traced_scene.scene() as scene, scene.server.client() as api:
        template = instrumented(flow_pods.default_template(), scene.receiver.http_endpoint)
        pool = {"name": "kubernetes", "type": "kubernetes", "base_job_template": template}
        ask(api, "/work_pools/", **pool)
        first = flow_pods.NAMESPACE_OF_ITS_OWN if flow_pods.can_be_first() else ()
        cluster = Cluster(scene, api, first)
        evictable = cluster.deploy("evictable")
        cluster.start_run(evictable, "evicted")
        cluster.start_run(cluster.deploy("threaded"), "threaded")
        cluster.first = ()
        cluster.start_run(evictable, "relinquished", backoff_limit=3)
        for pod in cluster.pods.values():
            pod.wait_until_busy()
        cluster.first = first
        yield cluster


def test_evicted_run_goes_on_in_its_trace(cluster: Cluster) -> None:
    """SIGTERM to PID 1: all spans arrive in the grace, and the next pod's are below the first's."""
    pod = cluster.pods["evicted"]
    status, seconds = pod.end(signal.SIGTERM)
    spans = cluster.spans(pod)
    by_name = {span.name: span for span in spans}

    assert (0, True) == (status, seconds < GRACE_SECONDS / 4)
    assert ("SCHEDULED", "AwaitingRetry") == cluster.state(pod)
    assert ["flow evictable", "task busy", "task step"] == sorted(by_name)
    assert (
        "prefect.exceptions.TerminationSignal" == by_name["flow evictable"].attributes["error.type"]
    )
    assert "CRASHED" == by_name["task busy"].attributes["prefect.state.type"]
    assert {"ERROR"} == {by_name[name].status for name in ("flow evictable", "task busy")}

    again = cluster.start_pod("again", pod.run_id, pod.marker)

    assert 0 == again.process.wait(180)
    assert ("COMPLETED", "Completed") == cluster.state(pod)
    assert AFTER_EVICTION.strip() == otlp_receiver.tree(cluster.spans(pod))
    assert {"evicted": 3, "again": 3} == {
        name: sum(span.resource["k8s.pod.name"] == name for span in cluster.spans(pod))
        for name in ("evicted", "again")
    }


AFTER_EVICTION = """
flow evictable Running !TerminationSignal
  task step Completed
  task busy Crashed !TerminationSignal
  flow evictable Completed
    task step Completed
    task step Completed
"""


def test_spans_say_where_the_run_was(cluster: Cluster) -> None:
    """The pod's names are on the resource, the deployment's on the span."""
    pod = cluster.pods["threaded"]
    (step,) = (span for span in cluster.spans(pod) if span.name == "task step")
    told = {
        "k8s.pod.name": "threaded",
        "k8s.pod.uid": "uid-of-threaded",
        "k8s.namespace.name": "flows",
        "k8s.node.name": "node-1",
        "k8s.job.name": "job-threaded",
        "k8s.container.name": "prefect-job",
    }

    assert told == {name: step.resource.get(name) for name in told}
    assert ("nightly", CORRELATION_ID) == (
        step.attributes["prefect.deployment.name"],
        step.attributes["correlation_id"],
    )


def test_metrics_have_no_label_of_a_pod(cluster: Cluster) -> None:
    """Points arrive from a pod that was evicted; each of its own labels would be a series a run."""
    cluster.pods["relinquished"].end(signal.SIGTERM, to_group=True)
    labels = {
        label
        for metric in cluster.scene.receiver.metrics()
        for point in metric.points
        for label in point.attributes
    }

    assert {"flow", "task", "deployment", "category", "fingerprint"} == labels


def test_every_line_of_an_evicted_run_has_its_ids(cluster: Cluster) -> None:
    """Up to the last: the lines of a pod that is gone can be found by what caused it."""
    pod = cluster.pods["relinquished"]
    pod.end(signal.SIGTERM, to_group=True)
    lines = pod.lines()

    assert "Task run crashed" in {line["event"] for line in lines}
    assert {CORRELATION_ID} == {line["correlation_id"] for line in lines}
    assert {"nightly"} == {line["deployment"] for line in lines}


def test_relinquished_run_is_left_to_kubernetes(cluster: Cluster) -> None:
    """With a backoff limit the exit is a failure, so that Kubernetes starts a pod; spans arrive.

    The signal goes to the whole group, as from tini in Prefect's image.
    """
    pod = cluster.pods["relinquished"]
    status, seconds = pod.end(signal.SIGTERM, to_group=True)

    assert (1, True) == (status, seconds < GRACE_SECONDS / 4)
    assert ("RUNNING", "Running") == cluster.state(pod)
    assert ["flow evictable", "task busy", "task step"] == sorted(
        span.name for span in cluster.spans(pod)
    )


def test_evicted_run_does_not_wait_for_its_threads(cluster: Cluster) -> None:
    """Its own span and line are there before the kill, which loses but the task in the thread."""
    pod = cluster.pods["threaded"]
    pod.send(signal.SIGTERM)
    cluster.scene.receiver.wait_for(lambda _: len(cluster.spans(pod)) == 2, 90)

    assert pod.process.running

    pod.end(signal.SIGKILL)

    assert "flow threaded Running !TerminationSignal\n  task step Completed" == otlp_receiver.tree(
        cluster.spans(pod)
    )
    assert "Flow run failed" in {line["event"] for line in pod.lines()}
