"""The chart at work on a real node, beside a real Prefect server with PostgreSQL."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from demo.api import api_client, ask
from demo.sandbox import Sandbox
from helm.rendering import ROOT
from kubernetes import stand_ins
from kubernetes.charts import Release, namespace
from kubernetes.cluster import cluster, programs
from kubernetes.machine import machine
from kubernetes.node import NAME, node

VALUES: dict[str, Any] = {
    "monitors": {"as": "annotations"},
    "rules": {"as": "configMap"},
    "exporter": {"image": {"tag": "test"}, "settings": {"POLL_INTERVAL": "1s"}},
    "backup": {
        "enabled": True,
        "image": {"tag": "test"},
        "repository": "/var/lib/prefect-backup/repository",
        "secrets": {"database": {"name": "prefect-server-postgresql-connection"}},
    },
}
"""The chart as it is by default, with backups, for a cluster without operators."""

_PREFECT = Path(__file__).with_name("prefect.yaml")
_PASSWORDS = ("repository-password", "key-repository-password")
_IMAGES = (
    "otel/opentelemetry-collector-contrib:0.159.0",
    "postgres:17.11",
    "prefect-observability/backup:test",
    "prefect-observability/exporter:test",
    "prefecthq/prefect:3.8.8-python3.13",
    "prom/blackbox-exporter:v0.28.0",
)


@dataclass(frozen=True, slots=True)
class Beside:
    """The release, beside Prefect in the same namespace."""

    release: Release
    prefect: httpx.Client

    def addresses(self, component: str) -> list[str]:
        """Return the addresses of a component's pods, but for those that end."""
        return [
            each["status"]["podIP"]
            for each in self.release.list("Pod")
            if each["metadata"]["labels"].get("app.kubernetes.io/component") == component
            and each["status"]["phase"] == "Running"
            and "deletionTimestamp" not in each["metadata"]
        ]

    def finish_run(self, flow: str) -> None:
        """Have a run of that flow completed."""
        flow_id = ask(self.prefect, "/flows/", name=flow)["id"]
        run = ask(self.prefect, "/flow_runs/", flow_id=flow_id, state={"type": "RUNNING"})
        completed = {"type": "COMPLETED"}
        ask(self.prefect, f"/flow_runs/{run['id']}/set_state", state=completed, force=True)

    def backup_job(self, job: str, *command: str) -> str:
        """Run scripts/backup-job with a CronJob of the backup, and return what it prints.

        Raises:
            AssertionError: It fails; what it said is the message.
        """
        name = f"obs-prefect-observability-backup-{job}"
        script = ROOT / "scripts" / "backup-job"
        done = subprocess.run(
            [script, "-n", self.release.namespace, name, *command],
            env=self._with_kubectl(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _with_kubectl(self) -> dict[str, str]:
        sandbox = self.release.cluster.sandbox
        program = sandbox.subfolder("bin") / "kubectl"
        program.write_text(f'#!/bin/sh\nexec {programs()}/kubernetes kubectl "$@"\n')
        program.chmod(0o755)
        config = str(self.release.cluster.kubeconfig())
        path = f"{program.parent}:{os.environ['PATH']}"
        return sandbox.environment(KUBECONFIG=config) | {"PATH": path}


def metrics(address: str, port: int) -> list[str]:
    """Return the lines of a pod's metrics; none while it does not answer."""
    try:
        return httpx.get(f"http://{address}:{port}/metrics", trust_env=False).text.splitlines()
    except httpx.TransportError:
        return []


@contextmanager
def beside_prefect() -> Iterator[Beside]:
    """Have the chart installed beside Prefect until the block ends."""
    with (
        Sandbox() as sandbox,
        machine(sandbox) as place,
        cluster(sandbox, place.host) as made,
        node(made, place) as containers,
        stand_ins.storage(made.api, sandbox.subfolder("volumes"), NAME),
    ):
        for image in _IMAGES:
            containers.load(image)
        release = Release(made, namespace(made, "prefect"))
        release.kubectl("apply", f"--filename={_PREFECT}")
        passwords = [f"--from-literal={key}=p" for key in _PASSWORDS]
        release.kubectl("create", "secret", "generic", "prefect-backup", *passwords)
        release.kubectl("rollout", "status", "deployment/prefect-server", "--timeout=3m")
        release.helm("install", "--wait", "--timeout=3m", values=VALUES)
        with api_client(f"http://{_address(release)}:4200/api") as prefect:
            yield Beside(release, prefect)


def _address(release: Release) -> str:
    label = {"app.kubernetes.io/name": "prefect-server"}
    (pod,) = (
        each
        for each in release.list("Pod")
        if label.items() <= each["metadata"].get("labels", {}).items()
    )
    return str(pod["status"]["podIP"])
