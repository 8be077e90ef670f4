"""What spans say of where they come from."""

from __future__ import annotations

import os
import platform
import socket
import uuid
from importlib.metadata import version
from pathlib import Path

import pytest

from prefect_instrumentation._provider.resource import Surroundings, resource

CONTAINER = "0123456789abcdef" * 4


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what this machine sets out of the tests."""
    for name in ("OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME"):
        monkeypatch.delenv(name, raising=False)


def surroundings(
    tmp_path: Path, namespace: str | None = None, container: str = "", **environ: str
) -> Surroundings:
    """Return surroundings of which nothing is this machine's."""
    file = tmp_path / "namespace"
    if namespace is not None:
        file.write_text(namespace)
    return Surroundings(environ, file, lambda: container)


def test_process_is_described(tmp_path: Path) -> None:
    """Service, environment, Prefect, host and process are there, and nothing else of ours."""
    attributes = dict(resource("production", "etl", surroundings(tmp_path)).attributes)

    assert 4 == uuid.UUID(str(attributes.pop("service.instance.id"))).version
    assert {
        "deployment.environment.name": "production",
        "host.name": socket.gethostname(),
        "prefect.version": version("prefect"),
        "process.pid": os.getpid(),
        "process.runtime.name": "cpython",
        "process.runtime.version": platform.python_version(),
        "service.name": "etl",
    } == {name: value for name, value in attributes.items() if not name.startswith("telemetry.")}


def test_standard_variables_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who operates the process has the last word over who wrote it."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "theirs")
    monkeypatch.setenv(
        "OTEL_RESOURCE_ATTRIBUTES",
        "deployment.environment.name=staging,service.instance.id=one,host.name=h%20x,team=data",
    )

    attributes = resource("production", "ours", surroundings(tmp_path)).attributes

    assert ("theirs", "staging", "one", "h x", "data") == tuple(
        attributes[name]
        for name in (
            "service.name",
            "deployment.environment.name",
            "service.instance.id",
            "host.name",
            "team",
        )
    )


def test_service_name_among_the_attributes_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`OTEL_RESOURCE_ATTRIBUTES` may name the service as well."""
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=theirs")

    assert "theirs" == resource("", "ours", surroundings(tmp_path)).attributes["service.name"]


def test_no_environment_is_no_attribute(tmp_path: Path) -> None:
    """An environment that nobody named is absent, not empty."""
    attributes = resource("", "etl", surroundings(tmp_path)).attributes

    assert "deployment.environment.name" not in attributes


@pytest.mark.parametrize(
    ("found", "expected"),
    [(CONTAINER, CONTAINER), ("", None), ("3", None), (CONTAINER + "0", None)],
    ids=["container", "none", "session", "too long"],
)
def test_container_has_its_whole_id(tmp_path: Path, found: str, expected: str | None) -> None:
    """What is no id of a container, such as a login session's number, is none."""
    attributes = resource("", "etl", surroundings(tmp_path, container=found)).attributes

    assert expected == attributes.get("container.id")


def pod(attributes: object) -> dict[str, object]:
    """Return the attributes of a pod."""
    assert isinstance(attributes, dict)
    return {name: value for name, value in attributes.items() if name.startswith("k8s.")}


def test_pod_is_found_without_configuration(tmp_path: Path) -> None:
    """Every pod knows its own name and namespace."""
    around = surroundings(
        tmp_path, "data-team\n", KUBERNETES_SERVICE_HOST="10.0.0.1", HOSTNAME="etl-7x2k"
    )

    assert {"k8s.pod.name": "etl-7x2k", "k8s.namespace.name": "data-team"} == pod(
        dict(resource("", "etl", around).attributes)
    )


def test_downward_api_wins(tmp_path: Path) -> None:
    """Variables of the downward API say more, and right even where the host's name is another."""
    around = surroundings(
        tmp_path,
        "elsewhere",
        KUBERNETES_SERVICE_HOST="10.0.0.1",
        HOSTNAME="node-1",
        K8S_POD_NAME="etl-7x2k",
        K8S_POD_UID="5c1a",
        K8S_NAMESPACE_NAME="data-team",
        K8S_NODE_NAME="node-1",
        K8S_JOB_NAME="etl",
        K8S_CONTAINER_NAME="prefect-job",
    )

    assert {
        "k8s.pod.name": "etl-7x2k",
        "k8s.pod.uid": "5c1a",
        "k8s.namespace.name": "data-team",
        "k8s.node.name": "node-1",
        "k8s.job.name": "etl",
        "k8s.container.name": "prefect-job",
    } == pod(dict(resource("", "etl", around).attributes))


def test_outside_of_kubernetes_nothing_is_said(tmp_path: Path) -> None:
    """A host's name is no pod's."""
    around = surroundings(tmp_path, "data-team", HOSTNAME="laptop")

    assert {} == pod(dict(resource("", "etl", around).attributes))


@pytest.mark.parametrize("namespace", [None, "", "\n"], ids=["no file", "empty", "blank"])
def test_namespace_may_be_missing(tmp_path: Path, namespace: str | None) -> None:
    """A pod without a service account's token has its other attributes."""
    around = surroundings(tmp_path, namespace, KUBERNETES_SERVICE_HOST="10.0.0.1", HOSTNAME="etl")

    assert {"k8s.pod.name": "etl"} == pod(dict(resource("", "etl", around).attributes))


def test_names_are_bounded(tmp_path: Path) -> None:
    """Names as long as Kubernetes allows pass; longer ones are cut."""
    around = surroundings(tmp_path, "n" * 5000, KUBERNETES_SERVICE_HOST="x", HOSTNAME="h" * 5000)

    assert {"k8s.pod.name": "h" * 253, "k8s.namespace.name": "n" * 253} == pod(
        dict(resource("", "etl", around).attributes)
    )


def test_broken_detector_loses_its_attributes_only(tmp_path: Path) -> None:
    """Whatever a detector raises, the others are heard."""

    def broken() -> str:
        raise RuntimeError("no")

    around = Surroundings({"KUBERNETES_SERVICE_HOST": "x", "HOSTNAME": "etl"}, tmp_path, broken)

    attributes = dict(resource("", "etl", around).attributes)

    assert "container.id" not in attributes
    assert {"k8s.pod.name": "etl"} == pod(attributes)
    assert os.getpid() == attributes["process.pid"]
