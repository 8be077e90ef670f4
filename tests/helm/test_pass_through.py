"""What every workload takes from its section of the values, and what all take from `global`."""

from __future__ import annotations

from typing import Any

import pytest

from helm.cases import CASES, component
from helm.rendering import SOURCE, Object, containers, load, pods, render

_VALUES = load((SOURCE / "values.yaml").read_text(encoding="utf-8"))
SECTIONS = sorted(
    name
    for name, section in _VALUES.items()
    if isinstance(section, dict) and "podSecurityContext" in section
)
"""The sections of workloads."""

_DIGEST = f"sha256:{'a' * 64}"
_VOLUME = {"name": "more", "emptyDir": {}}
_TERM = {"weight": 1, "preference": {"matchFields": []}}
_SPREAD = {"maxSkew": 3, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}

_OF_PODS: dict[str, Any] = {
    "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [_TERM]}},
    "nodeSelector": {"disk": "fast"},
    "priorityClassName": "urgent",
    "terminationGracePeriodSeconds": 77,
    "tolerations": [{"key": "data", "operator": "Exists"}],
    "topologySpreadConstraints": [_SPREAD],
}
_OF_METADATA = {"podAnnotations": {"told": "1"}, "podLabels": {"team": "data"}}
_OF_CONTAINERS: dict[str, Any] = {
    "extraEnv": [{"name": "MORE", "value": "1"}],
    "extraEnvFrom": [{"configMapRef": {"name": "more"}}],
    "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
    "extraVolumes": [_VOLUME],
}


def _everything(values: dict[str, Any]) -> list[tuple[str, Object]]:
    """Return the pods of all components, whose sections have some values where they know them."""
    sections = {
        name: {key: value for key, value in values.items() if key in _VALUES[name]}
        for name in SECTIONS
    }
    return list(pods(render(*CASES["everything"], values=sections)))


def _knowing(key: str, found: list[tuple[str, Object]]) -> list[tuple[str, Object]]:
    return [(name, pod) for name, pod in found if key in _VALUES[_section(pod)]]


def _section(pod: Object) -> str:
    """Return the section whose values a pod has: podLogs of pod-logs, jaeger of jaeger-query."""
    name = component(pod)
    first, *others = name.split("-")
    camel = "".join([first, *map(str.title, others)])
    return camel if camel in SECTIONS else first


def test_every_workload_has_a_section() -> None:
    """Find the section of each pod, so that the tests below leave none out."""
    found = {_section(pod) for _, pod in _everything({})}

    assert set(SECTIONS) == found


@pytest.mark.parametrize("key", [*_OF_METADATA, *_OF_PODS, *_OF_CONTAINERS])
def test_every_section_has_the_key(key: str) -> None:
    """Let the same key be in every section; the pod of ``helm test`` lives for a minute."""
    without = {name for name in SECTIONS if key not in _VALUES[name]}

    assert without <= {"tests", *_EXCUSED.get(key, ())}


_EXCUSED = {
    # A pod on each node.
    "topologySpreadConstraints": ("podLogs", "backup"),
}


@pytest.mark.parametrize("key", _OF_PODS)
def test_pods_have_the_value(key: str) -> None:
    """Give each pod what its section says."""
    found = _knowing(key, _everything({key: _OF_PODS[key]}))
    if key == "topologySpreadConstraints":
        found = [each for each in found if not each[0].startswith(("DaemonSet/", "CronJob/"))]

    assert {} == {name: pod["spec"].get(key) for name, pod in found if not _has(pod, key)}


def _has(pod: Object, key: str) -> bool:
    given, wanted = pod["spec"].get(key), _OF_PODS[key]
    if key == "topologySpreadConstraints":
        own = pod["metadata"]["labels"]["app.kubernetes.io/component"]
        (constraint,) = given or [{}]
        selector = constraint.get("labelSelector", {}).get("matchLabels", {})
        return _SPREAD.items() <= constraint.items() and own in selector.values()
    if key == "affinity":
        return bool(wanted.items() <= (given or {}).items())
    return bool(given == wanted)


@pytest.mark.parametrize("key", _OF_METADATA)
def test_pods_are_marked(key: str) -> None:
    """Put labels and annotations on the pods, beside their own."""
    found = _knowing(key, _everything({key: _OF_METADATA[key]}))
    part = "labels" if key == "podLabels" else "annotations"

    assert [] == [
        name
        for name, pod in found
        if not _OF_METADATA[key].items() <= pod["metadata"].get(part, {}).items()
    ]


@pytest.mark.parametrize(
    ("key", "field"),
    [
        ("extraEnv", "env"),
        ("extraEnvFrom", "envFrom"),
        ("extraVolumeMounts", "volumeMounts"),
    ],
)
def test_containers_have_more(key: str, field: str) -> None:
    """Add variables and mounts to the container that does the work."""
    values = {**_OF_CONTAINERS}
    found = _knowing(key, _everything(values))

    assert [] == [
        name
        for name, pod in found
        if _OF_CONTAINERS[key][0] not in pod["spec"]["containers"][0].get(field, ())
    ]


def test_pods_have_more_volumes() -> None:
    """Add volumes beside a pod's own."""
    found = _knowing("extraVolumes", _everything(_OF_CONTAINERS))

    assert [] == [name for name, pod in found if _VOLUME not in pod["spec"]["volumes"]]


def test_null_ids_leave_no_ids() -> None:
    """Leave the choice of ids to OpenShift, and keep the rest."""
    ids = {"runAsUser": None, "runAsGroup": None, "fsGroup": None}
    found = [
        (name, pod)
        for name, pod in _everything({"podSecurityContext": ids})
        if component(pod) != "pod-logs"
    ]

    for name, pod in found:
        contexts = [pod["spec"]["securityContext"]]
        contexts += [each["securityContext"] for each in containers(pod)]
        assert not any(key in context for key in ids for context in contexts), name
        assert contexts[0]["runAsNonRoot"] is True, name


def test_registry_of_all_images() -> None:
    """Take every image from a mirror, and pull it with its Secrets."""
    values = {"global": {"imageRegistry": "mirror.internal/a", "imagePullSecrets": ["b"]}}
    found = list(pods(render(*CASES["everything"], values=values)))

    images = {each["image"] for _, pod in found for each in containers(pod)}
    assert {image for image in images if not image.startswith("mirror.internal/a/")} == set()
    assert all(pod["spec"]["imagePullSecrets"] == [{"name": "b"}] for _, pod in found)


def test_digest_wins_over_tag() -> None:
    """Pull exactly what a digest says."""
    values = {
        name: {"image": {"digest": _DIGEST, "tag": "1.2.3"}}
        for name in SECTIONS
        if "image" in _VALUES[name]
    }
    found = pods(render("air-gapped", values=values))

    images = {each["image"] for _, pod in found for each in containers(pod)}
    assert all(image.endswith(f"@{_DIGEST}") for image in images)


def test_storage_class_of_all_volumes() -> None:
    """Give each volume the class of `global`, and one of its own where it has one."""
    values = {
        "global": {"storageClass": "slow"},
        "exporter": {"persistence": {"storageClass": "fast"}},
    }
    found = render(*CASES["everything"], values=values)
    claims = [
        claim
        for each in found
        for claim in each.get("spec", {}).get("volumeClaimTemplates", ())
        if each["kind"] == "StatefulSet"
    ]
    claims += [each for each in found if each["kind"] == "PersistentVolumeClaim"]

    assert {"slow", "fast"} == {claim["spec"]["storageClassName"] for claim in claims}
