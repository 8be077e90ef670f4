"""What every object and every pod of the chart has, in every case of the matrix."""

from __future__ import annotations

from typing import Any

import pytest

from helm.cases import CASES, all_pods, component, objects
from helm.rendering import Object, containers, of_kind, pods, render

_RECOMMENDED = {
    "app.kubernetes.io/component",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/name",
    "app.kubernetes.io/part-of",
    "app.kubernetes.io/version",
    "helm.sh/chart",
}
# Reads the log files of all containers of a node, which belong to root.
_READS_LOGS = "pod-logs"
_CLUSTER_WIDE = {"ClusterRole", "ClusterRoleBinding"}
_ENDS = ("CronJob/", "Job/", "Pod/")


@pytest.mark.parametrize("case", CASES)
def test_recommended_labels(case: str) -> None:
    """Label every object as Kubernetes and Helm recommend it."""
    bare = {
        f"{each['kind']}/{each['metadata']['name']}": missing
        for each in objects(case)
        if (missing := _RECOMMENDED - each["metadata"].get("labels", {}).keys())
    }

    assert {} == bare


@pytest.mark.parametrize("case", CASES)
def test_namespace(case: str) -> None:
    """Say of every object where it goes, so that ``kubectl apply`` of rendered files is right."""
    strays = [
        each["metadata"]["name"]
        for each in objects(case)
        if each["kind"] not in _CLUSTER_WIDE and each["metadata"].get("namespace") is None
    ]

    assert [] == strays


def test_restricted_pods() -> None:
    """Ask for nothing that the Pod Security Standard "restricted" forbids."""
    loose = {name: found for name, pod in _others() if (found := _forbidden(pod["spec"]))}

    assert {} == loose


def test_pod_that_reads_logs_has_no_more_than_it_needs() -> None:
    """Let root, where it is needed, at least change and gain nothing."""
    (spec, *_) = [pod["spec"] for _, pod in all_pods() if component(pod) == _READS_LOGS]
    paths = [volume["hostPath"]["path"] for volume in spec["volumes"] if "hostPath" in volume]

    assert ["runAsNonRoot", "hostPath"] == _forbidden(spec)
    assert {"/var/log/pods"} == {path for path in paths if path.startswith("/var/log")}
    assert all(
        mount["readOnly"]
        for container in spec["containers"]
        for mount in container["volumeMounts"]
        if mount["mountPath"] == "/var/log/pods"
    )


def test_read_only_root() -> None:
    """Let no program write beside its volumes."""
    writers = [
        f"{name} {container['name']}"
        for name, pod in all_pods()
        for container in containers(pod)
        if container["securityContext"].get("readOnlyRootFilesystem") is not True
    ]

    assert [] == writers


def test_no_token() -> None:
    """Give a pod Kubernetes' token only where it asks Kubernetes."""
    holders = {
        component(pod) for _, pod in all_pods() if pod["spec"]["automountServiceAccountToken"]
    }

    assert holders <= {"agent", "pod-logs"}


def test_no_service_variables() -> None:
    """Put no variables of neighbouring Services into pods, which could be taken for settings."""
    assert all(pod["spec"]["enableServiceLinks"] is False for _, pod in all_pods())


def test_resources() -> None:
    """Say of each container what it needs, and what it may use of the memory."""
    bare = [
        f"{name} {container['name']}"
        for name, pod in all_pods()
        for container in containers(pod)
        if not _sized(container["resources"])
    ]

    assert [] == bare


def test_probes() -> None:
    """Look after every container that is to run on."""
    unwatched = [
        f"{name} {container['name']}"
        for name, pod in all_pods()
        if not name.partition(": ")[2].startswith(_ENDS)
        for container in pod["spec"]["containers"]
        if not {"livenessProbe", "readinessProbe"} <= container.keys()
    ]

    assert [] == unwatched


def test_images_are_pinned() -> None:
    """Name a version or a digest of every image."""
    loose = [
        container["image"]
        for _, pod in all_pods()
        for container in containers(pod)
        if container["image"].endswith(":latest") or not set(":@") & set(container["image"])
    ]

    assert [] == loose


@pytest.mark.parametrize("case", CASES)
def test_no_wide_rights(case: str) -> None:
    """Give no rights by wildcard, over Secrets, to change anything, or of cluster-admin."""
    roles = of_kind(objects(case), "Role", "ClusterRole")
    rules = [rule for role in roles for rule in role["rules"]]
    bound = of_kind(objects(case), "RoleBinding", "ClusterRoleBinding")

    assert not [rule for rule in rules if "*" in str(rule) or "secrets" in rule["resources"]]
    assert {verb for rule in rules for verb in rule["verbs"]} <= {"get", "list", "watch"}
    assert {each["roleRef"]["name"] for each in bound} <= {
        role["metadata"]["name"] for role in roles
    }


@pytest.mark.parametrize("case", CASES)
def test_selectors_pick_their_pods(case: str) -> None:
    """Give each Service, budget and policy pods to select, where the case runs any."""
    labels = [pod["metadata"]["labels"] for name, pod in all_pods() if name.startswith(f"{case}: ")]
    selectors = {
        f"{each['kind']}/{each['metadata']['name']}": selector
        for each in objects(case)
        if (selector := _selector(each))
    }

    assert [] == [
        name
        for name, selector in selectors.items()
        if not any(_picks(selector, of) for of in labels)
    ]


@pytest.mark.parametrize("case", CASES)
def test_services_lead_to_ports(case: str) -> None:
    """Let every port of a Service lead to one that the pods behind it have."""
    found = [pod for name, pod in all_pods() if name.startswith(f"{case}: ")]
    dead = [
        f"{service['metadata']['name']}: {port['name']}"
        for service in of_kind(objects(case), "Service")
        for port in service["spec"]["ports"]
        for pod in found
        if _picks(service["spec"]["selector"], pod["metadata"]["labels"])
        and port.get("targetPort", port["port"]) not in _ports(pod)
    ]

    assert [] == dead


def test_volumes_and_mounts_match() -> None:
    """Mount only volumes that the pod has, and have none that nobody mounts."""
    for name, pod in all_pods():
        mounted = {
            mount["name"]
            for container in containers(pod)
            for mount in container.get("volumeMounts", ())
        }
        volumes = {volume["name"] for volume in pod["spec"].get("volumes", ())}
        assert volumes <= mounted, name


def test_labels_and_annotations_for_all() -> None:
    """Put the common labels and annotations on every object and every pod."""
    values = {"commonLabels": {"team": "data"}, "commonAnnotations": {"contact": "data@a.b"}}
    found = render(*CASES["everything"], values=values)

    metadata = [each["metadata"] for each in [*found, *(pod for _, pod in pods(found))]]

    assert [] == [each["name"] for each in metadata if each["labels"].get("team") != "data"]
    assert [] == [
        each["name"]
        for each in metadata
        if each.get("annotations", {}).get("contact") != "data@a.b"
    ]


def _others() -> list[tuple[str, Object]]:
    return [(name, pod) for name, pod in all_pods() if component(pod) != _READS_LOGS]


def _forbidden(spec: Object) -> list[str]:
    """Return what of a pod "restricted" forbids."""
    pod = spec["securityContext"]
    of_containers = [each["securityContext"] for each in containers({"spec": spec})]
    asked = {
        "runAsNonRoot": pod.get("runAsNonRoot") is not True or pod.get("runAsUser") == 0,
        "seccompProfile": pod.get("seccompProfile") != {"type": "RuntimeDefault"},
        "hostNetwork": any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")),
        "hostPath": any("hostPath" in volume for volume in spec.get("volumes", ())),
        "hostPort": "hostPort" in str(spec),
        "escalation": any(each.get("allowPrivilegeEscalation", True) for each in of_containers),
        "capabilities": any(
            each.get("capabilities", {}).get("drop") != ["ALL"]
            or each["capabilities"].get("add", []) != []
            for each in of_containers
        ),
    }
    return [name for name, forbidden in asked.items() if forbidden]


def _sized(resources: dict[str, Any]) -> bool:
    asked, limits = resources.get("requests", {}), resources.get("limits", {})
    return {"cpu", "memory"} <= asked.keys() and "memory" in limits


def _selector(each: Object) -> dict[str, str]:
    match each["kind"]:
        case "Service":
            return dict(each["spec"].get("selector", {}))
        case "PodDisruptionBudget":
            return dict(each["spec"]["selector"]["matchLabels"])
        case "NetworkPolicy":
            return dict(each["spec"]["podSelector"].get("matchLabels", {}))
        case _:
            return {}


def _picks(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return selector.items() <= labels.items()


def _ports(pod: Object) -> set[str | int]:
    ports = [port for each in pod["spec"]["containers"] for port in each.get("ports", ())]
    return {port["containerPort"] for port in ports} | {port.get("name") for port in ports}
