"""Kubernetes' API, as far as tests ask it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx

AnswerT = TypeVar("AnswerT")

Object = dict[str, Any]
"""One of Kubernetes' objects, as JSON."""

_POLL_SECONDS = 0.1

_FOLDERS = {
    "ConfigMap": "api/v1",
    "CronJob": "apis/batch/v1",
    "CustomResourceDefinition": "apis/apiextensions.k8s.io/v1",
    "DaemonSet": "apis/apps/v1",
    "Deployment": "apis/apps/v1",
    "Event": "api/v1",
    "Job": "apis/batch/v1",
    "Namespace": "api/v1",
    "Node": "api/v1",
    "PersistentVolume": "api/v1",
    "PersistentVolumeClaim": "api/v1",
    "Pod": "api/v1",
    "PodDisruptionBudget": "apis/policy/v1",
    "ReplicaSet": "apis/apps/v1",
    "Secret": "api/v1",
    "Service": "api/v1",
    "StatefulSet": "apis/apps/v1",
    "ServiceAccount": "api/v1",
    "SubjectAccessReview": "apis/authorization.k8s.io/v1",
    "StorageClass": "apis/storage.k8s.io/v1",
}
# It merges lists too, by what tells their elements apart.
_MERGE = {"Content-Type": "application/strategic-merge-patch+json"}


@dataclass(frozen=True, slots=True)
class Api:
    """An API server, asked as an administrator.

    Methods raise ``httpx.HTTPStatusError`` where it refuses.
    """

    client: httpx.Client = field(repr=False)

    def list(self, kind: str, namespace: str | None = None) -> list[Object]:
        """Return all objects of that kind: of a namespace, or of all."""
        found: list[Object] = self._ask("GET", _path(kind, namespace))["items"]
        return found

    def find(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """Return an object, or None where there is none of that name."""
        answer = self.client.get(_path(kind, namespace, name))
        return None if answer.status_code == httpx.codes.NOT_FOUND else _body(answer)

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object:
        """Return an object."""
        return self._ask("GET", _path(kind, namespace, name))

    def create(self, made: Mapping[str, Any], namespace: str | None = None) -> Object:
        """Make an object, and return it as the server has it."""
        version = _FOLDERS[made["kind"]].removeprefix("apis/").removeprefix("api/")
        whole = {"apiVersion": version, **made}
        return self._ask("POST", _path(made["kind"], namespace), json=whole)

    def patch(
        self, kind: str, name: str, change: Object, namespace: str | None = None, part: str = ""
    ) -> Object:
        """Merge *change* into an object, or into a *part* of it such as its status."""
        path = _path(kind, namespace, name) + part
        return self._ask("PATCH", path, json=change, headers=_MERGE)

    def delete(
        self, kind: str, name: str, namespace: str | None = None, grace: int | None = None
    ) -> None:
        """Delete an object; with *grace*, seconds, at the pod's cost."""
        options = {} if grace is None else {"gracePeriodSeconds": str(grace)}
        answer = self.client.delete(_path(kind, namespace, name), params=options)
        if answer.status_code != httpx.codes.NOT_FOUND:
            _body(answer)

    def evict(self, pod: str, namespace: str) -> None:
        """Evict a pod, as draining its node does: refused where a budget forbids it."""
        body = {"kind": "Eviction", "apiVersion": "policy/v1", "metadata": {"name": pod}}
        self._ask("POST", _path("Pod", namespace, pod) + "/eviction", json=body)

    def may(self, user: str, verb: str, resource: str, namespace: str) -> bool:
        """Return whether a user may do that with a resource of the core group."""
        what = {"verb": verb, "resource": resource, "namespace": namespace}
        # An account is also in these groups.
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
        asked = {"user": user, "groups": groups, "resourceAttributes": what}
        answer = self.create({"kind": "SubjectAccessReview", "spec": asked})
        return bool(answer["status"]["allowed"])

    def _ask(self, method: str, path: str, **options: Any) -> Object:  # noqa: ANN401 - httpx's own
        return _body(self.client.request(method, path, **options))


def _path(kind: str, namespace: str | None, name: str | None = None) -> str:
    within = [f"namespaces/{namespace}"] if namespace and kind != "Namespace" else []
    plural = kind.lower() + ("es" if kind.endswith("s") else "s")
    return "/" + "/".join([_FOLDERS[kind], *within, plural, *([name] if name else [])])


def _body(answer: httpx.Response) -> Object:
    if answer.is_error:
        # What the server says is worth more than the status.
        raise httpx.HTTPStatusError(answer.text, request=answer.request, response=answer)
    body: Object = answer.json()
    return body


def eventually(ask: Callable[[], AnswerT], *, what: str, within: float = 60.0) -> AnswerT:
    """Return what *ask* answers once that is true.

    Raises:
        TimeoutError: After *within* seconds it was not; the message has its last answer.
    """
    deadline = time.monotonic() + within
    while not (answer := ask()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come about in {within:g} s: {answer!r}")
        time.sleep(_POLL_SECONDS)
    return answer
