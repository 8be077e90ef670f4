"""A flow of a Kubernetes pool on a real node: Prefect's worker, kubelet, an eviction, a kill.

Its image is the stack's worker image, as `make test-stack` builds it, with today's package.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

import flow_pods
import otlp_receiver
from demo.api import ask
from demo.prefect_server import start_prefect_server
from demo.processes import Program, free_port
from demo.sandbox import Sandbox
from kubernetes.api import Object, eventually
from kubernetes.cluster import Cluster
from kubernetes.cluster import cluster as started
from kubernetes.instrument_pool import instrumented, restricted
from kubernetes.machine import machine
from kubernetes.node import Containers, node
from otlp_receiver import OtlpReceiver, ReceivedSpan

ROOT = Path(__file__).parents[2]
NAMESPACE = "flows"
IMAGE = "prefect-test/flows:1"
DOCKERFILE = """\
FROM prefect-observability/worker:test
USER 0
COPY prefect_instrumentation /tmp/package
RUN package=$(python -c 'import prefect_instrumentation as p; print(p.__path__[0])') \
 && rm -r "$package" && mv /tmp/package "$package"
COPY pod_flows.py /opt/pods/
USER 10001:10001
"""
AFTER_EVICTION = """
flow evictable Running !TerminationSignal
  task step Completed
  task busy Crashed !TerminationSignal
  flow evictable Completed
    task step Completed
    task step Completed
"""


@dataclass(frozen=True, slots=True)
class Work:
    """A pool, a worker of it, and a node on which it makes pods."""

    cluster: Cluster
    containers: Containers
    api: httpx.Client
    receiver: OtlpReceiver

    def start_run(self, **job_variables: object) -> str:
        """Ask for a run, and return its id once its pod is busy."""
        variables = {"namespace": NAMESPACE, "image": f"docker.io/{IMAGE}", **job_variables}
        deployment = ask(
            *(self.api, "/deployments/"),
            name=f"with-{len(job_variables)}",
            flow_id=ask(self.api, "/flows/", name="evictable")["id"],
            work_pool_name="kubernetes",
            path="/opt/pods",
            entrypoint="pod_flows.py:evictable",
            job_variables=variables,
        )
        path = f"/deployments/{deployment['id']}/create_flow_run"
        run_id = str(ask(self.api, path, parameters={"marker": "/tmp/busy"})["id"])  # noqa: S108 - of the pod
        eventually(lambda: self.spans(run_id), what=f"a busy pod of {run_id}", within=120)
        return run_id

    def spans(self, run_id: str) -> list[ReceivedSpan]:
        """Return the spans of a run that have arrived."""
        spans = self.receiver.spans()
        return [each for each in spans if each.attributes.get("prefect.flow_run.id") == run_id]

    def pod(self, run_id: str) -> Object:
        """Return the pod in which a run is busy."""
        (pod,) = (
            each
            for each in self.cluster.api.list("Pod", NAMESPACE)
            if each["metadata"]["labels"].get("prefect.io/flow-run-id") == run_id
            and each["status"]["phase"] == "Running"
        )
        return pod

    def evict(self, pod: Object) -> None:
        """Drain the pod from its node, as the node's end would."""
        self.cluster.api.evict(pod["metadata"]["name"], NAMESPACE)

    def wait_for(self, run_id: str, state_type: str) -> None:
        """Return once a run is in a state of that type."""

        def there() -> bool:
            run = self.api.get(f"/flow_runs/{run_id}").raise_for_status().json()
            return bool(run["state_type"] == state_type)

        eventually(there, what=f"{run_id} in {state_type}", within=120)


@pytest.fixture(name="work", scope="module")
def _work() -> Iterator[Work]:
    with (
        Sandbox() as sandbox,
        OtlpReceiver() as receiver,
        machine(sandbox) as place,
        started(sandbox, place.host) as cluster,
        node(cluster, place) as containers,
    ):
        _load_image(containers, sandbox.subfolder("image"))
        enforced = {"pod-security.kubernetes.io/enforce": "restricted"}
        labelled = {"name": NAMESPACE, "labels": enforced}
        cluster.api.create({"kind": "Namespace", "metadata": labelled})
        server = start_prefect_server(sandbox)
        otlp = _front(sandbox, place.host, receiver.http_endpoint)
        template = restricted(instrumented(flow_pods.default_template(), otlp))
        with server.client() as api:
            pool = {"type": "kubernetes", "base_job_template": template}
            ask(api, "/work_pools/", name="kubernetes", **pool)
            _start_worker(sandbox, cluster, api, _front(sandbox, place.host, server.url) + "/api")
            yield Work(cluster, containers, api, receiver)


def _load_image(containers: Containers, folder: Path) -> None:
    package = ROOT / "instrumentation/src/prefect_instrumentation"
    shutil.copytree(package, folder / package.name)
    shutil.copy(ROOT / "tests/pod_flows.py", folder)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    subprocess.run(["docker", "build", f"--tag={IMAGE}", folder], check=True, capture_output=True)
    containers.load(IMAGE)


def _start_worker(sandbox: Sandbox, cluster: Cluster, api: httpx.Client, api_url: str) -> None:
    env = sandbox.prefect_environment(
        "worker",
        PREFECT_API_URL=api_url,
        KUBECONFIG=str(cluster.kubeconfig()),
        PREFECT_WORKER_QUERY_SECONDS="1",
    )
    argv = [flow_pods.PYTHON, "-m", "prefect", "worker", "start", "--pool", "kubernetes"]
    sandbox.start(
        Program(
            name="worker",
            argv=[*argv, "--type", "kubernetes"],
            env=env,
            ready=lambda: bool(ask(api, "/work_pools/kubernetes/workers/filter")),
        )
    )


def _front(sandbox: Sandbox, host: str, url: str) -> str:
    """Let pods reach what listens on loopback, and return the URL by which they do."""
    ours = f"{host}:{free_port()}"
    forwarding = Path(__file__).with_name("forwarding.py")
    front = Program(
        name=f"front-{ours}",
        argv=[sys.executable, str(forwarding), ours, url.removeprefix("http://")],
        env=sandbox.environment(),
        ready=lambda: bool(httpx.get(f"http://{ours}", trust_env=False).status_code),
    )
    sandbox.start(front)
    return f"http://{ours}"


@pytest.mark.parametrize("job_variables", [{}, {"backoff_limit": 2}], ids=["prefect", "kubernetes"])
def test_evicted_run_goes_on_in_its_trace(work: Work, job_variables: dict[str, object]) -> None:
    """Whoever starts the next pod: it is below the first, and each says where it was."""
    run_id = work.start_run(**job_variables)
    pod = work.pod(run_id)
    work.evict(pod)
    work.wait_for(run_id, "COMPLETED")
    eventually(lambda: len(work.spans(run_id)) == 6, what="six spans")
    spans = work.spans(run_id)
    first = {
        "k8s.pod.name": pod["metadata"]["name"],
        "k8s.pod.uid": pod["metadata"]["uid"],
        "k8s.namespace.name": NAMESPACE,
        "k8s.node.name": pod["spec"]["nodeName"],
        "k8s.job.name": pod["metadata"]["labels"]["batch.kubernetes.io/job-name"],
        "k8s.container.name": "prefect-job",
    }

    assert AFTER_EVICTION.strip() == otlp_receiver.tree(spans)
    assert 3 == sum(first.items() <= span.resource.items() for span in spans)
    assert 2 == len({span.resource["k8s.pod.uid"] for span in spans})


def test_killed_run_is_crashed_by_its_worker(work: Work) -> None:
    """After SIGKILL, as for want of memory, what had ended is there; the worker sets the state."""
    run_id = work.start_run()
    (container,) = work.pod(run_id)["status"]["containerStatuses"]
    identity = container["containerID"].removeprefix("containerd://")
    place = work.containers.machine
    tasks = place.run("ctr", "--namespace=k8s.io", "tasks", "list")
    (pid,) = re.findall(rf"^{identity}\s+(\d+)", tasks, re.MULTILINE)
    place.run("kill", "-KILL", pid)
    work.wait_for(run_id, "CRASHED")

    assert ["task step"] == [span.name for span in work.spans(run_id)]
