"""What stands in for a node and for storage where the control plane runs alone.

No container is started: a pod that the scheduler has bound is said to run and to be ready, one that
ends by itself to have succeeded. So `helm install --wait` comes to its end, and nothing that
containers do is tested by it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

import httpx

from kubernetes.api import Api, Object

NODE = "stand-in"
CLASS = "standard"

_SECONDS = 0.2
_OVERTAKEN = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
_ROOM = {"cpu": "64", "memory": "256Gi", "pods": "500", "ephemeral-storage": "1Ti"}


@contextmanager
def storage(api: Api, folder: Path, node: str = NODE) -> Iterator[None]:
    """Give each claim a folder of *node*, below *folder*, until the block ends."""
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    api.create(
        {
            "kind": "StorageClass",
            "metadata": {"name": CLASS, "annotations": default},
            "provisioner": "kubernetes.io/no-provisioner",
        }
    )

    def provide() -> None:
        for claim in api.list("PersistentVolumeClaim"):
            if "volumeName" not in claim["spec"]:
                _provide(api, claim, folder, node)

    with _over_and_over(provide):
        yield


@contextmanager
def node(api: Api) -> Iterator[None]:
    """Have a node that says of its pods what a kubelet says where all is well, until the end."""
    labels = {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux"}
    api.create({"kind": "Node", "metadata": {"name": NODE, "labels": labels}})

    def run() -> None:
        beat = {"type": "Ready", "status": "True", "reason": "StandIn", "lastHeartbeatTime": _now()}
        room = {"allocatable": _ROOM, "capacity": _ROOM}
        api.patch("Node", NODE, {"status": {"conditions": [beat]} | room}, part="/status")
        for pod in api.list("Pod"):
            if pod["spec"].get("nodeName") == NODE:
                _carry(api, pod)

    with _over_and_over(run):
        yield


@contextmanager
def _over_and_over(work: Callable[[], None]) -> Iterator[None]:
    over = threading.Event()
    failures: list[httpx.HTTPStatusError] = []

    def loop() -> None:
        while not over.wait(_SECONDS) and not failures:
            try:
                work()
            except httpx.HTTPStatusError as error:
                # Somebody was faster: what is gone, or there already, needs nothing more.
                if error.response.status_code not in _OVERTAKEN:
                    failures.append(error)

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert not failures


def _provide(api: Api, claim: Object, folder: Path, node: str) -> None:
    """Make a volume for this claim, and for no other."""
    meta, spec = claim["metadata"], claim["spec"]
    name = f"{meta['namespace']}-{meta['name']}"
    path = folder / name
    path.mkdir(exist_ok=True)
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    nodes = {"nodeSelectorTerms": [{"matchExpressions": [here]}]}
    api.create(
        {
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {
                "accessModes": spec["accessModes"],
                "capacity": spec["resources"]["requests"],
                "claimRef": {"namespace": meta["namespace"], "name": meta["name"]},
                "local": {"path": str(path)},
                "nodeAffinity": {"required": nodes},
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": spec.get("storageClassName", ""),
            },
        }
    )


def _carry(api: Api, pod: Object) -> None:
    """Do with this pod what its kubelet would do next."""
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    if "deletionTimestamp" in pod["metadata"]:
        api.delete("Pod", name, namespace, grace=0)
    elif pod["status"].get("phase") == "Pending":
        status = _running(pod) if pod["spec"]["restartPolicy"] == "Always" else _ended()
        api.patch("Pod", name, {"status": status}, namespace, "/status")


def _running(pod: Object) -> Object:
    now = _now()
    containers = [
        {
            "name": container["name"],
            "image": container["image"],
            "imageID": "",
            "restartCount": 0,
            "ready": True,
            "started": True,
            "state": {"running": {"startedAt": now}},
        }
        for container in pod["spec"]["containers"]
    ]
    conditions = [
        {"type": each, "status": "True", "lastTransitionTime": now}
        for each in ("Initialized", "ContainersReady", "Ready")
    ]
    return {
        "phase": "Running",
        "startTime": now,
        # Nobody's: https://www.rfc-editor.org/rfc/rfc5737
        "podIP": "198.51.100.1",
        "podIPs": [{"ip": "198.51.100.1"}],
        "conditions": conditions,
        "containerStatuses": containers,
    }


def _ended() -> Object:
    return {"phase": "Succeeded", "startTime": _now()}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
