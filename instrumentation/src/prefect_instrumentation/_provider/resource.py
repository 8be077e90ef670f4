"""Where spans come from: service, environment, Prefect, host, process, container, pod."""

from __future__ import annotations

import os
import platform
import re
import socket
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from opentelemetry.resource.detector.containerid import ContainerResourceDetector
from opentelemetry.sdk.resources import Resource

from prefect_instrumentation._guard import swallow

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

Attributes = dict[str, str | int]

_CONTAINER_ID = re.compile(r"[0-9a-f]{64}")
_LONGEST_NAME = 253
"""Characters of a name in Kubernetes."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is asked about this process; a test gives its own.

    Args:
        environ: the variables.
        namespace_file: where Kubernetes puts the namespace of a pod's service account.
        container_id: finds the container that the process runs in, "" for none.
    """

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    namespace_file: Path = NAMESPACE_FILE
    container_id: Callable[[], str] = field(default_factory=lambda: _container_id)


def resource(
    environment: str, service_name: str, surroundings: Surroundings | None = None
) -> Resource:
    """Describe this process; what `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say wins.

    The command line is left out, since it may hold secrets.

    Args:
        environment: `deployment.environment.name`, "" for none.
        service_name: `service.name`.
        surroundings: of this process, by default.
    """
    around = surroundings or Surroundings()
    ours: Attributes = {"service.name": service_name, "service.instance.id": str(uuid.uuid4())}
    if environment:
        ours["deployment.environment.name"] = environment
    for detect in (_prefect, _host, _process, _container, _pod):
        try:
            ours |= detect(around)
        except Exception as error:  # noqa: BLE001 - a detector that fails loses its attributes only
            swallow(f"resource{detect.__name__}", error)
    declared = dict(Resource.create().attributes)
    if str(declared["service.name"]).startswith("unknown_service"):
        del declared["service.name"]
    return Resource({**ours, **declared})


def _prefect(_: Surroundings) -> Attributes:
    return {"prefect.version": version("prefect")}


def _host(_: Surroundings) -> Attributes:
    return {"host.name": socket.gethostname()}


def _process(_: Surroundings) -> Attributes:
    return {
        "process.pid": os.getpid(),
        "process.runtime.name": platform.python_implementation().lower(),
        "process.runtime.version": platform.python_version(),
    }


def _container(around: Surroundings) -> Attributes:
    # On a host with systemd the detector takes the number of a login session for a container.
    identity = around.container_id()
    return {"container.id": identity} if _CONTAINER_ID.fullmatch(identity) else {}


def _container_id() -> str:
    return str(ContainerResourceDetector().detect().attributes.get("container.id", ""))


def _pod(around: Surroundings) -> Attributes:
    """Return what the downward API tells by `K8S_*` variables, else what every pod knows."""
    environ = around.environ
    if "KUBERNETES_SERVICE_HOST" not in environ:
        return {}
    found = {
        "k8s.pod.name": environ.get("K8S_POD_NAME") or environ.get("HOSTNAME", ""),
        "k8s.pod.uid": environ.get("K8S_POD_UID", ""),
        "k8s.node.name": environ.get("K8S_NODE_NAME", ""),
        "k8s.namespace.name": environ.get("K8S_NAMESPACE_NAME") or _namespace(around),
        "k8s.job.name": environ.get("K8S_JOB_NAME", ""),
        "k8s.container.name": environ.get("K8S_CONTAINER_NAME", ""),
    }
    return {name: value[:_LONGEST_NAME] for name, value in found.items() if value}


def _namespace(around: Surroundings) -> str:
    try:
        with around.namespace_file.open(encoding="utf-8") as file:
            return file.read(_LONGEST_NAME).strip()
    except (OSError, UnicodeDecodeError):
        # A pod may go without a service account's token.
        return ""
