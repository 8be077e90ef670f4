"""Pods of a Kubernetes work pool without a cluster.

Prefect's own Kubernetes worker says what a Job's manifest is; the container's process is started
with the variables and as PID 1, as kubelet would.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeAlias, cast
from uuid import UUID, uuid4

from prefect.client.schemas.objects import Flow, FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.settings import PREFECT_API_URL, temporary_settings

_APART = Path(__file__).parents[1] / ".contract" / "kubernetes"
# In this process alone: where it is installed beside Prefect, every server and worker imports it.
sys.path += [str(folder) for folder in _APART.glob("lib/python3.*/site-packages")]
try:
    from prefect_kubernetes.worker import KubernetesWorker, KubernetesWorkerJobConfiguration
except ImportError as error:
    message = "Prefect's Kubernetes worker is not there; get it with: make kubernetes-worker"
    raise ImportError(message) from error

Json: TypeAlias = dict[str, Any]
Run: TypeAlias = tuple[FlowRun, DeploymentResponse, Flow]

PYTHON = str(_APART / "bin" / "python")
"""What runs such a worker."""

NAMESPACE_OF_ITS_OWN = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
"""A process started so is PID 1, which ignores signals that it does not handle."""


def default_template() -> Json:
    """Return what `prefect work-pool get-default-base-job-template` prints."""
    return cast("Json", KubernetesWorker.get_default_base_job_template())


def template_of_the_server() -> Json:
    """Return the one that the server gives to pools which are made in its pages."""
    views = files("prefect.server.api.collections_data") / "views"
    workers = json.loads((views / "aggregate-worker-metadata.json").read_text())
    return cast(
        "Json", workers["prefect-kubernetes"]["kubernetes"]["default_base_job_configuration"]
    )


def run_of(flow: str, deployment: str, run_id: str = "") -> Run:
    """Return a run, its deployment and its flow, as Prefect's API would tell a worker of them."""
    record = FlowRun(id=UUID(run_id) if run_id else uuid4(), flow_id=uuid4(), name="crimson-otter")
    told = DeploymentResponse(id=uuid4(), name=deployment, flow_id=record.flow_id, labels={})
    return record, told, Flow(id=record.flow_id, name=flow, labels={})


def job(
    template: Json,
    run: Run,
    job_variables: Mapping[str, object] | None = None,
    api_url: str = "http://prefect.test/api",
) -> Json:
    """Return the Job that a worker would create for a run.

    Args:
        template: the pool's base job template.
        run: as of `run_of`.
        job_variables: the deployment's.
        api_url: where the worker finds Prefect.
    """
    record, deployment, flow = run
    values = dict(job_variables or {})
    with temporary_settings({PREFECT_API_URL: api_url}):
        configuration = asyncio.run(
            KubernetesWorkerJobConfiguration.from_template_and_values(template, values)
        )
        configuration.prepare_for_flow_run(record, deployment=deployment, flow=flow)
    return cast("Json", configuration.job_manifest)


def pod_of(job: Json) -> Json:
    """Return the specification of a Job's pods."""
    return cast("Json", job["spec"]["template"]["spec"])


def container_of(job: Json) -> Json:
    """Return the container that runs the flow."""
    return cast("Json", pod_of(job)["containers"][0])


def fields(job_name: str, pod_name: str) -> dict[str, str]:
    """Return what a pod's downward API says."""
    return {
        "metadata.name": pod_name,
        "metadata.uid": f"uid-of-{pod_name}",
        "metadata.namespace": "flows",
        "metadata.labels['batch.kubernetes.io/job-name']": job_name,
        "spec.nodeName": "node-1",
    }


def variables(job: Json, told: Mapping[str, str]) -> dict[str, str]:
    """Return a container's variables as kubelet sets them; `told` is by the downward API."""
    given = {
        each["name"]: each["value"]
        if "value" in each
        else told[each["valueFrom"]["fieldRef"]["fieldPath"]]
        for each in container_of(job)["env"]
    }
    return {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOSTNAME": told["metadata.name"], **given}


def can_be_first() -> bool:
    """Return whether this machine lets a test start a process as PID 1."""
    return subprocess.run([*NAMESPACE_OF_ITS_OWN, "true"], check=False).returncode == 0
